package promql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// sharedSteps is the longest stretch that looks share; a longer one, of a
// source that was away for long, is asked for by itself.
const sharedSteps = 512

// pause is between the beginnings of two queries for the same: services that are
// not known yet are asked for together where they look within that time.
const pause = 100 * time.Millisecond

// reader lets looks share what they ask a server: the same expression over the
// same steps is asked once, and services whose expressions differ only in their
// name are asked for together, with those that are about to look.
type reader struct {
	server *server
	saved  func(reads int) // answered by a query of another look

	mu     sync.Mutex
	groups map[string]*group
	kept   int // points
	swept  time.Time
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
func (l *look) points(ctx context.Context, g grid, exprs ...string) ([][]point, error) {
	if g.n > sharedSteps {
		return l.reader.server.points(ctx, g, exprs...)
	}
	if err := ctx.Err(); err != nil { // nothing is asked that nobody waits for
		return nil, l.reader.server.unavailable(outbound.Reason(err), nil)
	}
	waiters := make([]*waiter, len(exprs))
	for i, expr := range exprs {
		waiters[i] = l.reader.enter(g, expr, l.target)
		l.members = append(l.members, waiters[i].member)
	}
	out := make([][]point, len(exprs))
	for i, w := range waiters {
		if err := l.reader.wait(ctx, w); err != nil {
			for _, rest := range waiters[i+1:] {
				l.reader.leave(rest)
			}
			return nil, err
		}
		out[i] = w.points
	}
	return out, nil
}

// saw tells what came of the look, and with it what the next one asks for: what
// follows the last step that was measured.
func (l *look) saw(observations []verifier.Observation) {
	for _, o := range slices.Backward(observations) {
		if o.Outcome != verifier.Measured {
			continue
		}
		l.reader.mu.Lock()
		defer l.reader.mu.Unlock()
		for _, m := range l.members {
			m.from = o.At
		}
		return
	}
}

// enter finds out what is known of an expression's steps, and puts the look
// in line for the rest.
func (r *reader) enter(g grid, expr string, t verifier.Target) *waiter {
	f, values := formOf(expr, t)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	in := r.group(f, g.step)
	m := in.member(values)
	m.seen, m.from = now, g.first.Add(-g.step)
	w := &waiter{member: m, grid: g, points: make([]point, g.n), began: now, done: make(chan struct{})}
	w.part = in.missing(m, g, w.points, now, 0)
	if w.part.n == 0 {
		close(w.done)
		r.saved(1)
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
	fetches := in.assemble(l, began)
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
	l.busy = false
	r.start(in, l, time.Now())
}

// deliver keeps what a fetch brought and hands it to those who wait for it.
func (r *reader) deliver(f *fetch, began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range f.members {
		m.under = slices.DeleteFunc(m.under, func(o *fetch) bool { return o == f })
		if a := f.got[m]; a.err == nil && len(a.points) > 0 && r.kept < keptAtMost {
			r.kept += f.group.store(m, f.grid, a.points, began)
		}
	}
	f.learn(r.server, began, time.Now())
	if n := len(f.waiting); n > 1 {
		r.saved(n - 1)
	}
	for _, w := range f.waiting {
		a := f.got[w.member]
		w.err, w.fault = a.err, f.panicked
		for i := range w.part.n {
			if len(a.points) == 0 {
				break
			}
			from, _ := f.grid.index(w.part.at(i))
			to, _ := w.grid.index(w.part.at(i))
			w.points[to] = a.points[from]
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
			sent := r.leave(w)
			if !sent {
				return r.server.unavailable(fmt.Sprintf("not sent: waited %s for queries before it", time.Since(w.began).Round(time.Millisecond)), nil)
			}
			return r.server.unavailable(outbound.Reason(ctx.Err()), nil)
		}
	}
	if w.fault != nil {
		panic(w.fault) // the look's, as if it had asked by itself
	}
	return w.err
}

// leave takes a look out of the line, and ends the fetch that nobody else waits
// for; sent says whether it was under way.
func (r *reader) leave(w *waiter) (sent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := func(o *waiter) bool { return o == w }
	if f := w.fetch; f != nil {
		f.waiting = slices.DeleteFunc(f.waiting, is)
		if len(f.waiting) == 0 {
			f.cancel()
		}
		return f.sent.Load()
	}
	if w.lane != nil {
		w.lane.waiting = slices.DeleteFunc(w.lane.waiting, is)
	}
	return false
}

func (r *reader) group(f form, step time.Duration) *group {
	key := strconv.FormatInt(int64(step), 10) + "\x00" + f.key()
	g := r.groups[key]
	if g == nil {
		g = &group{form: f, step: step, members: map[string]*member{}, lanes: map[laneKey]*lane{}, most: fewServices}
		r.groups[key] = g
	}
	return g
}

func (g *group) member(values []string) *member {
	key := joined(values)
	m := g.members[key]
	if m == nil {
		m = &member{}
		for _, v := range values {
			m.values = append(m.values, strings.Clone(v)) // not all of the text around it
		}
		g.members[joined(m.values)] = m
	}
	return m
}

// joined is one key of several values.
func joined(values []string) string {
	if len(values) == 1 {
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
