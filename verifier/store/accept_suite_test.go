package store_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

func testAcceptOpens(t *testing.T, db database) {
	s := open(t, db.place(t))
	n := finished("1.0.0", start)
	first, again, err := s.Accept(t.Context(), n, []verifier.Policy{policy()}, start)
	require.NoError(t, err)
	require.False(t, again)
	require.NotNil(t, first.Verification)

	same, again, err := s.Accept(t.Context(), n, []verifier.Policy{policy()}, later(1))
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, first.Verification.ID, same.Existing)
	require.Equal(t, first.Deployment.ID, same.Deployment.ID)

	n.DeliveryID = "another" // the same deploy, told by another delivery
	same, again, err = s.Accept(t.Context(), n, []verifier.Policy{policy()}, later(2))
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, first.Verification.ID, same.Existing)

	n.DeliveryID, n.Deployment.DeploymentID = "", "" // nothing tells it apart: a deploy of its own
	other, again, err := s.Accept(t.Context(), n, []verifier.Policy{policy()}, later(3))
	require.NoError(t, err)
	require.False(t, again)
	require.NotEqual(t, first.Deployment.ID, other.Deployment.ID)
	requireStates(t, s, map[verifier.State]int{verifier.StatePending: 1, verifier.StateSuperseded: 1})
}

func requireStates(t *testing.T, s *store.Store, want map[verifier.State]int) {
	t.Helper()
	counts, err := s.Counts(t.Context(), later(60))
	require.NoError(t, err)
	require.Equal(t, want, counts.Verifications)
}

func testAcceptAtOnce(t *testing.T, db database) {
	s := open(t, db.place(t))
	const callers = 50
	ids := make(chan string, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			a, _, err := s.Accept(t.Context(), finished("1.0.0", start), []verifier.Policy{policy()}, start)
			if err != nil {
				ids <- err.Error()
			} else if a.Verification != nil {
				ids <- a.Verification.ID
			} else {
				ids <- a.Existing
			}
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	require.Contains(t, first, verifier.VerificationPrefix)
	for id := range ids {
		require.Equal(t, first, id)
	}
	requireStates(t, s, map[verifier.State]int{verifier.StatePending: 1})
}

func testAcceptReusedKey(t *testing.T, db database) {
	s := open(t, db.place(t))
	first := finished("1.0.0", start)
	accept(t, s, first, start)
	for name, change := range map[string]func(*verifier.Deployment){
		"service":     func(d *verifier.Deployment) { d.Service = "cart" },
		"environment": func(d *verifier.Deployment) { d.Environment = "staging" },
		"version":     func(d *verifier.Deployment) { d.Version = "2.0.0" },
		"status":      func(d *verifier.Deployment) { d.Status = verifier.DeployStarted },
	} {
		n := first
		change(&n.Deployment)
		_, _, err := s.Accept(t.Context(), n, []verifier.Policy{policy()}, later(1))
		requireKind(t, verifier.Conflict, err)
		require.ErrorContains(t, err, n.DeliveryID, name)
	}
	n := first
	n.Source, n.Deployment.Source = "other", "other" // ids are each source's own
	_, again, err := s.Accept(t.Context(), n, []verifier.Policy{policy()}, later(1))
	require.NoError(t, err)
	require.False(t, again)
}

func testAcceptReopen(t *testing.T, db database) {
	url := db.place(t)
	s, err := store.Open(t.Context(), url, virtual)
	require.NoError(t, err)
	v := opened(t, s, "1.0.0", start)
	require.NoError(t, s.Close())

	s = open(t, url)
	found, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, v.Deployment.ID, found.Deployment.ID)
	_, again, err := s.Accept(t.Context(), finished("1.0.0", start), []verifier.Policy{policy()}, later(1))
	require.NoError(t, err)
	require.True(t, again)
}

func testAcceptStartedFinished(t *testing.T, db database) {
	s := open(t, db.place(t))
	n := started("1.0.0", start)
	a := accept(t, s, n, start)
	require.Nil(t, a.Verification)
	require.NotEmpty(t, a.Ignored)

	same, again, err := s.Accept(t.Context(), n, []verifier.Policy{policy()}, later(1))
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, a.Ignored, same.Ignored)

	n.DeliveryID, n.Deployment.Status, n.Deployment.FinishedAt = "finish", verifier.DeployFinished, later(2)
	b := accept(t, s, n, later(2))
	require.Equal(t, a.Deployment.ID, b.Deployment.ID)
	require.NotNil(t, b.Verification)
	require.Equal(t, start.UnixMicro(), b.Verification.Deployment.StartedAt.UnixMicro())
	require.Equal(t, later(2).UnixMicro(), b.Verification.Deployment.FinishedAt.UnixMicro())

	n.DeliveryID, n.Deployment.Version = "third", "1.0.1"
	_, _, err = s.Accept(t.Context(), n, []verifier.Policy{policy()}, later(3))
	requireKind(t, verifier.Conflict, err)
}

func testAcceptSupersedes(t *testing.T, db database) {
	s := open(t, db.place(t))
	old := opened(t, s, "1.0.0", start)
	check := claim(t, s, old.ID, later(1))
	fresh := opened(t, s, "1.1.0", later(5))

	v, err := s.Verification(t.Context(), old.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.StateSuperseded, v.State)
	require.Equal(t, fresh.Deployment.ID, v.SupersededBy)
	require.Len(t, v.Deliveries, 1)
	require.Equal(t, verifier.EventSuperseded, v.Deliveries[0].Event)
	require.Equal(t, "chat", v.Deliveries[0].Receiver)
	requireKind(t, verifier.Conflict, s.Record(t.Context(), check, nil, later(6), nil))
}

func testAcceptLate(t *testing.T, db database) {
	s := open(t, db.place(t))
	current := opened(t, s, "1.1.0", later(10))
	a := accept(t, s, finished("1.0.0", later(5)), later(11))
	require.Nil(t, a.Verification)
	require.Contains(t, a.Ignored, "1.1.0")
	v, err := s.Verification(t.Context(), current.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.StatePending, v.State)
	require.Equal(t, "1.1.0", facts(t, s, current.ID, later(12)).Current.Version)
}

func testAcceptNoPolicy(t *testing.T, db database) {
	s := open(t, db.place(t))
	a, _, err := s.Accept(t.Context(), finished("1.0.0", start), nil, start)
	require.NoError(t, err)
	require.Nil(t, a.Verification)
	require.Contains(t, a.Ignored, "no policy")
	require.Nil(t, accept(t, s, finished("1.0.0", start), start).Verification, "the first answer holds")
}

func testAcceptRollbacks(t *testing.T, db database) {
	for name, test := range map[string]struct {
		change func(n *verifier.Notification, open verifier.Verification)
		why    string
	}{
		"our revert id": {func(n *verifier.Notification, v verifier.Verification) {
			n.Deployment.RevertID, n.Deployment.Version = v.Action.RevertID, "target"
		}, "id of our own revert"},
		"our id, other version": {func(n *verifier.Notification, v verifier.Verification) { n.Deployment.RevertID = v.Action.RevertID }, ""},
		"another revert id":     {func(n *verifier.Notification, _ verifier.Verification) { n.Deployment.RevertID = "rv_x" }, ""},
		"its source says so":    {func(n *verifier.Notification, _ verifier.Verification) { n.Deployment.Rollback = true }, "source says so"},
		"target of the revert":  {func(n *verifier.Notification, _ verifier.Verification) { n.Deployment.Version = "target" }, "target of the open revert"},
		"the version before":    {func(n *verifier.Notification, _ verifier.Verification) { n.Deployment.Version = "1.0.0" }, "ran before 1.1.0"},
		"none":                  {func(*verifier.Notification, verifier.Verification) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, db.place(t))
			opened(t, s, "1.0.0", start)
			bad := decide(t, s, opened(t, s, "1.1.0", later(5)), verifier.Revert, later(10))
			n := finished("2.0.0", later(12))
			test.change(&n, bad)
			a := accept(t, s, n, later(12))
			require.NotNil(t, a.Verification)
			require.Equal(t, test.why != "", a.Verification.Deployment.Rollback)
			require.Contains(t, a.Verification.Deployment.RollbackWhy, test.why)
		})
	}
}

func testAcceptEndsRevert(t *testing.T, db database) {
	for name, test := range map[string]struct {
		notice verifier.Notification
		action verifier.ActionState
	}{
		"target starts":         {started("target", later(12)), verifier.ActionAccepted},
		"target is live":        {finished("target", later(12)), verifier.ActionConfirmed},
		"another version":       {finished("2.0.0", later(12)), verifier.ActionFenced},
		"another version began": {started("2.0.0", later(12)), verifier.ActionRequested},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, db.place(t))
			bad := decide(t, s, opened(t, s, "1.1.0", start), verifier.Revert, later(10))
			accept(t, s, test.notice, later(12))
			v, err := s.Verification(t.Context(), bad.ID)
			require.NoError(t, err)
			require.Equal(t, test.action, v.Action.State)
			require.Equal(t, verifier.StateDecided, v.State)
			var told []verifier.EventType
			for _, d := range v.Deliveries {
				told = append(told, d.Event)
			}
			if test.action == verifier.ActionRequested {
				require.Equal(t, []verifier.EventType{verifier.EventRevert}, told)
			} else {
				require.Equal(t, []verifier.EventType{verifier.EventRevert, verifier.EventActionChanged}, told)
			}
		})
	}
}
