package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// replicas opens two stores on one database, by whose clock their leases count.
func replicas(t *testing.T) [2]*store.Store {
	t.Helper()
	place := pgtest.Database(t)
	var out [2]*store.Store
	for i := range out {
		s, err := store.Open(t.Context(), place, store.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		out[i] = s
	}
	return out
}

// due opens the verifications of as many services, an hour ago.
func due(t *testing.T, s *store.Store, services int) (list []verifier.Verification) {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	for i := range services {
		n := finished("1", at)
		n.DeliveryID, n.Deployment.Service = fmt.Sprint("delivery-", i), fmt.Sprint("service-", i)
		list = append(list, *accept(t, s, n, at).Verification)
	}
	return list
}

// TestAliveByTheDatabasesClock: a replica whose own clock is an hour off, or one
// whose clock asks, changes nothing.
func TestAliveByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	alive := func() int {
		c, err := both[1].Counts(t.Context(), time.Now().Add(-2*time.Hour))
		require.NoError(t, err)
		return c.Replicas
	}
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		at := time.Now().Add(off)
		require.NoError(t, both[0].SeeReplica(t.Context(), store.Replica{ID: "one", SeenAt: at, LeaseUntil: at.Add(time.Minute)}))
		require.Equal(t, 1, alive())
		require.NoError(t, both[0].SeeReplica(t.Context(), store.Replica{ID: "one", SeenAt: at, LeaseUntil: at.Add(-time.Minute)}))
		require.Zero(t, alive())
	}
}

func TestReplicasShareChecks(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	list := due(t, both[0], 40)
	var mu sync.Mutex
	var working, begun sync.WaitGroup
	claimed, by := map[string]int{}, [2]int{}
	begun.Add(len(both))
	for i, s := range both {
		working.Go(func() {
			for n := 0; ; n++ {
				checks, err := s.Claim(t.Context(), time.Now(), time.Minute, 3)
				mu.Lock()
				for _, c := range checks {
					claimed[c.Verification.ID]++
					by[i]++
				}
				if err != nil {
					t.Error(err)
				}
				mu.Unlock()
				if n == 0 { // however slow the machine is, neither takes all
					begun.Done()
					begun.Wait()
				}
				if len(checks) == 0 {
					return
				}
			}
		})
	}
	working.Wait()
	require.Len(t, claimed, len(list))
	for id, times := range claimed {
		require.Equal(t, 1, times, id)
	}
	require.Equal(t, len(list), by[0]+by[1])
	require.Positive(t, by[0])
	require.Positive(t, by[1])
}

// TestReplicasKeepTheirOwnChecks: who looked last remembers it, so that another
// takes it only where it is late, or where there is nobody else.
func TestReplicasKeepTheirOwnChecks(t *testing.T) {
	t.Parallel()
	both, _ := inVirtualTime(t)
	alive := func(at time.Time, of ...int) {
		for range 2 { // each sees those before it
			for _, i := range of {
				require.NoError(t, both[i].SeeReplica(t.Context(), store.Replica{ID: fmt.Sprint(i), SeenAt: at, LeaseUntil: at.Add(time.Minute)}))
			}
		}
	}
	names := func(i int, at time.Time, limit int) []string { return lookAt(t, both[i], at, limit, nil) }
	list := due(t, both[0], 8)
	at := time.Now().Add(time.Minute)
	alive(at, 0, 1)
	first, second := names(0, at, 3), names(1, at, 100)
	require.Len(t, first, 3, "who asks first gets what is new")
	require.Len(t, second, len(list)-3)

	at = at.Add(15 * time.Second)
	require.ElementsMatch(t, second, names(1, at, 100))
	require.Empty(t, names(1, at.Add(499*time.Millisecond), 100))
	require.ElementsMatch(t, first, names(0, at.Add(499*time.Millisecond), 100))

	at = at.Add(16 * time.Second)
	require.Len(t, names(1, at, 100), len(list), "what is half a second late is anybody's")

	at = at.Add(2 * time.Minute)
	alive(at, 0)
	require.Len(t, names(0, at.Add(-2*time.Minute+15*time.Second), 100), len(list), "who is alone leaves nothing to others")
}

// inVirtualTime opens two stores on one database, whose leases count by the time
// that callers pass.
func inVirtualTime(t *testing.T) (both [2]*store.Store, place string) {
	t.Helper()
	place = pgtest.Database(t)
	for i := range both {
		s, err := store.Open(t.Context(), place, store.Options{CallersTime: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		both[i] = s
	}
	return both, place
}

// sideBySide opens two stores in virtual time that know of one another, and returns
// a moment at which what is due now is.
func sideBySide(t *testing.T) (both [2]*store.Store, at time.Time) {
	t.Helper()
	both, _ = inVirtualTime(t)
	at = time.Now().Add(time.Minute)
	for i := range 2 * len(both) { // each sees those before it
		require.NoError(t, both[i%2].SeeReplica(t.Context(), store.Replica{ID: fmt.Sprint(i % 2), SeenAt: at, LeaseUntil: at.Add(time.Hour)}))
	}
	return both, at
}

// TestReplicasLookForOneAnother: one that is cut off from what it measures, and
// not from the database, doesn't keep what it can't see to itself.
func TestReplicasLookForOneAnother(t *testing.T) {
	t.Parallel()
	both, at := sideBySide(t)
	due(t, both[0], 1)
	look := func(by int, at time.Time, saw map[string][]verifier.Observation) int {
		return len(lookAt(t, both[by], at, 10, saw))
	}
	good := func(at time.Time) map[string][]verifier.Observation {
		return map[string][]verifier.Observation{
			"errors": {{At: at, Outcome: verifier.Measured, Total: 9}},
			"login":  {{At: at, Outcome: verifier.Measured, Total: 1}},
		}
	}
	require.Equal(t, 1, look(0, at, good(at)))
	for name, change := range map[string]func(map[string][]verifier.Observation){
		"unreachable":    func(saw map[string][]verifier.Observation) { saw["errors"][0].Outcome = verifier.Failed },
		"a probe failed": func(saw map[string][]verifier.Observation) { saw["login"][0].Bad = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			at = at.Add(15 * time.Second)
			require.Zero(t, look(1, at, nil), "what went well is left to who remembers it")
			saw := good(at)
			change(saw)
			require.Equal(t, 1, look(0, at, saw))
			at = at.Add(15 * time.Second)
			require.Zero(t, look(0, at.Add(499*time.Millisecond), nil), "who saw that leaves it to others first")
			require.Equal(t, 1, look(1, at, good(at)), "who find it at once")
			at = at.Add(15 * time.Second)
			require.Zero(t, look(0, at, nil))
			require.Equal(t, 1, look(1, at, nil), "who sees it keeps it")
			both[0], both[1] = both[1], both[0]
		})
	}
}

// TestReplicasLeaveMoreWhereBehind: where both have too much to do, neither takes
// from the other what that one remembers.
func TestReplicasLeaveMoreWhereBehind(t *testing.T) {
	t.Parallel()
	both, at := sideBySide(t)
	list := due(t, both[0], 4)
	look := func(by int, at time.Time, limit int) []string { return lookAt(t, both[by], at, limit, nil) }
	first, second := look(0, at, 2), look(1, at, 2)
	at = at.Add(15 * time.Second)
	require.ElementsMatch(t, first, look(0, at.Add(400*time.Millisecond), 4))
	require.Empty(t, look(0, at.Add(1599*time.Millisecond), 4), "its own were late, and the other's may be four times as late")
	require.ElementsMatch(t, second, look(0, at.Add(1600*time.Millisecond), 4))
	require.Empty(t, look(1, at.Add(15*time.Second+899*time.Millisecond), 4), "what another has looked at since is no longer its own")

	at = at.Add(16600 * time.Millisecond) // all are due
	require.Len(t, look(0, at.Add(20*time.Second), 4), len(list))
	at = at.Add(35 * time.Second)
	require.Len(t, look(1, at.Add(500*time.Millisecond), 4), len(list), "who is not late takes what is")
	at = at.Add(15500 * time.Millisecond)
	require.Empty(t, look(0, at.Add(9999*time.Millisecond), 4), "who was late waits")
	require.Len(t, look(0, at.Add(10*time.Second), 4), len(list), "for ten seconds at most")
}

// TestReplicasStoreLooksInOneOrder: whoever holds verifications that the other
// wants as well doesn't wait for one that the other holds.
func TestReplicasStoreLooksInOneOrder(t *testing.T) {
	t.Parallel()
	both, place := inVirtualTime(t)
	due(t, both[0], 60)
	at := time.Now().Add(time.Minute)
	checks, err := both[0].Claim(t.Context(), at, time.Hour, 100)
	require.NoError(t, err)
	require.Len(t, checks, 60)
	for i := range checks {
		prepareAll(t, both[0], &checks[i])
	}
	for range 20 {
		var all sync.WaitGroup
		for _, i := range rand.Perm(2 * len(checks)) { // both have all, as nobody should
			all.Go(func() {
				if err := both[i%2].Record(context.Background(), checks[i/2], nil, at.Add(time.Hour), nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	for _, s := range both { // a connection that ends tells what it has counted
		require.NoError(t, s.Close())
	}
	require.Zero(t, pgtest.Deadlocks(t, place))
}

// lookAt looks at what a store claims, which sees the same of each, and returns
// what that was; each is due again in 15 s.
func lookAt(t *testing.T, s *store.Store, at time.Time, limit int, saw map[string][]verifier.Observation) (ids []string) {
	t.Helper()
	checks, err := s.Claim(t.Context(), at, time.Minute, limit)
	require.NoError(t, err)
	for _, c := range checks {
		ids = append(ids, c.Verification.ID)
		prepareAll(t, s, &c)
		require.NoError(t, s.Record(t.Context(), c, saw, at.Add(15*time.Second), nil))
	}
	return ids
}

// prepareAll gives a check's signals what a look needs.
func prepareAll(t *testing.T, s *store.Store, c *verifier.Check) {
	t.Helper()
	if c.Verification.State == verifier.StateObserving {
		return
	}
	c.Signals = nil
	for _, signal := range c.Policy.Signals {
		c.Signals = append(c.Signals, verifier.SignalEvidence{Signal: signal.Name, Calibration: json.RawMessage(`{"known":true}`)})
	}
	require.NoError(t, s.Prepare(t.Context(), *c))
	c.Verification.State = verifier.StateObserving
}

// TestReplicasTakeOverChecks lets one replica claim and be silent; the other's
// clock is wrong by an hour, which makes no difference.
func TestReplicasTakeOverChecks(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	v := due(t, both[0], 1)[0]
	const lease = time.Second
	begun := time.Now()
	silent, err := both[0].Claim(t.Context(), time.Now(), lease, 10)
	require.NoError(t, err)
	require.Len(t, silent, 1)
	var taken []verifier.Check
	for len(taken) == 0 {
		taken, err = both[1].Claim(t.Context(), time.Now().Add(time.Hour), time.Minute, 10)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), 5*time.Second)
		time.Sleep(20 * time.Millisecond)
	}
	require.GreaterOrEqual(t, time.Since(begun), lease, "not while the lease ran")
	require.Equal(t, v.ID, taken[0].Verification.ID)
	require.Equal(t, silent[0].Epoch+1, taken[0].Epoch)

	now := time.Now()
	requireKind(t, verifier.Conflict, both[0].Renew(t.Context(), silent[0], now, time.Minute))
	requireKind(t, verifier.Conflict, both[0].Prepare(t.Context(), silent[0]))
	requireKind(t, verifier.Conflict, both[0].Record(t.Context(), silent[0], nil, now, nil))
	requireKind(t, verifier.Conflict, both[0].Decide(t.Context(), silent[0], nil, now, keep(v, now)))
	require.NoError(t, both[1].Decide(t.Context(), taken[0], nil, now, keep(v, now)))
	requireKind(t, verifier.Conflict, both[1].Decide(t.Context(), taken[0], nil, now, keep(v, now)))
}

func keep(v verifier.Verification, now time.Time) verifier.DecideFunc {
	return func(verifier.Facts) (verifier.Decided, error) {
		decided, err := v.Decide(verifier.Verdict{Decision: verifier.Keep, DecidedAt: now, By: verifier.ByPostflight}, verifier.Action{State: verifier.ActionNone})
		return verifier.Decided{Verification: decided}, err
	}
}

// TestReplicasKeepCaps decides on both replicas at once by how many reverts
// there were: never is one more requested than that.
func TestReplicasKeepCaps(t *testing.T) {
	t.Parallel()
	const limit = 3
	both := replicas(t)
	list := due(t, both[0], 16)
	checks, err := both[0].Claim(t.Context(), time.Now(), time.Minute, len(list))
	require.NoError(t, err)
	require.Len(t, checks, len(list))
	var deciding sync.WaitGroup
	errs := make([]error, len(checks))
	for i, c := range checks {
		deciding.Go(func() {
			now := time.Now()
			errs[i] = both[i%2].Decide(context.Background(), c, nil, now, func(f verifier.Facts) (verifier.Decided, error) {
				action, deliveries := verifier.Action{State: verifier.ActionNone}, []verifier.Delivery(nil)
				if len(f.PastReverts) < limit {
					action, deliveries = requested(t, c.Verification, "0", now)
				}
				decided, err := c.Verification.Decide(verifier.Verdict{Decision: verifier.Revert, DecidedAt: now, By: verifier.ByPostflight}, action)
				return verifier.Decided{Verification: decided, Deliveries: deliveries}, err
			})
		})
	}
	deciding.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, facts(t, both[1], list[0].ID, time.Now()).PastReverts, limit)
}

func TestReplicasChainTheAudit(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	var writing sync.WaitGroup
	for i := range 24 {
		writing.Go(func() {
			if err := both[i%2].ReleaseBrake(context.Background(), "dana", "fixed", later(i)); err != nil {
				t.Error(err)
			}
		})
	}
	writing.Wait()
	entries := wholeAudit(t, both[0])
	require.Len(t, entries, 24)
	require.Nil(t, verifier.CheckAudit(entries))
}

// TestReplicasAcceptOnce announces the same deploys to both at once.
func TestReplicasAcceptOnce(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	var accepting sync.WaitGroup
	for i := range 24 {
		accepting.Go(func() {
			n := finished(fmt.Sprint(i/4), later(i/4))
			if _, _, err := both[i%2].Accept(context.Background(), n, []verifier.Policy{policy()}, later(10)); err != nil {
				t.Error(err)
			}
		})
	}
	accepting.Wait()
	list, _, err := both[0].Verifications(t.Context(), verifier.Filter{Limit: 100})
	require.NoError(t, err)
	running := 0
	for _, v := range list {
		if v.State == verifier.StatePending {
			running++
		}
	}
	require.Equal(t, 1, running, "the others are superseded")
}

func TestReplicasShareDeliveries(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	list := due(t, both[0], 24)
	seen := newCalls()
	var by [2]*calls
	for i, s := range both {
		by[i] = newCalls()
		run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
			by[i].add(id)
			seen.add(id)
			time.Sleep(50 * time.Millisecond)
			return 0, nil
		}), store.DeliveryOptions{Rollbacks: 2})
	}
	for _, v := range list {
		decide(t, both[0], v, verifier.Revert, time.Now())
	}
	for _, v := range list {
		id := deliveryOf(t, both[0], v.ID)
		require.Eventually(t, func() bool { return len(seen.times(id)) > 0 }, 10*time.Second, 10*time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	for _, v := range list {
		require.Len(t, seen.times(deliveryOf(t, both[0], v.ID)), 1, "by one of them, once")
	}
	require.NotEmpty(t, by[0].at)
	require.NotEmpty(t, by[1].at)
}

// TestReplicasTakeOverDeliveries kills one replica while it delivers. The time
// until the other takes over is put into the past.
func TestReplicasTakeOverDeliveries(t *testing.T) {
	t.Parallel()
	place := pgtest.Database(t)
	s := open(t, place)
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	id := deliveryOf(t, s, v.ID)
	child := startVictim(t, place, id)
	seen := newCalls()
	run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		seen.add(id)
		return 0, nil
	}), store.DeliveryOptions{})
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	time.Sleep(time.Second)
	require.Empty(t, seen.times(id), "it may still be under way")
	pgtest.Exec(t, place, `UPDATE river_job SET attempted_at = attempted_at - interval '35 seconds'`)
	seen.wait(t, id)
}
