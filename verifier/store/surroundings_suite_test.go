package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// of makes a notification one of another service.
func of(service string, n verifier.Notification) verifier.Notification {
	n.Deployment.Service = service
	n.DeliveryID += service
	n.Deployment.DeploymentID += service
	return n
}

func testNeighbours(t *testing.T, db database) {
	s := open(t, db.place(t))
	day := 24 * 60
	for service, minutes := range map[string]int{"old": -40 * day, "week": -7 * day, "yesterday": -day, "overlapping": -20, "twice": -2 * day, "rolling": -3 * day, "gave-up": -4 * day} {
		accept(t, s, of(service, finished("1", later(minutes))), later(minutes))
	}
	accept(t, s, of("twice", finished("2", later(-10))), later(-10))
	accept(t, s, of("rolling", started("2", later(-1))), later(-1))
	failed := of("gave-up", started("2", later(-1)))
	failed.Deployment.Status = verifier.DeployFailed
	accept(t, s, failed, later(-1))
	other := of("elsewhere", finished("1", later(-day)))
	other.Deployment.Environment = "staging"
	accept(t, s, other, later(-day))

	v := opened(t, s, "1", start)
	names := func(limit int) (out []string) {
		neighbours, _, err := s.Surroundings(t.Context(), v, policy(), later(-30*day), limit)
		require.NoError(t, err)
		for _, d := range neighbours {
			out = append(out, d.Service)
		}
		return out
	}
	require.Equal(t, []string{"yesterday", "gave-up", "week"}, names(10))
	require.Equal(t, []string{"yesterday"}, names(1))
}

func testOverlapping(t *testing.T, db database) {
	s := open(t, db.place(t))
	const window = 30 // minutes, of the policy
	accept(t, s, of("long ago", finished("1", later(-window-5))), later(-window-5))
	accept(t, s, of("before", finished("1", later(-window+5))), later(-window+5))
	kept := accept(t, s, of("kept", finished("1", later(-2))), later(-2))
	decide(t, s, *kept.Verification, verifier.Keep, later(1))
	v := opened(t, s, "1", start)
	accept(t, s, of("after", finished("1", later(3))), later(3))
	accept(t, s, of("rolling", started("1", later(4))), later(4))
	anonymous := of("ended", started("1", later(4)))
	anonymous.Deployment.DeploymentID = ""
	accept(t, s, anonymous, later(4))
	anonymous.DeliveryID, anonymous.Deployment.Status = "ended", verifier.DeployFailed
	accept(t, s, anonymous, later(5))
	superseded := accept(t, s, of("again", finished("1", later(4))), later(4))
	accept(t, s, of("again", finished("2", later(5))), later(5))
	other := of("elsewhere", finished("1", start))
	other.Deployment.Environment = "staging"
	accept(t, s, other, start)

	var seen []string
	check := func(overlapping []verifier.Overlap) {
		seen = nil
		for _, o := range overlapping {
			seen = append(seen, o.Deployment.Service)
			require.Equal(t, o.Deployment.Service == "rolling", o.Verification == nil)
			if o.Verification != nil {
				require.NotEqual(t, superseded.Verification.ID, o.Verification.ID)
				require.Equal(t, "default", o.Policy.Name)
				require.Equal(t, o.Deployment.Service == "kept", o.Verification.State == verifier.StateDecided)
			}
		}
		require.Equal(t, []string{"before", "kept", "after", "again", "rolling"}, seen)
	}
	_, overlapping, err := s.Surroundings(t.Context(), v, policy(), start, 1)
	require.NoError(t, err)
	check(overlapping)
	// The decision sees the same, in its own transaction.
	c := claim(t, s, v.ID, later(6))
	c.Verification.Attribution = &verifier.Attribution{} // of a revert
	require.NoError(t, s.Decide(t.Context(), c, nil, later(6), func(f verifier.Facts) (verifier.Decided, error) {
		check(f.Overlapping)
		decided, err := v.Decide(verifier.Verdict{Decision: verifier.Keep, DecidedAt: later(6)}, verifier.Action{State: verifier.ActionNone})
		return verifier.Decided{Verification: decided}, err
	}))
}

func testAttributionStored(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1", start)
	c := claim(t, s, v.ID, later(1))
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	c.Verification.Attribution = &verifier.Attribution{OnAmbiguous: verifier.AmbiguousHold, Worse: 3, Share: 0.33, Waiting: "for cart",
		Candidates: []verifier.Candidate{{Service: "cart", StartedAt: later(1).UTC().Truncate(time.Microsecond), State: verifier.CandidateUnclear}}}
	require.NoError(t, s.Record(t.Context(), c, nil, later(2), nil))
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, c.Verification.Attribution, stored.Attribution)
}

// testOverlapsRead: in a busy environment those that may have done harm are
// read before those that were kept.
func testOverlapsRead(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	v := opened(t, s, "1", start)
	n := finished("2", later(1))
	n.DeliveryID, n.Deployment.DeploymentID, n.Deployment.Service = "harmful", "harmful", "a-harmful"
	harmful := *accept(t, s, n, later(1)).Verification
	db.exec(t, url, `INSERT INTO deployments (id, source, deployment_id, service, environment, version, status, irreversible, started_at, finished_at, received_at, place, release_id, record)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
		SELECT 'd' || i, source, '', 'kept-' || i, environment, version, status, irreversible, started_at, finished_at, received_at, 1, release_id, record FROM deployments, n WHERE service = 'a-harmful'`)
	db.exec(t, url, `INSERT INTO verifications (id, deployment, service, environment, version, finished_at, judged_from, place, opened_at, cleared_at, state, decision, effective, effective_at,
			action_state, action_changed_at, revert_id, requested_at, automatic_at, record, policy, next_check_at, lease_until, epoch)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
		SELECT 'v' || i, 'd' || i, 'kept-' || i, environment, version, finished_at + i, judged_from, 1, opened_at, cleared_at, 'decided', 'keep', 'keep', 1,
			action_state, action_changed_at, '', 0, 0, record, policy, 0, 0, 0 FROM verifications, n WHERE service = 'a-harmful'`)
	_, overlapping, err := s.Surroundings(t.Context(), v, policy(), start, 10)
	require.NoError(t, err)
	require.Len(t, overlapping, 200)
	var ids []string
	for _, o := range overlapping {
		ids = append(ids, o.Verification.ID)
	}
	require.Contains(t, ids, harmful.ID)
}
