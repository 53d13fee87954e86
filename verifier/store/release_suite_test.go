package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func testRelease(t *testing.T, db database) {
	s := open(t, db.place(t))
	part := func(service, version string, minute int) verifier.Notification {
		n := of(service, finished(version, later(minute)))
		n.Deployment.ReleaseID = "r-7"
		return n
	}
	accept(t, s, part("cart", "1", -2), later(-2))
	cart := *accept(t, s, part("cart", "2", -1), later(-1)).Verification
	rolling := part("rolling", "1", 0)
	rolling.Deployment.Status, rolling.Deployment.StartedAt = verifier.DeployStarted, start
	accept(t, s, rolling, start)
	elsewhere := part("search", "1", 0)
	elsewhere.Deployment.Environment = "staging"
	accept(t, s, elsewhere, start)
	accept(t, s, of("other", finished("1", start)), start)
	v := *accept(t, s, part("checkout", "1", 0), start).Verification

	var delivery verifier.Delivery
	require.NoError(t, s.Decide(t.Context(), claim(t, s, v.ID, later(3)), nil, later(3), func(f verifier.Facts) (verifier.Decided, error) {
		require.Len(t, f.Release, 2, "the newest of each service, in this environment")
		require.Equal(t, "2", f.Release[0].Deployment.Version)
		require.Equal(t, cart.ID, f.Release[0].Verification.ID)
		require.Equal(t, f.Release[0].Deployment, f.Release[0].Facts.Current)
		require.Equal(t, "rolling", f.Release[1].Deployment.Service)
		require.Nil(t, f.Release[1].Verification)

		action, deliveries := requested(t, v, "target", later(3))
		delivery = deliveries[0]
		decided, err := v.Decide(verifier.Verdict{Decision: verifier.Revert, DecidedAt: later(3)}, action)
		require.NoError(t, err)
		action.RequestedBy = v.ID
		its, err := f.Release[0].Verification.Decide(verifier.Verdict{Decision: verifier.Revert, DecidedAt: later(3)}, action)
		return verifier.Decided{Verification: decided, Members: []verifier.Verification{its}, Deliveries: deliveries}, err
	}))
	stored, err := s.Verification(t.Context(), cart.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.Revert, stored.Verdict.Decision)
	require.Equal(t, v.ID, stored.Action.RequestedBy)

	accept(t, s, part("late", "1", 4), later(4))
	require.NoError(t, s.UpdateDelivery(t.Context(), delivery.ID, later(5), func(o verifier.Outgoing) (verifier.DeliveryChange, error) {
		require.Len(t, o.Facts.Release, 1, "those of the request")
		m := *o.Facts.Release[0].Verification
		require.Equal(t, cart.ID, m.ID)
		var err error
		m.Action, err = m.Action.Move(verifier.ActionAccepted, "", "", later(5))
		return verifier.DeliveryChange{Members: []verifier.Verification{m}}, err
	}))
	stored, err = s.Verification(t.Context(), cart.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.ActionAccepted, stored.Action.State)
}
