package promql

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/verifier"
)

// fetch is a query under way for many looks, in parts where some of it can't be
// had together. It ends when nobody waits for it any more.
type fetch struct {
	group   *group
	grid    grid
	room    int // members that it may have
	members []*member
	waiting []*waiter
	ctx     context.Context
	cancel  context.CancelFunc
	sent    atomic.Bool // its first query

	// What came of it.
	got      map[*member]answer
	late     bool // no answer in time
	smallest int  // members that could be had together where all could not; 0 where they could
	panicked any
}

// answer is a point of every step, or an error.
type answer struct {
	points []point
	err    error
}

// waiter is a look that waits for some steps of a member.
type waiter struct {
	member *member
	grid   grid    // what it wants
	points []point // one for each, where it is known
	part   grid    // what of it is missing
	lane   *lane   // where it waits for the next fetch
	fetch  *fetch  // that brings it
	began  time.Time
	done   chan struct{}
	err    error
	fault  any // what panicked
}

func newFetch(g *group, last time.Time, room int) *fetch {
	f := &fetch{group: g, grid: grid{first: last.Add(g.step), step: g.step}, room: room, got: map[*member]answer{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// add takes a member in, and so many steps up to the last.
func (f *fetch) add(m *member, steps int) {
	f.members = append(f.members, m)
	m.under = append(m.under, f)
	f.reach(steps)
}

func (f *fetch) reach(steps int) {
	if more := steps - f.grid.n; more > 0 {
		f.grid = grid{first: f.grid.first.Add(-time.Duration(more) * f.grid.step), step: f.grid.step, n: steps}
	}
}

// join lets a look wait for the fetch.
func (f *fetch) join(w *waiter) {
	f.waiting = append(f.waiting, w)
	w.fetch = f
}

// brings says whether the fetch has all of some steps.
func (f *fetch) brings(part grid) bool {
	_, first := f.grid.index(part.first)
	_, last := f.grid.index(part.at(part.n - 1))
	return first && last
}

// run asks. A panic over a reply is handed to those who wait for it.
func (f *fetch) run(s *server) {
	defer f.cancel()
	defer func() {
		if r := recover(); r != nil {
			f.panicked = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	f.ask(s, f.members)
}

// ask asks for some members together. Where the reply can't be had or used as a
// whole, each half is asked for: one member's trouble is its own.
func (f *fetch) ask(s *server, members []*member) (whole bool) {
	if len(members) == 1 {
		return f.askOne(s, members[0])
	}
	all := make([][]string, len(members))
	for i, m := range members {
		all[i] = m.values
	}
	matrix, err := f.matrix(s, f.group.form.ofAll(all))
	var each map[*member]model.Matrix
	if err == nil {
		each, err = f.divide(s, matrix, members)
	}
	switch {
	case err == nil:
		for _, m := range members {
			f.got[m] = f.read(s, each[m])
		}
		return true
	case f.ctx.Err() == nil && dividing(err):
		half := len(members) / 2
		first := f.ask(s, members[:half])
		if f.ask(s, members[half:]) && first {
			f.smallest = half
		}
		return false
	}
	f.late = f.late || errors.As(err, new(lateError))
	for _, m := range members {
		f.got[m] = answer{err: err}
	}
	return false
}

func (f *fetch) askOne(s *server, m *member) bool {
	matrix, err := f.matrix(s, f.group.form.of(m.values))
	if err != nil {
		f.late = f.late || errors.As(err, new(lateError))
		f.got[m] = answer{err: err}
		return false
	}
	f.got[m] = f.read(s, matrix)
	return f.got[m].err == nil
}

func (f *fetch) matrix(s *server, expr string) (model.Matrix, error) {
	return s.matrix(f.ctx, expr, f.grid, func() { f.sent.Store(true) })
}

func (f *fetch) read(s *server, matrix model.Matrix) answer {
	a := answer{points: make([]point, f.grid.n)}
	if err := read(matrix, f.grid, a.points); err != nil {
		return answer{err: s.unavailable(err.Error(), dividableError{})}
	}
	return a
}

// divide gives each member its series. A series of nobody may be one of values
// that were asked for in other company; any other spoils the reply.
func (f *fetch) divide(s *server, matrix model.Matrix, members []*member) (map[*member]model.Matrix, error) {
	labels := f.group.form.labels
	whose := make(map[string]*member, len(members))
	asked := make([]map[string]bool, len(labels))
	for i := range asked {
		asked[i] = make(map[string]bool, len(members))
	}
	for _, m := range members {
		whose[joined(m.values)] = m
		for i, v := range m.values {
			asked[i][v] = true
		}
	}
	each := make(map[*member]model.Matrix, len(members))
	values := make([]string, len(labels))
	for _, stream := range matrix {
		if stream == nil || len(stream.Metric) != len(labels) {
			return nil, s.unavailable("the reply holds a series without the labels that were asked for", dividableError{})
		}
		for i, label := range labels {
			values[i] = string(stream.Metric[model.LabelName(label)])
			if !asked[i][values[i]] {
				return nil, s.unavailable("the reply holds a series that was not asked for", dividableError{})
			}
		}
		if m := whose[joined(values)]; m != nil {
			each[m] = append(each[m], stream)
		}
	}
	return each, nil
}

// dividing says whether an answer to many may be had for fewer.
func dividing(err error) bool {
	var late lateError
	return !errors.As(err, &late) && (errors.As(err, new(tooHeavyError)) || errors.As(err, new(warningError)) ||
		errors.As(err, new(dividableError)) || verifier.KindOf(err) == verifier.Invalid)
}

// dividableError marks replies that are of no use as a whole.
type dividableError struct{}

func (dividableError) Error() string { return "the reply is of no use as a whole" }

// spoilers are the members without which the others could be had together:
// those that could not be had by themselves either.
func (f *fetch) spoilers() []*member {
	if len(f.members) == 1 {
		return nil
	}
	var out []*member
	for _, m := range f.members {
		if err := f.got[m].err; err != nil && dividing(err) {
			out = append(out, m)
		}
	}
	return out
}

// learn sets who is asked for by itself from now on, and how many are together:
// fewer where that was too much, more where it was quick.
func (f *fetch) learn(s *server, began, now time.Time) {
	g, spoilers := f.group, f.spoilers()
	apart := aloneFor
	if len(spoilers) > len(f.members)/2 { // it is the server's trouble
		apart = lately
	}
	for _, m := range spoilers {
		m.alone = now.Add(apart)
	}
	switch {
	case g.most != f.room: // learnt meanwhile, or bounded by the samples
	case f.late:
		g.most = max(1, g.most/2)
	case f.smallest > 0:
		g.most, g.enough = f.smallest, now.Add(aloneFor)
	case len(f.members) == f.room && now.Sub(began) < s.timeout/10 && !now.Before(g.enough):
		g.most = min(mostServices, 2*g.most)
	}
}
