package promql

import (
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	// keep is how long an answer serves other looks. A step that was not
	// measured is asked for again at every look, for its samples may come late:
	// its answer serves no longer than a step takes.
	keep = 15 * time.Second
	// renew is how long before it is too old what was not measured is asked for
	// again along with others. Looks that are 15 s apart would each find their
	// own answer just too old.
	renew = 4 * keep / 5
	// lately is how recently whoever is asked for along must have looked, or
	// two steps.
	lately = time.Minute
	// keptAtMost bounds the answers that are kept, in points of some 70 bytes.
	keptAtMost = 200_000

	// The services in one query: first, and at most. Prometheus looks up to 256
	// values of a label up in its index and compares more with every value.
	fewServices  = 32
	mostServices = 250
	// samplesAtOnce bounds the reply: a sample is some 40 bytes of it.
	samplesAtOnce = 20_000
	// aloneFor is how long is asked for by itself what spoilt a shared query.
	aloneFor = 10 * time.Minute
)

// group is who is asked for in the same form and steps.
type group struct {
	form    form
	step    time.Duration
	members map[string]*member
	lanes   map[laneKey]*lane
	most    int       // services in one query
	enough  time.Time // until when there are no more
}

// member is what one service is asked for, and what is known of it.
type member struct {
	values []string
	seen   time.Time
	from   time.Time // its next look asks for what ends after
	alone  time.Time // until when it spoils queries that it shares
	kept   []kept    // in order of time
	under  []*fetch  // that will bring something of it
}

// kept is an answer about one step.
type kept struct {
	at    time.Time // the step's end
	asked time.Time
	point point
}

// fresh says whether an answer serves whoever looks now, or a while ahead.
func (g *group) fresh(k kept, now time.Time, ahead time.Duration) bool {
	age := now.Sub(k.asked)
	if k.point.outcome != verifier.Measured {
		return age+ahead < min(keep, g.step)
	}
	return age < keep
}

// missing fills in what is known of a grid, and returns the part of it that is
// not, from one step to another; n is 0 where all is known.
func (g *group) missing(m *member, of grid, into []point, now time.Time, ahead time.Duration) grid {
	var few [16]bool
	known := few[:]
	if of.n > len(few) {
		known = make([]bool, of.n)
	}
	known = known[:of.n]
	for _, k := range m.kept {
		if i, ok := of.index(k.at); ok && g.fresh(k, now, ahead) {
			known[i] = true
			if into != nil {
				into[i] = k.point
			}
		}
	}
	lo := slices.Index(known, false)
	if lo < 0 {
		return grid{}
	}
	hi := of.n - 1
	for known[hi] {
		hi--
	}
	return grid{first: of.at(lo), step: of.step, n: hi - lo + 1}
}

// store keeps a member's answers, and forgets those that serve nobody any
// more; it returns how many more are kept now.
func (g *group) store(m *member, of grid, points []point, asked time.Time) int {
	before := len(m.kept)
	m.kept = slices.DeleteFunc(m.kept, func(k kept) bool {
		_, again := of.index(k.at)
		return again || asked.Sub(k.asked) >= keep
	})
	for i, p := range points {
		m.kept = append(m.kept, kept{of.at(i), asked, p})
	}
	return len(m.kept) - before
}

// spread tells those who miss about as many steps, and are asked for together,
// from others: up to the next power of two.
func spread(n int) int {
	s := 1
	for s < n {
		s *= 2
	}
	return s
}

// wants tells how many steps of a lane a member's next look will ask for, as far
// as can be told; 0 where it won't, or they are under way already.
func (g *group) wants(m *member, of laneKey, now time.Time) int {
	if len(m.under) > 0 || now.Before(m.alone) || now.Sub(m.seen) > max(lately, 2*g.step) || !m.from.Before(of.last) {
		return 0
	}
	if of.last.Sub(m.from) > time.Duration(of.spread)*g.step {
		return 0
	}
	missing := g.missing(m, newGrid(m.from, of.last, g.step), nil, now, renew)
	if missing.n == 0 || !missing.at(missing.n-1).Equal(of.last) || spread(missing.n) != of.spread {
		return 0
	}
	return missing.n
}

// laneKey is what is asked for in the same queries: about as many steps up to
// last; of one member where it is asked for by itself.
type laneKey struct {
	last   time.Time
	spread int
	alone  *member
}

// lane is a queue of looks for the next queries.
type lane struct {
	key     laneKey
	waiting []*waiter
	busy    bool      // being served, or about to be
	began   time.Time // the last queries
}

// assemble makes queries for everybody who waits in a lane, and fills them up
// with those who will ask for the same soon.
func (g *group) assemble(l *lane, now time.Time) []*fetch {
	room := max(1, min(g.most, samplesAtOnce/l.key.spread))
	var out []*fetch
	in := map[*member]*fetch{}
	for _, w := range l.waiting {
		f := in[w.member]
		if f == nil {
			if f = last(out); f == nil || len(f.members) == room {
				f = newFetch(g, l.key.last, room)
				out = append(out, f)
			}
			f.add(w.member, 0)
			in[w.member] = f
		}
		f.reach(w.part.n)
		f.join(w)
	}
	l.waiting = nil
	f := last(out)
	if l.key.alone != nil || f == nil || len(f.members) == room {
		return out
	}
	for _, m := range g.members {
		n := 0
		if in[m] == nil {
			n = g.wants(m, l.key, now)
		}
		if n > 0 {
			f.add(m, n)
		}
		if len(f.members) == room {
			break
		}
	}
	return out
}

func last(of []*fetch) *fetch {
	if len(of) == 0 {
		return nil
	}
	return of[len(of)-1]
}
