package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
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
}

type outcome struct {
	err      error
	panicked any
	in       []*sql.Tx // in which fn ran
}

// call adds a write, which begins with a row of that number.
func (g *gathering) call(ctx context.Context, number int, then func(context.Context, *sql.Tx) error) *outcome {
	o := &outcome{}
	g.calls = append(g.calls, func() {
		defer func() { o.panicked = recover() }()
		o.err = g.store.grouped(ctx, fmt.Sprint("write ", number), func(ctx context.Context, tx *sql.Tx) error {
			o.in = append(o.in, tx)
			if _, err := tx.ExecContext(ctx, `INSERT INTO deciding (holds) VALUES ($1)`, number); err != nil {
				return err
			}
			return then(ctx, tx)
		})
	})
	return o
}

// run lets all calls begin behind a write that holds them up, one after the
// other, then calls meanwhile, and returns the numbers that are stored in the end.
func (g *gathering) run(meanwhile func()) (stored []int) {
	t, s := g.t, g.store
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
		go func() { call(); left <- struct{}{} }()
		require.Eventually(t, func() bool { return s.deciders.size() == i+1 }, 10*time.Second, time.Millisecond)
	}
	meanwhile()
	close(release)
	require.NoError(t, <-ended)
	for range g.calls {
		<-left
	}
	require.NoError(t, s.read(t.Context(), "read what was written", func(tx *sql.Tx) (err error) {
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
	require.Equal(t, "as it must not", panics.panicked)
	require.NoError(t, last.err)
	require.Equal(t, good.in, last.in)

	alone := &gathering{t: t, store: g.store}
	panics = alone.call(t.Context(), 6, func(context.Context, *sql.Tx) error { panic("nor alone") })
	require.Equal(t, []int{1, 5}, alone.run(func() {}))
	require.Equal(t, "nor alone", panics.panicked)
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
