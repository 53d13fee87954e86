package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

func TestGroup(t *testing.T) {
	for name, place := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "postflight.db") },
		"postgres": func(t *testing.T) string { return pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), place(t), Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			for name, test := range map[string]func(*testing.T, *gathering){
				"one commit":          testGroupCommitsOnce,
				"one that fails":      testGroupWithoutWhoFails,
				"one that goes away":  testGroupWithoutWhoLeaves,
				"one that stays away": testGroupWithoutWhoStaysAway,
				"one that exits":      testGroupWithoutWhoExits,
				"one that spoils all": testGroupSpoilt,
				"more than fit":       testGroupOfMany,
				"one that is slow":    testGroupBehindASlowOne,
			} {
				t.Run(name, func(t *testing.T) {
					_, err := s.writer.ExecContext(t.Context(), `DELETE FROM deciding`)
					require.NoError(t, err)
					test(t, &gathering{t: t, store: s})
				})
			}
		})
	}
}

// gathering lets writes wait until all are there, and so share a transaction.
type gathering struct {
	t     *testing.T
	store *Store
	calls []func()
	freed chan struct{} // closed once what held them up has ended
}

type outcome struct {
	err      error
	panicked any
	exited   bool      // its goroutine
	in       []*sql.Tx // in which fn ran
}

// call adds a write, which begins with a row of that number.
func (g *gathering) call(ctx context.Context, number int, then func(context.Context, *sql.Tx) error) *outcome {
	o := &outcome{}
	g.calls = append(g.calls, func() {
		returned := false
		defer func() {
			o.panicked = recover()
			o.exited = !returned && o.panicked == nil
		}()
		o.err = g.store.grouped(ctx, fmt.Sprint("write ", number), func(ctx context.Context, tx *sql.Tx) error {
			o.in = append(o.in, tx)
			if _, err := tx.ExecContext(ctx, `INSERT INTO deciding (holds) VALUES ($1)`, number); err != nil {
				return err
			}
			return then(ctx, tx)
		})
		returned = true
	})
	return o
}

// begin lets all calls begin behind a write that holds them up, one after the
// other, then calls meanwhile, and waits until they have ended.
func (g *gathering) begin(meanwhile func()) {
	t, s := g.t, g.store
	g.freed = make(chan struct{})
	holding, release, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- s.alone(t.Context(), "hold others up", func(*sql.Tx) error {
			close(holding)
			<-release
			return nil
		})
	}()
	<-holding
	left := make(chan struct{})
	for i, call := range g.calls {
		go func() {
			defer func() { left <- struct{}{} }()
			call()
		}()
		require.Eventually(t, func() bool { return s.deciders.size() == i+1 }, 10*time.Second, time.Millisecond)
	}
	meanwhile()
	close(release)
	require.NoError(t, <-ended)
	close(g.freed)
	for range g.calls {
		<-left
	}
}

// run is begin, and returns the numbers that are stored in the end.
func (g *gathering) run(meanwhile func()) (stored []int) {
	g.begin(meanwhile)
	t := g.t
	require.NoError(t, g.store.read(t.Context(), "read what was written", func(tx *sql.Tx) (err error) {
		stored, err = queryAll(t.Context(), tx, func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) }, `SELECT holds FROM deciding ORDER BY holds`)
		return err
	}))
	return stored
}

func (g *group) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

func nothing(context.Context, *sql.Tx) error { return nil }

func testGroupCommitsOnce(t *testing.T, g *gathering) {
	var sees []int
	first := g.call(t.Context(), 1, nothing)
	second := g.call(context.WithValue(t.Context(), valueKey{}, "kept"), 2, func(ctx context.Context, tx *sql.Tx) (err error) {
		assert.Equal(t, "kept", ctx.Value(valueKey{}))
		sees, err = queryAll(ctx, tx, func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) }, `SELECT holds FROM deciding ORDER BY holds`)
		return err
	})
	require.Equal(t, []int{1, 2}, g.run(func() {}))
	require.NoError(t, first.err)
	require.NoError(t, second.err)
	require.Equal(t, first.in, second.in, "in one transaction")
	require.Len(t, second.in, 1)
	require.Equal(t, []int{1, 2}, sees, "a later one sees what an earlier one wrote")
}

type valueKey struct{}

func testGroupWithoutWhoFails(t *testing.T, g *gathering) {
	refused := verifier.Errorf(verifier.Conflict, "not now")
	good := g.call(t.Context(), 1, nothing)
	bad := g.call(t.Context(), 2, func(context.Context, *sql.Tx) error { return refused })
	wrong := g.call(t.Context(), 3, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO nowhere (at_all) VALUES (1)`)
		return err
	})
	panics := g.call(t.Context(), 4, func(context.Context, *sql.Tx) error { panic("as it must not") })
	last := g.call(t.Context(), 5, nothing)
	require.Equal(t, []int{1, 5}, g.run(func() {}))
	require.NoError(t, good.err)
	require.Equal(t, refused, bad.err)
	require.Equal(t, verifier.Internal, verifier.KindOf(wrong.err))
	require.ErrorContains(t, wrong.err, "write 3: ")
	requirePanic(t, "as it must not", panics)
	require.NoError(t, last.err)
	require.Equal(t, good.in, last.in)

	alone := &gathering{t: t, store: g.store}
	panics = alone.call(t.Context(), 6, func(context.Context, *sql.Tx) error { panic("nor alone") })
	require.Equal(t, []int{1, 5}, alone.run(func() {}))
	requirePanic(t, "nor alone", panics)
}

// requirePanic wants a panic that says where it began.
func requirePanic(t *testing.T, what string, o *outcome) {
	t.Helper()
	var is *panicError
	require.ErrorAs(t, o.panicked.(error), &is)
	require.Equal(t, what, is.what)
	require.Contains(t, is.Error(), what+"\n")
	require.Contains(t, is.Error(), "testGroupWithoutWhoFails", "the stack of what panicked")
}

// A member that has left and takes long ends the transaction, whether or not it
// fails by that: the others are written without it.
func testGroupWithoutWhoStaysAway(t *testing.T, g *gathering) {
	leaves, leave := context.WithCancel(t.Context())
	before := g.call(t.Context(), 1, nothing)
	away := g.call(leaves, 2, func(ctx context.Context, _ *sql.Tx) error {
		leave()
		<-ctx.Done() // the transaction's
		return nil
	})
	after := g.call(t.Context(), 3, nothing)
	require.Equal(t, []int{1, 3}, g.run(func() {}))
	require.ErrorIs(t, away.err, context.Canceled)
	require.NoError(t, before.err)
	require.Len(t, before.in, 2, "and was written again")
	require.NoError(t, after.err)
}

// A member that ends its goroutine, as a test does that fails, ends its caller's,
// and nobody else's write.
func testGroupWithoutWhoExits(t *testing.T, g *gathering) {
	before := g.call(t.Context(), 1, nothing)
	exits := g.call(t.Context(), 2, func(context.Context, *sql.Tx) error { runtime.Goexit(); return nil })
	after := g.call(t.Context(), 3, nothing)
	require.Equal(t, []int{1, 3}, g.run(func() {}))
	require.True(t, exits.exited)
	for _, o := range []*outcome{before, after} {
		require.NoError(t, o.err)
		require.False(t, o.exited)
	}

	alone := &gathering{t: t, store: g.store}
	exits = alone.call(t.Context(), 4, func(context.Context, *sql.Tx) error { runtime.Goexit(); return nil })
	require.Equal(t, []int{1, 3}, alone.run(func() {}))
	require.True(t, exits.exited)
}

// A network may swallow what is sent, and tell nobody. Transactions have a day
// here.
func TestGroupOnASilentNetwork(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *gathering, *pgtest.Link){
		"in a statement": testGroupSilentInAStatement,
		"at the commit":  testGroupSilentAtTheCommit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Database(t)
			link := pgtest.Through(t, database)
			s, err := Open(t.Context(), link.URL, Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			s.dialect.within = 24 * time.Hour
			for _, db := range []*sql.DB{s.writer, s.reader} {
				db.SetMaxIdleConns(0) // what is begun anew has a connection of its own
			}
			test(t, &gathering{t: t, store: s}, link)
		})
	}
}

// Who leaves needn't wait until the transaction is given up, nor need those that
// shared it: they are written without it.
func testGroupSilentInAStatement(t *testing.T, g *gathering, link *pgtest.Link) {
	ctx, leave := context.WithCancel(t.Context())
	before := g.call(t.Context(), 1, nothing)
	leaves := g.call(ctx, 2, func(ctx context.Context, tx *sql.Tx) error {
		<-g.freed
		link.Silence()
		leave()
		_, err := tx.ExecContext(ctx, `UPDATE deciding SET holds = 20 WHERE holds = 2`)
		return err
	})
	after := g.call(t.Context(), 3, nothing)
	require.Equal(t, []int{1, 3}, g.run(func() {}))
	require.Equal(t, verifier.Unavailable, verifier.KindOf(leaves.err))
	require.NoError(t, before.err)
	require.NoError(t, after.err)
	require.Len(t, before.in, 2, "and was written again")
}

// Whether a commit that nobody answers has come to be nobody knows: nobody is told
// that it has or hasn't, and the store can be closed.
func testGroupSilentAtTheCommit(t *testing.T, g *gathering, link *pgtest.Link) {
	ctx, leave := context.WithCancel(t.Context())
	leaves := g.call(ctx, 1, nothing)
	stays := g.call(t.Context(), 2, func(context.Context, *sql.Tx) error {
		<-g.freed
		link.Silence()
		leave()
		return nil
	})
	closed, first := make(chan error, 1), g.calls[0]
	g.calls[0] = func() {
		first()
		closed <- g.store.Close()
	}
	g.begin(func() {})
	require.NoError(t, <-closed)
	for _, o := range []*outcome{leaves, stays} {
		require.Equal(t, verifier.Unavailable, verifier.KindOf(o.err))
		require.Len(t, o.in, 1, "and is not written again, for it may be stored")
	}
}

func testGroupWithoutWhoLeaves(t *testing.T, g *gathering) {
	leaves, leave := context.WithCancel(t.Context())
	within, end := context.WithCancel(t.Context())
	gone := g.call(leaves, 1, nothing)
	during := g.call(within, 2, func(ctx context.Context, tx *sql.Tx) error {
		end() // its own end reaches nobody's statements
		_, err := tx.ExecContext(ctx, `UPDATE deciding SET holds = 20 WHERE holds = 2`)
		return err
	})
	stays := g.call(t.Context(), 3, nothing)
	require.Equal(t, []int{3, 20}, g.run(leave))
	require.ErrorIs(t, gone.err, context.Canceled)
	require.Empty(t, gone.in, "it never began")
	if during.err != nil { // it heard of the commit or of its own end, whichever came first
		require.ErrorIs(t, during.err, context.Canceled)
	}
	require.NoError(t, stays.err)

	late := &gathering{t: t, store: g.store}
	require.ErrorIs(t, late.store.grouped(leaves, "come late", nothing), context.Canceled)
}

// A database may undo a whole transaction at an error in it, as SQLite does
// where the disk is full.
func testGroupSpoilt(t *testing.T, g *gathering) {
	full := errors.New("disk full")
	before := g.call(t.Context(), 1, nothing)
	spoils := g.call(t.Context(), 2, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `ROLLBACK`)
		return errors.Join(full, err)
	})
	after := g.call(t.Context(), 3, nothing)
	require.Equal(t, []int{1, 3}, g.run(func() {}))
	require.ErrorIs(t, spoils.err, full)
	require.NoError(t, before.err)
	require.NoError(t, after.err)
	require.Len(t, before.in, 2, "and was written again")
}

func testGroupOfMany(t *testing.T, g *gathering) {
	var outcomes []*outcome
	for i := range 2*mostGrouped + 1 {
		outcomes = append(outcomes, g.call(t.Context(), i, nothing))
	}
	require.Len(t, g.run(func() {}), 2*mostGrouped+1)
	in := map[*sql.Tx]int{}
	for _, o := range outcomes {
		require.NoError(t, o.err)
		in[o.in[0]]++
	}
	for _, n := range in {
		require.LessOrEqual(t, n, mostGrouped)
	}
	require.Len(t, in, 3)
}

// Where the database is slow, a group ends before the others who wait for it,
// here and on other replicas, have waited for too long.
func testGroupBehindASlowOne(t *testing.T, g *gathering) {
	slow := g.call(t.Context(), 1, func(context.Context, *sql.Tx) error { time.Sleep(longestGroup + time.Millisecond); return nil })
	next := g.call(t.Context(), 2, nothing)
	last := g.call(t.Context(), 3, nothing)
	require.Equal(t, []int{1, 2, 3}, g.run(func() {}))
	for _, o := range []*outcome{slow, next, last} {
		require.NoError(t, o.err)
		require.Len(t, o.in, 1)
	}
	require.NotEqual(t, slow.in, next.in, "the slow one has committed")
	require.Equal(t, next.in, last.in)
}
