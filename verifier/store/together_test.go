package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// Notifications that share a transaction fare as if each had come by itself.
func TestAcceptTogether(t *testing.T) {
	for name, place := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "postflight.db") },
		"postgres": func(t *testing.T) string { return pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), place(t), Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			testAcceptTogether(t, s)
			testAcceptTogetherInOnePlace(t, s)
		})
	}
}

// numbered saves a number in a table.
type numbered struct {
	about, table string
	number       int
}

func (n numbered) of() string { return n.about }

func (n numbered) save(ctx context.Context, to execer) error {
	_, err := to.ExecContext(ctx, `INSERT INTO `+n.table+` (holds) VALUES ($1)`, n.number)
	return err
}

// What can't even be begun, for its statements can't be prepared, undoes nothing
// of what others are told is stored: its savepoint is not there, and that of what
// was done before it has the same name.
func TestTogetherWhatCannotBegin(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Database(t), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	g := &gathering{t: t, store: s}
	var errs [3]error
	for i, n := range []numbered{{"one", "deciding", 1}, {"one", "no_such_table", 2}, {"two", "deciding", 3}} {
		g.calls = append(g.calls, func() {
			fn := func(ctx context.Context, tx *sql.Tx) error { return n.save(ctx, tx) }
			errs[i] = s.inGroup(t.Context(), &s.deciders, s.deciding(), turn{fn: fn, saves: n}, "save")
		})
	}
	stored := g.run(func() {})
	require.Error(t, errs[1])
	for i, number := range []int{1, 2, 3} {
		require.Equal(t, errs[i] == nil, slices.Contains(stored, number), "%d: told %v, stored are %v", number, errs[i], stored)
	}
}

type accepted struct {
	a     verifier.Acceptance
	again bool
	err   error
}

func testAcceptTogether(t *testing.T, s *Store) {
	now := time.Now()
	policies := []verifier.Policy{{Name: "p", Window: verifier.Duration(time.Hour), Interval: verifier.Duration(time.Minute), Receivers: []string{"chat"}}}
	of := func(service, version, delivery string) verifier.Notification {
		return verifier.Notification{Source: "ci", DeliveryID: delivery, Deployment: verifier.Deployment{Source: "ci", DeploymentID: delivery,
			Service: service, Environment: "production", Version: version, Status: verifier.DeployFinished, StartedAt: now, FinishedAt: now}}
	}
	before, _, err := s.Accept(t.Context(), of("before", "1", "before"), policies, now)
	require.NoError(t, err)
	got := make([]accepted, 8)
	g := &gathering{t: t, store: s}
	for i, n := range []verifier.Notification{
		of("checkout", "1", "a"),
		of("before", "1", "before"), // the same delivery as the one that is there
		of("checkout", "2", "b"),    // supersedes the first
		of("checkout", "1", "a"),    // the same as the first
		of("pay", "1", "a"),         // its delivery id for another deploy: a conflict
		of("cart", "1", "c"),
		of("before", "2", "d"), // supersedes the one that is there
		of("basket", "1\x00", "e"),
	} {
		g.calls = append(g.calls, func() {
			got[i].a, got[i].again, got[i].err = s.Accept(t.Context(), n, policies, now.Add(time.Duration(i)*time.Millisecond))
		})
	}
	g.run(func() {})

	states := func(id string) verifier.State {
		v, err := s.Verification(context.Background(), id)
		require.NoError(t, err)
		return v.State
	}
	for _, i := range []int{0, 2, 5, 6} {
		require.NoError(t, got[i].err, i)
		require.NotNil(t, got[i].a.Verification, i)
	}
	require.True(t, got[1].again)
	require.Equal(t, before.Verification.ID, got[1].a.Existing)
	require.Equal(t, verifier.StateSuperseded, states(got[0].a.Verification.ID))
	require.Equal(t, verifier.StatePending, states(got[2].a.Verification.ID))
	require.True(t, got[3].again)
	require.Equal(t, got[0].a.Verification.ID, got[3].a.Existing)
	require.Equal(t, verifier.Conflict, verifier.KindOf(got[4].err))
	require.Equal(t, verifier.StatePending, states(got[5].a.Verification.ID))
	require.Equal(t, verifier.StateSuperseded, states(before.Verification.ID))
	require.Equal(t, verifier.StatePending, states(got[6].a.Verification.ID))
	if s.dialect.wired { // which has no character for it
		require.Equal(t, verifier.Invalid, verifier.KindOf(got[7].err))
	}
	var queued, stored int
	require.NoError(t, s.reader.QueryRowContext(t.Context(), `SELECT count(*) FROM deliveries`).Scan(&stored))
	require.NoError(t, s.reader.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'delivery'`).Scan(&queued))
	require.Positive(t, stored)
	require.Equal(t, stored, queued, "each delivery has its job")
}

// None of these fails, whatever it rests on: each must see the one before it.
func testAcceptTogetherInOnePlace(t *testing.T, s *Store) {
	now := time.Now()
	policies := []verifier.Policy{{Name: "p", Window: verifier.Duration(time.Hour), Interval: verifier.Duration(time.Minute)}}
	got := make([]accepted, 4)
	g := &gathering{t: t, store: s}
	for i := range got {
		n := verifier.Notification{Source: "ci", Deployment: verifier.Deployment{Source: "ci", Service: "alone", Environment: "production",
			Version: string(rune('1' + i)), Status: verifier.DeployFinished, StartedAt: now, FinishedAt: now}}
		g.calls = append(g.calls, func() {
			got[i].a, got[i].again, got[i].err = s.Accept(t.Context(), n, policies, now.Add(time.Duration(i)*time.Millisecond))
		})
	}
	g.run(func() {})
	for i, one := range got {
		require.NoError(t, one.err)
		require.Equal(t, int64(i+1), one.a.Deployment.Place)
		v, err := s.Verification(t.Context(), one.a.Verification.ID)
		require.NoError(t, err)
		require.Equal(t, i < len(got)-1, v.State == verifier.StateSuperseded, i)
	}
}
