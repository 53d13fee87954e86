package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
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

// numbered saves a number by a statement, for a verification that nobody has
// claimed yet unless it says so.
type numbered struct {
	held
	statement string
	number    int
}

const (
	aNumber     = `INSERT INTO deciding (holds) VALUES ($1)`
	noSuchTable = `INSERT INTO no_such_table (holds) VALUES ($1)`
	itFails     = `INSERT INTO deciding (holds) SELECT $1::int / 0`
)

func (n numbered) of() held { return n.held }

func (n numbered) save(ctx context.Context, to execer) error {
	_, err := to.ExecContext(ctx, n.statement, n.number)
	return err
}

// saveTogether saves all in one group, and returns how each ended, which of them
// had turns of their own, and the numbers that are stored.
func saveTogether(t *testing.T, s *Store, all []numbered) (errs []error, alone []int, stored []int) {
	t.Helper()
	g := &gathering{t: t, store: s}
	errs = make([]error, len(all))
	for i, n := range all {
		g.calls = append(g.calls, func() {
			fn := func(ctx context.Context, tx *sql.Tx) error {
				alone = append(alone, i) // one after the other
				return n.save(ctx, tx)
			}
			errs[i] = s.inGroup(t.Context(), &s.deciders, s.deciding(), turn{fn: fn, saves: n}, "save")
		})
	}
	stored = g.run(func() {})
	return errs, alone, stored
}

// running opens verifications, and returns what is held of each.
func running(t *testing.T, s *Store, n int) (out []held) {
	t.Helper()
	now := time.Now()
	policies := []verifier.Policy{{Name: "p", Window: verifier.Duration(time.Hour), Interval: verifier.Duration(time.Minute)}}
	for i := range n {
		a, _, err := s.Accept(t.Context(), verifier.Notification{Source: "ci", Deployment: verifier.Deployment{Source: "ci", Service: fmt.Sprint("service-", i),
			Environment: "production", Version: "1", Status: verifier.DeployFinished, StartedAt: now, FinishedAt: now}}, policies, now)
		require.NoError(t, err)
		out = append(out, held{a.Verification.ID, 0})
	}
	return out
}

// What can't even be begun, for its statements can't be prepared, undoes nothing
// of what others are told is stored: its savepoint is not there, and that of what
// was done before it has the same name.
func TestTogetherWhatCannotBegin(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Database(t), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	of := running(t, s, 2)
	errs, _, stored := saveTogether(t, s, []numbered{{of[0], aNumber, 1}, {of[0], noSuchTable, 2}, {of[1], aNumber, 3}})
	require.Error(t, errs[1])
	for i, number := range []int{1, 2, 3} {
		require.Equal(t, errs[i] == nil, slices.Contains(stored, number), "%d: told %v, stored are %v", number, errs[i], stored)
	}
}

// What has lost its claim says so, what fails says why, and both leave the others
// together: only what is next to a failure, down to it, is sent again by halves.
func TestTogetherSomeFail(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Database(t), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	const many = 32
	lost, failing := []int{4, 5, 31}, 17
	var all []numbered
	for i, h := range running(t, s, many) {
		all = append(all, numbered{h, aNumber, i + 1})
	}
	for _, i := range lost {
		all[i].epoch++
	}
	errs, alone, stored := saveTogether(t, s, all)
	require.Empty(t, alone, "who has lost its claim holds up nobody")
	requireStored := func() {
		for i, n := range all {
			wanted := !slices.Contains(lost, i) && n.statement == aNumber
			require.Equal(t, wanted, slices.Contains(stored, n.number), i)
			require.Equal(t, wanted, errs[i] == nil, "%d: %v", i, errs[i])
		}
		for _, i := range lost {
			require.Equal(t, verifier.Conflict, verifier.KindOf(errs[i]))
			require.ErrorContains(t, errs[i], "claimed again or ended")
		}
	}
	requireStored()

	for i := range all {
		all[i].number += many
	}
	all[failing].statement = itFails
	errs, alone, stored = saveTogether(t, s, all)
	require.Equal(t, []int{failing}, alone, "what failed had its turn by itself")
	require.ErrorContains(t, errs[failing], "division by zero")
	requireStored()

	for i := range all {
		all[i].epoch, all[i].statement = 7, aNumber
	}
	errs, alone, _ = saveTogether(t, s, all)
	require.Empty(t, alone)
	for _, err := range errs {
		require.Equal(t, verifier.Conflict, verifier.KindOf(err))
	}
}

// TestTogetherInOneOrder: notifications that supersede what runs and looks at that
// don't wait for one another in a circle, which PostgreSQL ends after a second
// while everybody else who decides waits.
func TestTogetherInOneOrder(t *testing.T) {
	for name, test := range map[string]struct {
		times  int // that each service is deployed to in a round
		revert int // one in so many says that it is a rollback; 0 for none
	}{
		"each once":      {times: 1},
		"each twice":     {times: 2},
		"some rollbacks": {times: 1, revert: 10},
	} {
		t.Run(name, func(t *testing.T) { testTogetherInOneOrder(t, test.times, test.revert) })
	}
}

func testTogetherInOneOrder(t *testing.T, times, revert int) {
	place := pgtest.Database(t)
	s, err := Open(t.Context(), place, Options{CallersTime: true})
	require.NoError(t, err)
	const services = 60
	policies := []verifier.Policy{{Name: "p", Window: verifier.Duration(time.Hour), Interval: verifier.Duration(time.Minute)}}
	now := time.Now()
	deploy := func(i, version int) {
		at := now.Add(time.Duration(version) * time.Second)
		d := verifier.Deployment{Source: "ci", Service: fmt.Sprint("service-", i), Environment: "production", Version: fmt.Sprint(version),
			Status: verifier.DeployFinished, StartedAt: at, FinishedAt: at}
		if revert > 0 && i%revert == 0 && version > 0 {
			d.RevertID = fmt.Sprintf("rv_%d_%d", i, version)
		}
		if _, _, err := s.Accept(context.Background(), verifier.Notification{Source: "ci", Deployment: d}, policies, at); err != nil {
			t.Error(err)
		}
	}
	for i := range services {
		deploy(i, 0)
	}
	for round := 1; round <= 20; round++ {
		at := now.Add(time.Duration(round*times)*time.Second + time.Hour)
		checks, err := s.Claim(t.Context(), at, time.Minute, services)
		require.NoError(t, err)
		require.Len(t, checks, services)
		var all sync.WaitGroup
		for _, i := range rand.Perm((1 + times) * services) {
			all.Go(func() {
				if i >= services {
					deploy(i%services, (round-1)*times+i/services)
					return
				}
				c := checks[i]
				c.Verification.State = verifier.StateObserving
				err := s.Record(context.Background(), c, nil, at.Add(time.Hour), nil)
				if err != nil && verifier.KindOf(err) != verifier.Conflict {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	require.NoError(t, s.Close()) // a connection that ends tells what it has counted
	require.Zero(t, pgtest.Deadlocks(t, place))
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
