package promql

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	// keep is how long the answer about a step that was measured serves other
	// looks. One that was not is asked for again at every look, for its samples
	// may come late: its answer serves for keepNone, and no longer than a step
	// takes.
	keep     = time.Minute
	keepNone = 15 * time.Second
	// renew is how long before it is too old what was not measured is asked for
	// again along with others. Looks that are 15 s apart would each find their
	// own answer just too old.
	renew = 4 * keepNone / 5
	// lately is how recently whoever is asked for along must have looked, or
	// two steps.
	lately = time.Minute
	// keptAtMost bounds the answers that are kept, in steps of some 200 bytes.
	keptAtMost = 100_000
	// muchKept is how many steps are kept of a service that has looked at them.
	muchKept = 64
	// mostBehind bounds how far back is asked for along with others.
	mostBehind = 8 * sharedSteps

	// The services in one query: first, and at most. Prometheus looks up to 256
	// values of a label up in its index and compares more with every value.
	fewServices  = 64
	mostServices = 250
	// samplesAtOnce bounds the reply: a sample is some 40 bytes of it.
	samplesAtOnce = 20_000
	// slowly is how slow answers are where all is asked for ahead that will be
	// looked for, in so many queries: who looks can't wait for it.
	slowly      = time.Second
	aheadAtOnce = 4
	// aloneFor is how long is asked for by itself what spoilt a shared query.
	aloneFor = 10 * time.Minute
)

// group is who is asked for in the same form and steps: of one expression, or of
// two that are always asked for together. An answer of one that is older than
// that of the other could make a late sample look like none: errors, for
// instance, of requests that are there by now.
type group struct {
	forms   []form
	of      func(row []point) verifier.Observation
	step    time.Duration
	members map[string]*member
	lanes   map[laneKey]*lane
	most    int       // services in one query
	enough  time.Time // until when there are no more, for that was too much
	careful time.Time // until when there are more only where answers are quick
}

// member is what one service is asked for, and what is known of it.
type member struct {
	values [][]string // by form
	seen   time.Time
	from   time.Time // its next look asks for what ends after
	alone  time.Time // until when it spoils queries that it shares
	kept   []kept    // in order of time
	under  []*fetch  // that will bring something of it
}

// kept is an answer about one step.
type kept struct {
	at       time.Time // the step's end
	came     time.Time
	row      [2]point // by form
	measured bool
}

// fresh says whether an answer serves whoever looks now, or a while ahead.
func (g *group) fresh(k kept, now time.Time, ahead time.Duration) bool {
	age := now.Sub(k.came)
	if !k.measured {
		return age+ahead < min(keepNone, g.step)
	}
	return age < keep
}

// missing fills in what is known of a grid, and returns the part of it that is
// not, from one step to another; n is 0 where all is known. A step that was not
// measured counts as known only where no later one was asked for after it: who
// sees a later one measured never asks for it again.
func (g *group) missing(m *member, of grid, into [][]point, now time.Time, ahead time.Duration) grid {
	var few [16]*kept
	known := few[:]
	if of.n > len(few) {
		known = make([]*kept, of.n)
	}
	for i := range m.kept {
		if at, ok := of.index(m.kept[i].at); ok && g.fresh(m.kept[i], now, ahead) {
			known[at] = &m.kept[i]
		}
	}
	lo, hi := of.n, -1
	var newest time.Time
	for i := of.n - 1; i >= 0; i-- {
		k := known[i]
		if k == nil || !k.measured && (hi >= 0 || k.came.Before(newest)) {
			lo, hi = i, max(hi, i)
			continue
		}
		if k.came.After(newest) {
			newest = k.came
		}
		for e := range into {
			into[e][i] = k.row[e]
		}
	}
	if hi < 0 {
		return grid{}
	}
	return grid{first: of.at(lo), step: of.step, n: hi - lo + 1}
}

// store keeps a member's answers, and forgets those that serve nobody any
// more; it returns how many more are kept now.
func (g *group) store(m *member, of grid, points [][]point, came time.Time) int {
	before := len(m.kept)
	m.kept = slices.DeleteFunc(m.kept, func(k kept) bool {
		_, again := of.index(k.at)
		return again || came.Sub(k.came) >= keep
	})
	for i := range of.n {
		k := kept{at: of.at(i), came: came}
		for e := range points {
			k.row[e] = points[e][i]
		}
		k.measured = g.of(k.row[:len(points)]).Outcome == verifier.Measured
		m.kept = append(m.kept, k)
	}
	if cap(m.kept) > 2*len(m.kept) { // there were more, once
		m.kept = slices.Clip(slices.Clone(m.kept))
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
	next := newGrid(m.from, of.last, g.step)
	if next.n > mostBehind || len(m.kept) == 0 && next.n > of.spread {
		return 0
	}
	missing := g.missing(m, next, nil, now, renew)
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
	slow    bool      // the last answers were
	began   time.Time // the last queries
}

// assemble makes queries for everybody who waits in a lane, and fills them up
// with those who will ask for the same soon, as far as there is room to keep so
// many steps for them.
func (g *group) assemble(l *lane, now time.Time, keep int) []*fetch {
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
	if l.key.alone != nil || f == nil {
		return out
	}
	for m := range g.inTurn(l.key) {
		if in[m] != nil {
			continue
		}
		n := g.wants(m, l.key, now)
		if n == 0 {
			continue
		}
		if keep -= n; keep < 0 {
			break
		}
		if len(f.members) == room {
			if !l.slow || len(out) == aheadAtOnce {
				break
			}
			f = newFetch(g, l.key.last, room)
			out = append(out, f)
		}
		f.add(m, n)
	}
	return out
}

// inTurn are all members; where much is asked for of each, whoever looks next is
// first, for what is kept until then takes room.
func (g *group) inTurn(of laneKey) iter.Seq[*member] {
	if of.spread <= muchKept {
		return maps.Values(g.members)
	}
	return slices.Values(slices.SortedFunc(maps.Values(g.members), func(a, b *member) int { return a.seen.Compare(b.seen) }))
}

func last(of []*fetch) *fetch {
	if len(of) == 0 {
		return nil
	}
	return of[len(of)-1]
}
