package promql

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/postflight/postflight/verifier"
)

// fetch is a query under way for many looks, in parts where some of it can't be
// had together. It ends when those who wait for it want it no more; where they
// only had no more time, it goes on and serves their next looks.
type fetch struct {
	group   *group
	grid    grid
	room    int // members that it may have
	members []*member
	waiting []*waiter
	ctx     context.Context
	cancel  context.CancelFunc
	sent    atomic.Bool // its first query

	unattended bool // goes on though nobody waits

	// What came of it.
	got      map[*member]answer
	late     bool // no answer in time
	smallest int  // members that could be had together where all could not; 0 where they could
}

// answer is a point of every step for each form, or an error.
type answer struct {
	points [][]point // by form
	err    error
}

// waiter is a look that waits for some steps of a member.
type waiter struct {
	member *member
	grid   grid      // what it wants
	points [][]point // by form, one for each step, where it is known
	part   grid      // what of it is missing
	lane   *lane     // where it waits for the next fetch
	fetch  *fetch    // that brings it
	began  time.Time
	done   chan struct{}
	err    error
}

func newFetch(g *group, last time.Time, room int) *fetch {
	f := &fetch{group: g, grid: grid{first: last.Add(g.step), step: g.step}, room: room, got: map[*member]answer{}}
	f.ctx, f.cancel = context.WithTimeout(context.Background(), lately)
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

func (f *fetch) run(s *server) {
	defer f.cancel()
	f.ask(s, f.members)
}

// faultError is a panic of ours over a reply, for those who wait for it to
// panic with: as they would, had they asked by themselves.
type faultError struct{ what string }

func (e faultError) Error() string { return e.what }

// recovered turns a panic into a faultError.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = faultError{fmt.Sprintf("%v\n%s", r, debug.Stack())}
	}
}

// ask asks for some members together. Where the replies can't be had or used as
// a whole, each half is asked for: one member's trouble is its own.
func (f *fetch) ask(s *server, members []*member) (whole bool) {
	got, err := f.together(s, members)
	switch {
	case err == nil:
		whole = true
		for _, m := range members {
			f.got[m] = got[m]
			whole = whole && (got[m].err == nil || len(members) > 1)
		}
		return whole
	case len(members) > 1 && f.ctx.Err() == nil && dividing(err):
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

// together asks for all forms at once. An error is that of a whole reply.
func (f *fetch) together(s *server, members []*member) (got map[*member]answer, err error) {
	defer recovered(&err)
	each := make([]map[*member]model.Matrix, len(f.group.forms))
	asking, ctx := errgroup.WithContext(f.ctx)
	for i := range f.group.forms {
		asking.Go(func() (err error) {
			defer recovered(&err)
			each[i], err = f.form(ctx, s, i, members)
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	out := make(map[*member]answer, len(members))
	for _, m := range members {
		out[m] = f.read(s, m, each)
	}
	return out, nil
}

// form asks for one form of some members, and gives each its series.
func (f *fetch) form(ctx context.Context, s *server, i int, members []*member) (map[*member]model.Matrix, error) {
	form := f.group.forms[i]
	many := len(members) > 1 && len(form.labels) > 0
	expr := form.of(members[0].values[i])
	if many {
		all := make([][]string, len(members))
		for j, m := range members {
			all[j] = m.values[i]
		}
		expr = form.ofAll(all)
	}
	matrix, err := s.matrix(ctx, expr, f.grid, func() { f.sent.Store(true) })
	switch {
	case err != nil:
		return nil, err
	case many:
		return f.divide(s, i, matrix, members)
	}
	each := make(map[*member]model.Matrix, len(members))
	for _, m := range members {
		each[m] = matrix
	}
	return each, nil
}

func (f *fetch) read(s *server, m *member, each []map[*member]model.Matrix) answer {
	a := answer{points: make([][]point, len(each))}
	for i := range each {
		a.points[i] = make([]point, f.grid.n)
		if err := read(each[i][m], f.grid, a.points[i]); err != nil {
			return answer{err: s.unavailable(err.Error(), dividableError{})}
		}
	}
	return a
}

// divide gives each member its series. A series of nobody may be one of values
// that were asked for in other company; any other spoils the reply.
func (f *fetch) divide(s *server, form int, matrix model.Matrix, members []*member) (map[*member]model.Matrix, error) {
	labels := f.group.forms[form].labels
	whose := make(map[string][]*member, len(members)) // who differ in another form
	asked := make([]map[string]bool, len(labels))
	for i := range asked {
		asked[i] = make(map[string]bool, len(members))
	}
	for _, m := range members {
		key := joined(m.values[form])
		whose[key] = append(whose[key], m)
		for i, v := range m.values[form] {
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
		for _, m := range whose[joined(values)] {
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
// fewer where that was too much, more where it was not, or is not any more.
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
		g.most, g.careful = max(1, g.most/2), now.Add(aloneFor)
	case f.smallest > 0:
		g.most, g.enough = f.smallest, now.Add(aloneFor)
	case len(f.members) < f.room || now.Before(g.enough):
	case now.Sub(began) < s.timeout/10 || !now.Before(g.careful):
		g.most = min(mostServices, 2*g.most)
	}
}
