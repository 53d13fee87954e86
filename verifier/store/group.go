package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// mostGrouped bounds a group, so that nobody else waits for long for the writer.
const mostGrouped = 256

// longestGroup is how long a group goes on to let members begin: a database that
// is slow to answer would otherwise keep the lock from other replicas for longer
// than they wait for it, or undo all of a group that runs out of time.
const longestGroup = 500 * time.Millisecond

// lingering is how long a group that nobody waits for waits for others: looks
// have seconds, and a commit costs as much for one of them as for a hundred.
const lingering = 20 * time.Millisecond

// leaveWithin is how long what is under way gets to end by itself where nobody
// waits for it any more: a network that swallows what is sent tells nobody.
const leaveWithin = time.Second

// grouped is alone for a write of a few statements that many callers ask for at
// the same moment: those share one transaction and so one commit, for what a
// short write costs is mostly the disk's word that it is there. Each runs behind
// a savepoint, so that an error, a conflict or a panic of one undoes nothing of
// the others'. While a group commits, the next one gathers; where nobody is in
// a hurry, for a moment longer. It is on disk when grouped returns nil.
//
// fn must use the context that it is given, which has ctx's values and the end of
// the transaction: one that goes away takes nobody with it, but for one that hangs
// in a statement: the others begin again without it. Where ctx ends before fn
// begins, it never does; where it ends later, the write may be stored or not.
func (s *Store) grouped(ctx context.Context, doing string, fn func(context.Context, *sql.Tx) error) error {
	return s.inGroup(ctx, &s.deciders, s.deciding(), turn{fn: fn}, doing)
}

// inWritersGroup is grouped for what must not rest on rows that it doesn't write,
// see write, and may wait for others a little.
func (s *Store) inWritersGroup(ctx context.Context, what turn, doing string) error {
	if s.dialect.alone == "" { // there is one writer: two groups would wait for each other
		return s.inGroup(ctx, &s.deciders, s.deciding(), what, doing)
	}
	t := s.writing()
	t.options = s.dialect.claiming // each statement asks for the epoch by itself
	return s.inGroup(ctx, &s.writers, t, what, doing)
}

func (s *Store) inGroup(ctx context.Context, g *group, t transaction, what turn, doing string) error {
	if err := s.lock.there(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	return t.tell(ctx, doing, insist(ctx, func() error { return g.join(ctx, t, what) }))
}

// group is who waits to write in the same kind of transaction.
type group struct {
	mu      sync.Mutex
	waiting []*member
	running bool
	ended   sync.WaitGroup // of running
	hurry   chan struct{}  // somebody came who doesn't wait for others
	base    context.Context
	endAll  context.CancelCauseFunc // of base; nil before the first write
}

// turn is what a member of a group does.
type turn struct {
	fn        func(context.Context, *sql.Tx) error
	patient   bool
	accepting *accepting // what fn does, where others' may be done together with it
	saves     saving     // likewise; nil where fn does more
}

// member is one write of a group. Its fn runs on the group's goroutine: handing
// the transaction on to another, and back, takes longer than most of them do
// where the machine is busy.
type member struct {
	turn
	ctx      context.Context
	end      context.CancelCauseFunc // of the transaction, once it has begun
	state    atomic.Int32            // waits, began, left, over or hung
	ran      chan struct{}           // closed once fn has ended
	done     chan struct{}           // closed once the transaction has ended, with err
	err      error
	panicked *panicError // nil for none
	exited   bool        // fn ended its goroutine
}

// panicError is what a write panicked with, and where: the goroutine on which it
// did is not its caller's, who panics with this.
type panicError struct {
	what  any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("%v\n%s", e.what, e.stack) }

// during is the context of a member: its caller's values, and the end of the
// transaction.
type during struct {
	context.Context // the transaction's
	caller          context.Context
}

// Value is the caller's.
func (d during) Value(key any) any { return d.caller.Value(key) }

// The states of a member: it waits until it begins, or leaves before. What has
// begun comes to its end, or hangs when it has left, and ends the transaction.
const (
	waits int32 = iota
	began
	left
	over
	hung
)

// errSpoilt is of those in a group that another one brought down with it.
var errSpoilt = errors.New("another write of the same transaction undid it")

// errPanicked is how fn ended that never returned.
var errPanicked = errors.New("it panicked")

// Why a transaction is ended before its time: its member left in the middle of a
// statement, or the store is closed.
var (
	errLeft   = errors.New("who asked for it has gone")
	errClosed = errors.New("the store is closed")
)

// join runs fn when its turn comes, and waits for the commit. A panic of fn is
// passed on, and so is runtime.Goexit.
func (g *group) join(ctx context.Context, t transaction, what turn) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := &member{turn: what, ctx: ctx, ran: make(chan struct{}), done: make(chan struct{})}
	g.add(m, t)
	err := m.wait(ctx)
	switch {
	case m.panicked != nil:
		panic(m.panicked)
	case m.exited:
		runtime.Goexit()
	}
	return err
}

// wait waits for the commit, or until ctx ends: from then on for fn alone, for
// what it holds is its caller's, and for that not for long.
func (m *member) wait(ctx context.Context) error {
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
	}
	if m.state.CompareAndSwap(waits, left) || m.state.Load() == left {
		return ctx.Err()
	}
	hangs := time.AfterFunc(leaveWithin, func() {
		if m.state.CompareAndSwap(began, hung) { // a commit is left alone
			m.end(errLeft)
		}
	})
	defer hangs.Stop()
	select {
	case <-m.ran:
	case <-m.done:
	}
	select {
	case <-m.done:
		return m.err
	default:
		return ctx.Err()
	}
}

// begin is false where its caller has left.
func (m *member) begin() bool {
	if err := m.ctx.Err(); err != nil && m.state.CompareAndSwap(waits, left) {
		m.err = err // it may hear of the commit before it sees that it has left
	}
	return m.state.CompareAndSwap(waits, began)
}

// hasRun says that fn has ended. An error is that its transaction is being ended,
// although fn itself may know nothing of that.
func (m *member) hasRun() error {
	defer close(m.ran)
	if m.state.CompareAndSwap(began, over) {
		return nil
	}
	return errSpoilt
}

// run calls fn.
func (m *member) run(ctx context.Context, tx *sql.Tx) {
	m.guarded(ctx, func(ctx context.Context) error { return m.fn(ctx, tx) })
}

// guarded calls a part of what the member does, and keeps how that ended even
// where it panics.
func (m *member) guarded(ctx context.Context, part func(context.Context) error) {
	m.err, m.panicked, m.exited = errPanicked, nil, true
	defer func() {
		if r := recover(); r != nil {
			m.panicked, m.exited = &panicError{r, debug.Stack()}, false
		}
	}()
	m.err = part(during{ctx, context.WithoutCancel(m.ctx)})
	m.exited = false
}

func (g *group) add(m *member, t transaction) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, m)
	if g.hurry == nil {
		g.hurry = make(chan struct{}, 1)
		g.base, g.endAll = context.WithCancelCause(context.Background())
	}
	if g.hurried() {
		select {
		case g.hurry <- struct{}{}:
		default:
		}
	}
	if !g.running {
		g.running = true
		g.ended.Go(func() { g.serve(t) })
	}
}

// serve commits one group after the other while anybody waits.
func (g *group) serve(t transaction) {
	ended := false
	defer func() {
		if !ended { // a member has ended this goroutine, and others wait
			g.ended.Go(func() { g.serve(t) })
		}
	}()
	for g.anybody() {
		g.gather()
		g.commit(t)
	}
	ended = true
}

// close waits for what is under way, of which nobody waits for anything any more,
// and ends it where that takes long.
func (g *group) close() {
	hangs := time.AfterFunc(leaveWithin, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.endAll != nil {
			g.endAll(errClosed)
		}
	})
	defer hangs.Stop()
	g.ended.Wait()
}

// hurried reports whether there is nothing to wait for.
func (g *group) hurried() bool {
	return len(g.waiting) >= mostGrouped || slices.ContainsFunc(g.waiting, func(m *member) bool { return !m.patient })
}

// gather waits for others where all who wait may.
func (g *group) gather() {
	g.mu.Lock()
	hurried := g.hurried()
	g.mu.Unlock()
	if hurried {
		return
	}
	timer := time.NewTimer(lingering)
	defer timer.Stop()
	select {
	case <-g.hurry:
	case <-timer.C:
	}
}

// anybody reports whether anybody waits; where not, the next one begins anew.
func (g *group) anybody() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = len(g.waiting) > 0
	return g.running
}

// take returns those who have waited longest.
func (g *group) take() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), mostGrouped)
	taken := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return taken
}

// commit carries out one group and tells its members. They are taken once the
// transaction has begun and before it reads anything, so that each sees all that
// was committed before its call.
func (g *group) commit(t transaction) {
	var taken []*member
	err := errSpoilt // where a member ends the goroutine
	defer func() {
		if taken == nil {
			taken = g.take() // it never began
		}
		tell(taken, err)
	}()
	ctx, end := context.WithCancelCause(g.base)
	defer end(nil)
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	carryOut := func(tx *sql.Tx, w *wire) error {
		taken = g.take()
		for _, m := range taken {
			m.end = end
		}
		n, err := all(ctx, tx, w, taken, t.release)
		g.putBack(taken[n:])
		taken = taken[:n]
		return err
	}
	if t.wired {
		err = t.overWire(ctx, carryOut)
	} else {
		err = t.once(ctx, func(tx *sql.Tx) error { return carryOut(tx, nil) })
	}
}

// tell tells members how their transaction ended.
func tell(taken []*member, err error) {
	for _, m := range taken {
		m.state.CompareAndSwap(waits, left) // it never began
		if m.err == nil {
			m.err = err
		}
		close(m.done)
	}
}

// putBack lets those be the first of the next group.
func (g *group) putBack(rest []*member) {
	if len(rest) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(rest, g.waiting...)
}

// all runs the members of a group, one after the other or together, and returns
// how many there was time for. An error is the end of the whole transaction. Where
// looks are stored beside it, notifications have one run in a transaction: each
// locks what it changes in the order in which looks do, and a second one would begin
// that order anew.
func all(ctx context.Context, tx *sql.Tx, w *wire, taken []*member, release string) (n int, err error) {
	start, accepted := time.Now(), false
	for rest := taken; len(rest) > 0; {
		if time.Since(start) > longestGroup {
			return len(taken) - len(rest), nil
		}
		now := rest[:1]
		if w != nil {
			now = rest[:max(1, independent(rest))]
			if now[0].accepting != nil && accepted {
				return len(taken) - len(rest), nil
			}
			accepted = accepted || now[0].accepting != nil
		}
		rest = rest[len(now):]
		if err := several(ctx, tx, w, now, len(taken) == 1, release); err != nil {
			return len(taken), err
		}
	}
	return len(taken), nil
}

// several runs one member, or all those that can be done together.
func several(ctx context.Context, tx *sql.Tx, w *wire, now []*member, alone bool, release string) (err error) {
	now = slices.DeleteFunc(slices.Clone(now), func(m *member) bool { return !m.begin() })
	if len(now) == 0 {
		return nil
	}
	defer func() {
		for _, m := range now {
			if ended := m.hasRun(); ended != nil {
				err = ended
			}
		}
	}()
	if w != nil && now[0].together() {
		return w.together(ctx, tx, now)
	}
	m := now[0]
	if alone {
		m.run(ctx, tx)
		return m.err
	}
	return m.behindSavepoint(ctx, tx, release)
}

// behindSavepoint lets the member have its turn, and undoes what it did where it
// fails. An error is that this can't be undone by itself: a database may undo
// all of a transaction, as SQLite does where the disk is full.
func (m *member) behindSavepoint(ctx context.Context, tx *sql.Tx, release string) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT member`); err != nil {
		return err
	}
	if m.run(ctx, tx); m.err != nil {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT member`); err != nil {
			return errSpoilt
		}
	}
	if release == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, release)
	return err
}
