package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

const day = 24 * time.Hour

// keeping is the default of the configuration.
func keeping() store.Retention {
	return store.Retention{Evidence: 30 * day, Verifications: 400 * day, DeliveryIDs: 30 * day}
}

func prune(t *testing.T, s *store.Store, now time.Time, r store.Retention) store.Pruned {
	t.Helper()
	p, err := s.Prune(t.Context(), now, r)
	require.NoError(t, err)
	return p
}

func testPruneKeys(t *testing.T, db database) {
	s := open(t, db.place(t))
	n := finished("1.0.0", start)
	n.Deployment.DeploymentID = "" // only the delivery tells it apart
	first := accept(t, s, n, start)
	require.Zero(t, prune(t, s, start.Add(30*day), keeping()))
	require.Equal(t, first.Verification.ID, accept(t, s, n, later(1)).Existing)
	require.Equal(t, store.Pruned{DeliveryIDs: 1}, prune(t, s, start.Add(30*day+time.Second), keeping()))
	require.Empty(t, accept(t, s, n, later(2)).Existing)
}

// observed stores some evidence of a verification.
func observed(t *testing.T, s *store.Store, v verifier.Verification, now time.Time, steps int) {
	t.Helper()
	c := claim(t, s, v.ID, now)
	c.Signals = []verifier.SignalEvidence{{Signal: "errors", Calibration: []byte(`{"n":1}`)}}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	var list []verifier.Observation
	for i := range steps {
		list = append(list, verifier.Observation{At: now.Add(time.Duration(i) * time.Second), Outcome: verifier.Measured, Total: 1})
	}
	require.NoError(t, s.Record(t.Context(), c, map[string][]verifier.Observation{"errors": list}, now, nil))
}

func evidence(t *testing.T, s *store.Store, id string) verifier.Evidence {
	t.Helper()
	e, err := s.Evidence(t.Context(), id)
	require.NoError(t, err)
	return e
}

// testPruneEvidence drops the evidence of what is over, and of nothing that
// runs, is being rolled back or has something to tell.
func testPruneEvidence(t *testing.T, db database) {
	s := open(t, db.place(t))
	place := func(service string) verifier.Verification {
		n := finished("1", start)
		n.DeliveryID, n.Deployment.Service = service, service
		v := *accept(t, s, n, start).Verification
		observed(t, s, v, later(1), 3)
		return v
	}
	over, running, reverting, telling := place("over"), place("running"), place("reverting"), place("telling")
	decide(t, s, over, verifier.Keep, later(5))
	decide(t, s, reverting, verifier.Revert, later(5))
	require.NoError(t, s.Decide(t.Context(), claim(t, s, telling.ID, later(5)), nil, later(5), func(verifier.Facts) (verifier.Decided, error) {
		v, err := telling.Decide(verifier.Verdict{Decision: verifier.Keep, DecidedAt: later(5), By: verifier.ByPostflight}, verifier.Action{State: verifier.ActionNone})
		require.NoError(t, err)
		messages, err := verifier.Messages(verifier.EventDecided, v, policy(), later(5))
		require.NotEmpty(t, messages)
		return verifier.Decided{Verification: v, Deliveries: messages}, err
	}))

	require.Zero(t, prune(t, s, start.Add(30*day), store.Retention{Evidence: 30 * day, Verifications: 400 * day, DeliveryIDs: 31 * day}))
	now := start.Add(31 * day)
	require.Equal(t, 1, prune(t, s, now, keeping()).Evidence)
	e := evidence(t, s, over.ID)
	require.Empty(t, e.Signals)
	require.Equal(t, utc(now), *e.DroppedAt)
	stored, err := s.Verification(t.Context(), over.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.Keep, stored.Verdict.Decision, "the verdict stays")
	for _, v := range []verifier.Verification{running, reverting, telling} {
		e := evidence(t, s, v.ID)
		require.Nil(t, e.DroppedAt)
		require.Len(t, e.Signals[0].Observations, 3)
	}
	require.Zero(t, prune(t, s, now, keeping()).Evidence, "once")
}

// testPruneEvidenceInParts: what takes several transactions is not shown in
// parts, and is gone at the end.
func testPruneEvidenceInParts(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	v := opened(t, s, "1", start)
	observed(t, s, v, later(1), 4500)
	decide(t, s, v, verifier.Keep, later(30))
	db.exec(t, url, `UPDATE verifications SET evidence_dropped_at = -1`) // as after a crash on the way
	require.NotNil(t, evidence(t, s, v.ID).DroppedAt)
	require.Empty(t, evidence(t, s, v.ID).Signals)
	require.Equal(t, 1, prune(t, s, start.Add(31*day), keeping()).Evidence)
	require.Equal(t, utc(start.Add(31*day)), *evidence(t, s, v.ID).DroppedAt)
	db.exec(t, url, `UPDATE verifications SET evidence_dropped_at = 0`)
	require.Empty(t, evidence(t, s, v.ID).Signals)
}

// kept makes a deploy that was kept, each a day after the other.
func kept(t *testing.T, s *store.Store, version int, d verifier.Decision) verifier.Verification {
	t.Helper()
	at := start.Add(time.Duration(version) * day)
	v := opened(t, s, fmt.Sprint(version), at)
	observed(t, s, v, at.Add(time.Minute), 2)
	return decide(t, s, v, d, at.Add(30*time.Minute))
}

func versions(t *testing.T, s *store.Store) []string {
	t.Helper()
	list, err := s.Versions(t.Context(), verifier.Location{Service: "checkout", Environment: "production"})
	require.NoError(t, err)
	return list
}

func testPruneDeployments(t *testing.T, db database) {
	s := open(t, db.place(t))
	for i := range 30 {
		kept(t, s, i, verifier.Keep)
	}
	failed := finished("0.1", start)
	failed.DeliveryID, failed.Deployment.DeploymentID, failed.Deployment.Status = "failed", "failed", verifier.DeployFailed
	accept(t, s, failed, start)
	require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "over", start))
	where := verifier.Location{Service: "checkout", Environment: "production"}
	r := keeping()

	require.Zero(t, prune(t, s, start.Add(400*day), r).Verifications)
	now := start.Add(405*day + time.Hour) // the first six are old enough
	r.Keep = map[verifier.Location]bool{where: true}
	require.Zero(t, prune(t, s, now, r).Verifications, "it is frozen")
	r.Keep, r.KeepAll = nil, true
	require.Zero(t, prune(t, s, now, r).Verifications, "the brake is engaged")
	r.KeepAll = false
	require.Equal(t, 7, prune(t, s, now, r).Verifications, "with the failed one")
	require.Len(t, versions(t, s), 24)
	require.Equal(t, 3, prune(t, s, start.Add(1000*day), r).Verifications)
	require.Len(t, versions(t, s), 21, "what runs and 20 before it stay")
	require.Len(t, wholeAudit(t, s), 1)
}

// testPruneKeepsTarget: the version to go back to stays, and with it what was
// decided since; it is the same one before and after.
func testPruneKeepsTarget(t *testing.T, db database) {
	s := open(t, db.place(t))
	kept(t, s, 0, verifier.Keep)
	kept(t, s, 1, verifier.Keep)
	target := kept(t, s, 2, verifier.Keep)
	var last verifier.Verification
	for i := 3; i < 40; i++ {
		last = kept(t, s, i, verifier.Inconclusive)
	}
	before := facts(t, s, last.ID, start.Add(1000*day))
	require.Equal(t, target.Deployment.ID, before.Target.ID)
	require.Equal(t, 2, prune(t, s, start.Add(1000*day), keeping()).Verifications)
	require.Equal(t, before, facts(t, s, last.ID, start.Add(1000*day)))
	require.Len(t, versions(t, s), 38)
}

// testPruneKeepsReverted: a version that was reverted may not go out again,
// however long ago that was, until it is approved again or was kept.
func testPruneKeepsReverted(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	reverted := kept(t, s, 0, verifier.Revert)
	db.exec(t, url, `UPDATE verifications SET action_state = 'confirmed' WHERE id = '`+reverted.ID+`'`)
	db.exec(t, url, `UPDATE deliveries SET state = 'delivered' WHERE verification = '`+reverted.ID+`'`)
	for i := 1; i < 30; i++ {
		kept(t, s, i, verifier.Keep)
	}
	now := start.Add(1000 * day)
	require.Equal(t, 8, prune(t, s, now, keeping()).Verifications, "one less than without the revert")
	_, seen := askGate(t, s, asksOf("0"), now, verifier.NoGo)
	require.Equal(t, reverted.ID, seen.Reverted.ID)
	_, err := s.Speak(t.Context(), yes("0", "quinn", now))
	requireKind(t, verifier.Conflict, err)

	again := opened(t, s, "0", now.Add(day+time.Minute)) // at another time of day: the ids are made of it
	decide(t, s, again, verifier.Keep, now.Add(day+time.Hour))
	require.Equal(t, 2, prune(t, s, now.Add(1000*day), keeping()).Verifications, "the revert goes once the version was kept")
	_, seen = askGate(t, s, asksOf("0"), now.Add(1000*day), verifier.NoGo)
	require.Nil(t, seen.Reverted)
}

// testPruneGate: what was answered of a release that never came goes with its
// age, what a record needs stays.
func testPruneGate(t *testing.T, db database) {
	s := open(t, db.place(t))
	askGate(t, s, asksOf("1"), start, verifier.Go)
	askGate(t, s, asksOf("2"), start, verifier.NoGo)
	spoken := asksOf("4")
	spoken.Actor = "quinn-gh"
	askGate(t, s, spoken, start, verifier.NoGo)
	speak(t, s, yes("4", "quinn", start))
	askGate(t, s, asksOf("3"), start, verifier.NoGo)
	askGate(t, s, asksOf("3"), start.Add(day), verifier.NoGo) // the same again
	kept(t, s, 1, verifier.Keep)
	require.Zero(t, prune(t, s, start.Add(400*day), keeping()).GateDecisions)
	require.Equal(t, 1, prune(t, s, start.Add(400*day+time.Minute), keeping()).GateDecisions)
	_, err := s.ReleaseRecord(t.Context(), "checkout", "2", "")
	requireKind(t, verifier.NotFound, err)
	for _, version := range []string{"1", "3"} {
		r, err := s.ReleaseRecord(t.Context(), "checkout", version, "")
		require.NoError(t, err)
		require.Len(t, r.Environments[0].Gate, 1)
	}
	require.Equal(t, 1, prune(t, s, start.Add(402*day), keeping()).GateDecisions)
	_, seen := askGate(t, s, asksOf("4"), start.Add(402*day), verifier.NoGo)
	require.Equal(t, []string{"quinn-gh"}, seen.Actors, "of what somebody spoke of")
	r, err := s.ReleaseRecord(t.Context(), "checkout", "1", "")
	require.NoError(t, err)
	require.Equal(t, verifier.Go, r.Environments[0].Deployments[0].Deployment.Gate.Decision)
}

// testPruneBounds: the same deploys over and over take the same room.
func testPruneBounds(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	r := store.Retention{Evidence: 5 * day, Verifications: 10 * day, DeliveryIDs: 10 * day}
	var sizes []int64
	for i := range 48 {
		kept(t, s, i, verifier.Keep)
		now := start.Add(time.Duration(i)*day + time.Hour)
		prune(t, s, now, r)
		counts, err := s.Counts(t.Context(), now)
		require.NoError(t, err)
		require.LessOrEqual(t, counts.Verifications[verifier.StateDecided], 22)
		if strings.HasPrefix(url, "postgres") { // the tests' server doesn't by itself
			db.exec(t, url, `VACUUM`)
		}
		if i%24 == 23 {
			sizes = append(sizes, counts.Bytes)
		}
	}
	require.Less(t, float64(sizes[1]), 1.1*float64(sizes[0]))
}
