package promql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// sharedSteps is the longest stretch that looks share. A longer one, of a source
// that was away for long, is asked for in such parts: whoever has missed as much
// asks for the same ones, where each by itself would be as many queries as there
// are services.
const sharedSteps = 512

// pause is between the beginnings of two queries for the same: services that are
// not known yet are asked for together where they look within that time.
const pause = 100 * time.Millisecond

// unattendedAtMost bounds the fetches that go on for later looks.
const unattendedAtMost = 256

// reader lets looks share what they ask a server: the same expression over the
// same steps is asked once, and services whose expressions differ only in their
// name are asked for together, with those that are about to look.
type reader struct {
	server *server
	saved  func(reads int) // answered by a query of another look

	mu         sync.Mutex
	groups     map[string]*group
	kept       int // points
	unattended int // fetches that nobody waits for
	swept      time.Time
}

func newReader(s *server, saved func(int)) *reader {
	if saved == nil {
		saved = func(int) {}
	}
	return &reader{server: s, saved: saved, groups: map[string]*group{}}
}

// look is one look at a target's signal.
type look struct {
	reader  *reader
	target  verifier.Target
	members []*member
}

// points is server.points for what looks ask.
func (l *look) points(ctx context.Context, g grid, of rowOf, exprs ...string) ([][]point, error) {
	if g.n <= sharedSteps {
		return l.share(ctx, g, of, exprs)
	}
	out := make([][]point, len(exprs))
	for left := g; left.n > 0; {
		part, rest := left.head()
		points, err := l.share(ctx, part, of, exprs)
		switch {
		case err != nil && left.n == g.n:
			return nil, err
		case err != nil: // the next look asks for all that follows what is known
			failed := []point{{outcome: verifier.Failed, reason: err.Error()}}
			for i := range out {
				out[i] = append(out[i], slices.Repeat(failed, left.n)...)
			}
			return out, nil
		}
		for i := range out {
			out[i] = append(out[i], points[i]...)
		}
		left = rest
	}
	return out, nil
}

// head cuts off the first steps that looks share, up to a moment that is the same
// for all of them.
func (g grid) head() (head, rest grid) {
	head, rest = g, g
	stretch := sharedSteps * g.step
	end := g.first.Truncate(stretch)
	if end.Before(g.first) {
		end = end.Add(stretch)
	}
	head.n = min(g.n, int(end.Sub(g.first)/g.step)+1)
	rest.first, rest.n = g.at(head.n), g.n-head.n
	return head, rest
}

// share asks for no more than sharedSteps.
func (l *look) share(ctx context.Context, g grid, of rowOf, exprs []string) ([][]point, error) {
	if err := ctx.Err(); err != nil { // nothing is asked that nobody waits for
		return nil, l.reader.server.unavailable(outbound.Reason(context.Cause(ctx)), nil)
	}
	w := l.reader.enter(g, of, exprs, l.target)
	l.members = append(l.members, w.member)
	if err := l.reader.wait(ctx, w); err != nil {
		known, _ := g.index(w.part.first)
		if known == 0 || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return nil, err
		}
		// What follows is taken by the next look: were this one to take nothing,
		// and that one to find another step missing, neither would ever.
		for _, points := range w.points {
			for i := range points[known:] {
				points[known+i] = point{outcome: verifier.Failed, reason: err.Error()}
			}
		}
	}
	return w.points, nil
}

// saw tells what came of the look, and with it what the next one asks for: what
// follows the last step that was measured. Of a long stretch nothing is kept any more.
func (l *look) saw(observations []verifier.Observation) {
	for _, o := range slices.Backward(observations) {
		if o.Outcome != verifier.Measured {
			continue
		}
		l.reader.mu.Lock()
		defer l.reader.mu.Unlock()
		for _, m := range l.members {
			m.from = o.At
			if len(m.kept) <= muchKept {
				continue
			}
			before := len(m.kept)
			m.kept = slices.Clone(slices.DeleteFunc(m.kept, func(k kept) bool { return !k.at.After(o.At) }))
			l.reader.kept -= before - len(m.kept)
		}
		return
	}
}

// enter finds out what is known of the expressions' steps, and puts the look in
// line for the rest.
func (r *reader) enter(g grid, of rowOf, exprs []string, t verifier.Target) *waiter {
	w := &waiter{grid: g, done: make(chan struct{})}
	forms, values := make([]form, len(exprs)), make([][]string, len(exprs))
	for i, expr := range exprs {
		forms[i], values[i] = formOf(expr, t)
		w.points = append(w.points, make([]point, g.n))
	}
	now := time.Now()
	w.began = now
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	in := r.group(forms, of, g.step)
	m := in.member(values)
	m.seen, m.from = now, g.first.Add(-g.step)
	w.member = m
	w.part = in.missing(m, g, w.points, now, 0)
	if w.part.n == 0 {
		close(w.done)
		r.saved(len(exprs))
		return w
	}
	for _, f := range m.under {
		if f.brings(w.part) && f.ctx.Err() == nil {
			f.join(w)
			return w
		}
	}
	key := laneKey{last: w.part.at(w.part.n - 1).UTC(), spread: spread(w.part.n)}
	if now.Before(m.alone) {
		key.alone = m
	}
	l := in.lanes[key]
	if l == nil {
		l = &lane{key: key}
		in.lanes[key] = l
	}
	l.waiting, w.lane = append(l.waiting, w), l
	r.start(in, l, now)
	return w
}

// start serves a lane where somebody waits: at once, or a pause after it did so
// the last time, with all who come until then.
func (r *reader) start(in *group, l *lane, now time.Time) {
	if l.busy || len(l.waiting) == 0 {
		return
	}
	l.busy = true
	if wait := l.began.Add(pause).Sub(now); wait > 0 {
		time.AfterFunc(wait, func() { r.serve(in, l) })
		return
	}
	go r.serve(in, l)
}

// serve asks for those who wait in a lane, and then lets those be served who came
// meanwhile.
func (r *reader) serve(in *group, l *lane) {
	began := time.Now()
	r.mu.Lock()
	l.began = began
	fetches := in.assemble(l, began, keptAtMost-r.kept)
	for _, f := range fetches {
		if len(f.waiting) == 0 {
			f.unattended = true
			r.unattended++
		}
	}
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, f := range fetches {
		wg.Go(func() {
			f.run(r.server)
			r.deliver(f, began)
		})
	}
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	l.busy, l.slow = false, time.Since(began) > slowly
	r.start(in, l, time.Now())
}

// deliver keeps what a fetch brought and hands it to those who wait for it.
func (r *reader) deliver(f *fetch, began time.Time) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.unattended {
		r.unattended--
	}
	for _, m := range f.members {
		m.under = slices.DeleteFunc(m.under, func(o *fetch) bool { return o == f })
		if a := f.got[m]; a.err == nil && len(a.points) > 0 && r.kept < keptAtMost {
			r.kept += f.group.store(m, f.grid, a.points, now)
		}
	}
	f.learn(r.server, began, now)
	if n := len(f.waiting); n > 1 {
		r.saved((n - 1) * len(f.group.forms))
	}
	for _, w := range f.waiting {
		a := f.got[w.member]
		w.err = a.err
		from, _ := f.grid.index(w.part.first)
		to, _ := w.grid.index(w.part.first)
		for e := range a.points {
			copy(w.points[e][to:to+w.part.n], a.points[e][from:])
		}
		close(w.done)
	}
}

// wait waits for the answer, until ctx ends.
func (r *reader) wait(ctx context.Context, w *waiter) error {
	select {
	case <-w.done:
	default: // what is there is taken, also by those who can't wait
		select {
		case <-w.done:
		case <-ctx.Done():
			goesOn := errors.Is(context.Cause(ctx), context.DeadlineExceeded)
			switch sent, came := r.leave(w, goesOn); {
			case came:
			case !sent:
				return r.server.unavailable(fmt.Sprintf("not sent: waited %s for queries before it", time.Since(w.began).Round(time.Millisecond)), nil)
			default:
				return r.server.unavailable(outbound.Reason(context.Cause(ctx)), nil)
			}
		}
	}
	var fault faultError
	if errors.As(w.err, &fault) {
		panic(fault)
	}
	return w.err
}

// leave takes a look out of the line, and ends the fetch that nobody else waits
// for, unless it goes on for a later look; sent says whether it was under way,
// came that its answer has just come.
func (r *reader) leave(w *waiter, goesOn bool) (sent, came bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-w.done: // nothing is under way that could go on
		return true, true
	default:
	}
	is := func(o *waiter) bool { return o == w }
	if f := w.fetch; f != nil {
		f.waiting = slices.DeleteFunc(f.waiting, is)
		switch {
		case len(f.waiting) > 0 || f.unattended:
		case goesOn && r.unattended < unattendedAtMost:
			f.unattended = true
			r.unattended++
		default:
			f.cancel()
		}
		return f.sent.Load(), false
	}
	if w.lane != nil {
		w.lane.waiting = slices.DeleteFunc(w.lane.waiting, is)
	}
	return false, false
}

func (r *reader) group(forms []form, of rowOf, step time.Duration) *group {
	key := string(of.source) + strconv.FormatInt(int64(step), 10)
	for _, f := range forms {
		key += "\x00\x00" + f.key()
	}
	g := r.groups[key]
	if g == nil {
		g = &group{forms: forms, of: of.observation, step: step, members: map[string]*member{}, lanes: map[laneKey]*lane{}, most: fewServices}
		r.groups[key] = g
	}
	return g
}

func (g *group) member(values [][]string) *member {
	key := ""
	for _, v := range values {
		key += joined(v) + "\x00"
	}
	m := g.members[key]
	if m == nil {
		m = &member{values: values}
		g.members[key] = m
	}
	return m
}

// joined is one key of several values.
func joined(values []string) string {
	if len(values) == 1 { // no other key has a length at its beginning and fits it
		return values[0]
	}
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "%d:%s", len(v), v)
	}
	return b.String()
}

// sweep forgets, once a minute, who has not looked for long, and what serves
// nobody any more.
func (r *reader) sweep(now time.Time) {
	if now.Sub(r.swept) < lately {
		return
	}
	r.swept = now
	for key, g := range r.groups {
		for name, m := range g.members {
			if len(m.under) == 0 && !now.Before(m.alone) && now.Sub(m.seen) > max(lately, 2*g.step) {
				r.kept -= len(m.kept)
				m.kept = nil
				delete(g.members, name)
				continue
			}
			r.kept += g.store(m, grid{step: g.step}, nil, now)
		}
		for last, l := range g.lanes {
			if !l.busy && len(l.waiting) == 0 {
				delete(g.lanes, last)
			}
		}
		if len(g.members) == 0 && len(g.lanes) == 0 {
			delete(r.groups, key)
		}
	}
}
