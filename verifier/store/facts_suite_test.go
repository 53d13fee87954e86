package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// markCleared marks a verification as cleared, and leaves it running.
func markCleared(t *testing.T, s *store.Store, v verifier.Verification, now time.Time) {
	t.Helper()
	c := claim(t, s, v.ID, now)
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	c.Verification = c.Verification.Clear(now)
	require.NoError(t, s.Record(t.Context(), c, nil, now, nil))
}

// past is one deploy of a service's history: what it was and what became of
// it: keep, revert, inconclusive, cleared, "cleared, revert" or "" (superseded).
type past struct{ version, outcome string }

func deployAll(t *testing.T, s *store.Store, history []past) (last verifier.Verification) {
	t.Helper()
	for i, p := range history {
		last = opened(t, s, p.version, later(10*i))
		now := later(10*i + 5)
		switch p.outcome {
		case "":
		case "cleared":
			markCleared(t, s, last, now)
		case "cleared, revert":
			markCleared(t, s, last, now)
			decide(t, s, last.Clear(now), verifier.Revert, now)
		default:
			decide(t, s, last, verifier.Decision(p.outcome), now)
		}
	}
	return last
}

func testTarget(t *testing.T, db database) {
	for name, test := range map[string]struct {
		history []past
		target  string // "" is none
	}{
		"kept":                           {[]past{{"1", "keep"}, {"2", ""}}, "1"},
		"the newest kept":                {[]past{{"1", "keep"}, {"2", "keep"}, {"3", ""}}, "2"},
		"cleared, then superseded":       {[]past{{"1", "keep"}, {"2", "cleared"}, {"3", ""}}, "2"},
		"superseded before it cleared":   {[]past{{"1", "keep"}, {"2", ""}, {"3", ""}}, "1"},
		"reverted":                       {[]past{{"1", "keep"}, {"2", "revert"}, {"3", ""}}, "1"},
		"cleared and reverted":           {[]past{{"1", "keep"}, {"2", "cleared, revert"}, {"3", ""}}, "1"},
		"inconclusive":                   {[]past{{"1", "keep"}, {"2", "inconclusive"}, {"3", ""}}, "1"},
		"same version":                   {[]past{{"1", "keep"}, {"2", "keep"}, {"2", ""}}, "1"},
		"reverted since":                 {[]past{{"1", "keep"}, {"2", "keep"}, {"2", "revert"}, {"3", ""}}, "1"},
		"kept again long after":          {[]past{{"1", "revert"}, {"2", ""}, {"2", ""}, {"2", ""}, {"2", ""}, {"2", ""}, {"2", ""}, {"1", "keep"}, {"2", ""}}, "1"},
		"kept again right after":         {[]past{{"0", "keep"}, {"1", "revert"}, {"2", ""}, {"1", "keep"}, {"2", ""}}, "0"},
		"all reverted":                   {[]past{{"1", "revert"}, {"2", "revert"}, {"3", ""}}, ""},
		"the first deploy":               {[]past{{"1", ""}}, ""},
		"only the same version was kept": {[]past{{"1", "keep"}, {"1", ""}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, db.place(t))
			last := deployAll(t, s, test.history)
			target := facts(t, s, last.ID, later(100)).Target
			if test.target == "" {
				require.Nil(t, target)
				return
			}
			require.NotNil(t, target)
			require.Equal(t, test.target, target.Version)
		})
	}
	t.Run("newer deploys and other places don't count", func(t *testing.T) {
		s := open(t, db.place(t))
		bad := opened(t, s, "1", start)
		other := finished("0", later(-10))
		other.Deployment.Environment = "staging"
		decide(t, s, *accept(t, s, other, later(-10)).Verification, verifier.Keep, later(1))
		decide(t, s, opened(t, s, "2", later(10)), verifier.Keep, later(15))
		require.Nil(t, facts(t, s, bad.ID, later(20)).Target)
	})
}

// moveAction moves the action of a verification on.
func moveAction(t *testing.T, s *store.Store, id string, to verifier.ActionState, now time.Time) {
	t.Helper()
	require.NoError(t, s.UpdateAction(t.Context(), id, now, func(v verifier.Verification, _ verifier.Policy, _ verifier.Facts) (_ verifier.Verification, _ []verifier.Delivery, err error) {
		v.Action, err = v.Action.Move(to, "", "", now)
		return v, nil, err
	}))
}

// A rollback's pipeline on a branch tells of the branch's head, the version
// that is rolled back. That must neither end the rollback nor make the version
// one to go back to.
func testResurfaced(t *testing.T, db database) {
	s := open(t, db.place(t))
	decide(t, s, opened(t, s, "1", start), verifier.Keep, later(5))
	bad := decide(t, s, opened(t, s, "2", later(10)), verifier.Revert, later(15))
	running := started("2", later(16))
	accept(t, s, running, later(16))
	require.NotNil(t, facts(t, s, bad.ID, later(17)).Running, "nothing was sent yet, so it is no pipeline of ours")
	stored, err := s.Verification(t.Context(), bad.ID)
	require.NoError(t, err)
	require.NoError(t, s.UpdateDelivery(t.Context(), stored.Deliveries[0].ID, later(15), func(verifier.Outgoing) (verifier.DeliveryChange, error) {
		return verifier.DeliveryChange{Attempt: &verifier.Attempt{At: later(15), Result: verifier.AttemptStarted}}, nil
	}))
	require.Nil(t, facts(t, s, bad.ID, later(17)).Running, "it may be our pipeline")

	again := finished("2", later(17))
	a := accept(t, s, again, later(17))
	require.Nil(t, a.Verification)
	require.Contains(t, a.Ignored, "2 is being rolled back to target by "+bad.Action.RevertID)
	f := facts(t, s, bad.ID, later(18))
	require.Equal(t, bad.Deployment.ID, f.Current.ID)
	require.Nil(t, f.Unclear)
	require.Equal(t, "1", f.Target.Version)
	stored, err = s.Verification(t.Context(), bad.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.ActionRequested, stored.Action.State)

	// The rollback has ended, and its pipeline tells of the head only now.
	moveAction(t, s, bad.ID, verifier.ActionConfirmed, later(20))
	late := decide(t, s, opened(t, s, "2", later(21)), verifier.Keep, later(25))
	next := opened(t, s, "3", later(30))
	require.Greater(t, late.Deployment.Place, bad.Deployment.Place)
	require.Equal(t, "1", facts(t, s, next.ID, later(31)).Target.Version)
}

// An id that we didn't issue, or issued for another version or place, doesn't
// make a deploy exempt.
func testRevertIDs(t *testing.T, db database) {
	s := open(t, db.place(t))
	bad := decide(t, s, opened(t, s, "2", start), verifier.Revert, later(5))
	old := bad.Action.RevertID
	moveAction(t, s, bad.ID, verifier.ActionFailed, later(6))
	require.NoError(t, s.UpdateAction(t.Context(), bad.ID, later(7), func(v verifier.Verification, _ verifier.Policy, _ verifier.Facts) (verifier.Verification, []verifier.Delivery, error) {
		action, deliveries := requested(t, v, "target", later(7))
		v.Action = action
		return v, deliveries, nil
	}))
	stored, err := s.Verification(t.Context(), bad.ID)
	require.NoError(t, err)
	newest := stored.Action.RevertID
	require.NotEqual(t, old, newest)
	moveAction(t, s, bad.ID, verifier.ActionFailed, later(8))

	minute := 10
	rollback := func(service, version, id string) bool {
		n := finished(version, later(minute))
		n.DeliveryID, n.Deployment.DeploymentID = n.DeliveryID+service, n.Deployment.DeploymentID+service
		n.Deployment.Service, n.Deployment.RevertID = service, id
		a := accept(t, s, n, later(minute))
		require.Equal(t, id, a.Deployment.RevertID, "it is in the record all the same")
		minute++
		return a.Deployment.Rollback
	}
	require.False(t, rollback("checkout", "9.9", "rv_of_last_month"))
	require.False(t, rollback("checkout", "9.10", "none"))
	require.False(t, rollback("checkout", "9.11", newest))
	require.False(t, rollback("checkout", "9.12", old))
	require.True(t, rollback("checkout", "target", newest))
	require.False(t, rollback("checkout", "9.13", ""))
	require.False(t, rollback("checkout", "9.14", ""))
	require.True(t, rollback("checkout", "target", old), "an earlier request of the same verification")
	require.False(t, rollback("cart", "target", newest), "another service's")
}

func testBarrier(t *testing.T, db database) {
	for name, test := range map[string]struct {
		irreversible []string
		noTarget     bool
		barrier      string
	}{
		"none":              {nil, false, ""},
		"between":           {[]string{"2"}, false, "2"},
		"itself":            {[]string{"3"}, false, "3"},
		"the newest":        {[]string{"2", "3"}, false, "3"},
		"the target":        {[]string{"1"}, false, ""},
		"no target, itself": {[]string{"3"}, true, "3"},
		"no target":         {[]string{"2"}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, db.place(t))
			var last verifier.Verification
			for i, version := range []string{"1", "2", "3"} {
				n := finished(version, later(10*i))
				for _, v := range test.irreversible {
					n.Deployment.Irreversible = n.Deployment.Irreversible || v == version
				}
				last = *accept(t, s, n, later(10*i)).Verification
				if version == "1" && !test.noTarget {
					decide(t, s, last, verifier.Keep, later(5))
				}
			}
			barrier := facts(t, s, last.ID, later(25)).Barrier
			if test.barrier == "" {
				require.Nil(t, barrier)
				return
			}
			require.NotNil(t, barrier)
			require.Equal(t, test.barrier, barrier.Version)
		})
	}
}

func testUnclear(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "2", later(10))
	require.Nil(t, facts(t, s, v.ID, later(11)).Unclear)
	late := finished("3", later(9))
	a := accept(t, s, late, later(12))
	require.Contains(t, a.Ignored, "newer deploy")
	f := facts(t, s, v.ID, later(13))
	require.Equal(t, "2", f.Current.Version)
	require.Equal(t, policy().ReleaseWindows, f.ReleaseWindows)
	require.Equal(t, policy().Freezes, f.Freezes)
	require.NotNil(t, f.Unclear)
	require.Equal(t, "3", f.Unclear.Version)
	next := opened(t, s, "4", later(14))
	require.Nil(t, facts(t, s, next.ID, later(15)).Unclear, "what came after it is clear again")
}

func testRunning(t *testing.T, db database) {
	s := open(t, db.place(t))
	earlier := started("0", later(-5)) // and still under way when the verified one has finished
	accept(t, s, earlier, later(-5))
	own := started("1", later(-1))
	own.Deployment.DeploymentID = ""
	accept(t, s, own, later(-1))
	v := opened(t, s, "1", start)
	f := facts(t, s, v.ID, later(1))
	require.NotNil(t, f.Running)
	require.Equal(t, "0", f.Running.Version)
	earlier.DeliveryID, earlier.Deployment.Status = "gave up", verifier.DeployFailed
	accept(t, s, earlier, later(1))
	f = facts(t, s, v.ID, later(1))
	require.Nil(t, f.Running, "the verified deploy's own start, announced without an id, is no other deploy")
	require.Equal(t, "1", f.Current.Version)

	next := started("2", later(2))
	accept(t, s, next, later(2))
	f = facts(t, s, v.ID, later(3))
	require.NotNil(t, f.Running)
	require.Equal(t, "2", f.Running.Version)
	require.Equal(t, "1", f.Current.Version)
	require.NotNil(t, facts(t, s, v.ID, later(2).Add(verifier.RunningDeployExpires-time.Second)).Running)
	require.Nil(t, facts(t, s, v.ID, later(2).Add(verifier.RunningDeployExpires)).Running, "its pipeline has died")

	next.DeliveryID, next.Deployment.Status = "failed", verifier.DeployFailed
	accept(t, s, next, later(4))
	require.Nil(t, facts(t, s, v.ID, later(5)).Running)

	anonymous := started("3", later(6))
	anonymous.Deployment.DeploymentID = ""
	accept(t, s, anonymous, later(6))
	require.NotNil(t, facts(t, s, v.ID, later(7)).Running)
	anonymous.DeliveryID, anonymous.Deployment.Status = "anonymous failed", verifier.DeployFailed
	accept(t, s, anonymous, later(8))
	require.Nil(t, facts(t, s, v.ID, later(9)).Running, "its end was told without an id as well")
}

func testReverts(t *testing.T, db database) {
	s := open(t, db.place(t))
	first := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	n := finished("1", later(10))
	n.Deployment.Service = "cart"
	n.DeliveryID, n.Deployment.DeploymentID = "cart", "cart"
	other := decide(t, s, *accept(t, s, n, later(10)).Verification, verifier.Revert, later(15))
	n.DeliveryID, n.Deployment.DeploymentID, n.Deployment.Version = "cart 2", "cart 2", "2"
	n.Deployment.FinishedAt = later(20)
	current := *accept(t, s, n, later(20)).Verification

	reverted := func(verification string, now time.Time) (ids []string) {
		for _, r := range facts(t, s, verification, now).PastReverts {
			ids = append(ids, r.RevertID)
		}
		return ids
	}
	reverts := func(now time.Time) []string { return reverted(current.ID, now) }
	both := []string{first.Action.RevertID, other.Action.RevertID}
	require.Equal(t, both, reverts(later(30)))
	f := facts(t, s, first.ID, later(30))
	require.Equal(t, verifier.PastRevert{RevertID: first.Action.RevertID, Service: "checkout", Environment: "production",
		At: later(5).UTC().Truncate(time.Microsecond)}, f.PastReverts[0])
	require.Empty(t, f.OpenRevert, "its own doesn't count")
	require.Equal(t, later(35).UnixMicro(), f.ExpiresAt.UnixMicro())
	require.Equal(t, verifier.Enforce, f.Mode)
	require.Equal(t, "argo", f.Rollback)
	require.Equal(t, later(30).UnixMicro(), f.Now.UnixMicro())
	f = facts(t, s, current.ID, later(30))
	require.Empty(t, f.OpenRevert, "the newer deploy has ended cart's")
	require.True(t, f.ExpiresAt.IsZero())
	require.True(t, f.BrakeReleasedAt.IsZero())

	days := later(3 * 24 * 60)
	require.Equal(t, both, reverts(days), "the brake was never released: all count")
	require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "fixed", later(10)))
	require.Equal(t, later(10).UnixMicro(), facts(t, s, current.ID, days).BrakeReleasedAt.UnixMicro())
	require.Equal(t, both[1:], reverts(days), "its own, and what came since the release")
	require.Equal(t, both, reverted(first.ID, days), "its own, for its caps, and what came since the release")
}

// testBrakeByHand: who engaged the brake first is heard until somebody releases
// it, whatever clocks say, by facts, counts and who asks alike.
func testBrakeByHand(t *testing.T, db database) {
	place := db.place(t)
	s, err := store.Open(t.Context(), place, virtual)
	require.NoError(t, err)
	v := opened(t, s, "1.0.0", start)
	held := func(s *store.Store) *verifier.BrakeHold {
		b, err := s.Brake(t.Context())
		require.NoError(t, err)
		c, err := s.Counts(t.Context(), later(1))
		require.NoError(t, err)
		require.Equal(t, b, c.Brake)
		require.Equal(t, b.Held, facts(t, s, v.ID, later(2)).BrakeHeld)
		return b.Held
	}
	require.Nil(t, held(s))
	require.NoError(t, s.EngageBrake(t.Context(), "dana", "the gateway", later(10)))
	require.NoError(t, s.EngageBrake(t.Context(), "kim", "me too", later(11)))
	want := &verifier.BrakeHold{By: "dana", At: utc(later(10)), Reason: "the gateway"}
	require.Equal(t, want, held(s))
	require.NoError(t, s.Close())
	s = open(t, place)
	require.Equal(t, want, held(s), "it survives a restart")
	require.NoError(t, s.ReleaseBrake(t.Context(), "kim", "mended", later(5)))
	require.Nil(t, held(s), "by a clock that is behind, too")
	require.NoError(t, s.EngageBrake(t.Context(), "dana", "again", later(4)))
	require.Equal(t, "again", held(s).Reason)
}

func testUpdateAction(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	move := func(to verifier.ActionState, now time.Time) {
		require.NoError(t, s.UpdateAction(t.Context(), v.ID, now, func(v verifier.Verification, p verifier.Policy, _ verifier.Facts) (verifier.Verification, []verifier.Delivery, error) {
			var err error
			if v.Action, err = v.Action.Move(to, "", "", now); err != nil {
				return v, nil, err
			}
			messages, err := verifier.Messages(verifier.EventActionChanged, v, p, now)
			return v, messages, err
		}))
	}
	awaited := func(since time.Time) (ids []string) {
		awaited, err := s.Awaited(t.Context(), since)
		require.NoError(t, err)
		for _, a := range awaited {
			require.Equal(t, v.PolicyHash, a.Policy.Hash())
			ids = append(ids, a.Verification.ID)
		}
		return ids
	}
	require.Empty(t, awaited(later(4)), "not accepted yet")
	move(verifier.ActionAccepted, later(6))
	require.Equal(t, []string{v.ID}, awaited(later(4)))
	require.Empty(t, awaited(later(5)), "requested no later than that")
	move(verifier.ActionUnconfirmed, later(16))
	require.Equal(t, []string{v.ID}, awaited(later(4)), "it may still come")
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.ActionUnconfirmed, stored.Action.State)
	require.Len(t, stored.Deliveries, 3)

	next := opened(t, s, "2", later(20)) // fences it
	require.Empty(t, facts(t, s, next.ID, later(21)).OpenRevert)
	require.Empty(t, awaited(later(4)))
	err = s.UpdateAction(t.Context(), v.ID, later(21), func(v verifier.Verification, _ verifier.Policy, _ verifier.Facts) (verifier.Verification, []verifier.Delivery, error) {
		_, err := v.Action.Move(verifier.ActionAccepted, "", "", later(21))
		return v, nil, err
	})
	requireKind(t, verifier.Conflict, err)
}
