package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// database is one kind of database under the conformance suite.
type database struct {
	// place returns the url of a fresh, empty database.
	place func(t *testing.T) string
	// exec runs a statement on the database at url, beside the store.
	exec func(t *testing.T, url, statement string)
}

func TestSQLite(t *testing.T) {
	conform(t, database{
		place: func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "postflight.db") },
		exec:  alterSQLite,
	})
}

// conform is what every database must do.
func conform(t *testing.T, db database) {
	for name, test := range map[string]func(*testing.T, database){
		"accept opens one verification":      testAcceptOpens,
		"accept at once":                     testAcceptAtOnce,
		"accept refuses a reused key":        testAcceptReusedKey,
		"accept survives reopening":          testAcceptReopen,
		"accept started then finished":       testAcceptStartedFinished,
		"accept supersedes":                  testAcceptSupersedes,
		"accept old event late":              testAcceptLate,
		"accept without a policy":            testAcceptNoPolicy,
		"accept recognises rollbacks":        testAcceptRollbacks,
		"accept ends an open revert":         testAcceptEndsRevert,
		"prune delivery ids":                 testPruneKeys,
		"prune evidence":                     testPruneEvidence,
		"prune evidence in parts":            testPruneEvidenceInParts,
		"prune deployments":                  testPruneDeployments,
		"prune keeps the target":             testPruneKeepsTarget,
		"prune keeps what was reverted":      testPruneKeepsReverted,
		"prune what the gate answered":       testPruneGate,
		"prune bounds what is stored":        testPruneBounds,
		"claim once":                         testClaimOnce,
		"claim after the lease":              testClaimLease,
		"renew a lease":                      testRenew,
		"claim spreads the first look":       testClaimFirstLook,
		"stale epoch":                        testStaleEpoch,
		"evidence":                           testEvidence,
		"record":                             testRecord,
		"record: together":                   testRecordTogether,
		"decide":                             testDecide,
		"decide undone":                      testDecideUndone,
		"claim: from memory":                 testClaimFromMemory,
		"claim: after a failover":            testClaimAfterFailover,
		"claim: beside what can't be read":   testClaimUnreadable,
		"indexes are mended":                 testIndexesMended,
		"past observations":                  testPastObservations,
		"brake by hand":                      testBrakeByHand,
		"passed before":                      testPassedBefore,
		"left out":                           testLeftOut,
		"facts: target":                      testTarget,
		"surroundings: neighbours":           testNeighbours,
		"surroundings: overlapping":          testOverlapping,
		"surroundings: stored":               testAttributionStored,
		"surroundings: busy":                 testOverlapsRead,
		"release":                            testRelease,
		"facts: the reverted resurfaces":     testResurfaced,
		"revert ids":                         testRevertIDs,
		"facts: barrier":                     testBarrier,
		"facts: running deploy":              testRunning,
		"facts: unclear order":               testUnclear,
		"facts: reverts and brake":           testReverts,
		"update action":                      testUpdateAction,
		"update delivery":                    testUpdateDelivery,
		"deliveries run":                     testDeliveriesRun,
		"deliveries start unpolled":          testDeliveriesStartUnpolled,
		"deliveries: inbox":                  testInbox,
		"deliveries resume":                  testDeliveriesResume,
		"deliveries: messages block nothing": testQueuesIndependent,
		"deliveries: faults are retried":     testDeliveryFault,
		"deliveries: a long queue":           testDeliveriesOfALongQueue,
		"deliveries: stop waits":             testStopWaits,
		"deliveries: nobody has them":        testOrphans,
		"alerts":                             testAlerts,
		"recent":                             testRecent,
		"current":                            testCurrent,
		"faults are told":                    testFailed,
		"alerts: forgotten":                  testAlertsForgotten,
		"audit":                              testAudit,
		"freezes":                            testFreezes,
		"reverts that are read":              testRevertsRead,
		"facts: reverts since an unfreeze":   testUnfrozenReverts,
		"facts: marks and the target":        testMarkedTarget,
		"versions":                           testVersions,
		"override":                           testOverride,
		"gate: words":                        testGateWords,
		"gate: reverted":                     testGateReverted,
		"gate: reverted anew":                testGateRevertedAnew,
		"gate: says no anew":                 testGateSaysNoAnew,
		"gate: state":                        testGateState,
		"gate: decisions":                    testGateDecisions,
		"gate: at once":                      testGateAtOnce,
		"gate: requests":                     testGateRequests,
		"gate: requests at once":             testGateRequestsAtOnce,
		"gate requests: one by one":          testGateRequestsOneByOne,
		"gate: before a deploy":              testGateBeforeDeploy,
		"gate: approved while reverted":      testGateApprovedWhileReverted,
		"gate: replicas":                     testGateReplicas,
		"gate: bounds":                       testGateBounds,
		"feedback":                           testFeedback,
		"feedback at once":                   testFeedbackAtOnce,
		"votes":                              testVotes,
		"votes end a look under way":         testVoteEndsLook,
		"votes at once":                      testVotesAtOnce,
		"accuracy":                           testAccuracy,
		"left out: wrong verdicts":           testWrongLeavesBaselines,
		"override ends a look under way":     testOverrideEndsLook,
		"list":                               testList,
		"list refuses":                       testListRefuses,
		"counts":                             testCounts,
		"unknown ids":                        testUnknown,
		"vitals":                             testVitals,
		"receiver vitals":                    testReceiverVitals,
		"replicas":                           testReplicas,
		"around":                             testAround,
		"times":                              testTimes,
		"tickets":                            testTickets,
		"ticket counts":                      testTicketCounts,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, db) })
	}
}

// virtual is for tests whose times are not the clock's.
var virtual = store.Options{CallersTime: true}

// start is when the tests' world begins: not in UTC, and finer than stored.
var start = time.Date(2026, 11, 23, 3, 41, 7, 123456789, time.FixedZone("CET", 3600))

// later is some minutes after start.
func later(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }

// utc is what a time becomes by being stored.
func utc(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, virtual)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func policy() verifier.Policy {
	return verifier.Policy{
		Name: "default", Mode: verifier.Enforce, Window: verifier.Duration(30 * time.Minute), Interval: verifier.Duration(15 * time.Second), Warmup: verifier.Duration(20 * time.Second),
		ReleaseWindows: []verifier.Period{{Name: "office", From: 8 * 60, To: 18 * 60}}, Freezes: []verifier.Period{{Name: "year-end", FirstDay: "2026-12-20"}},
		Receivers: []string{"chat"}, Rollback: "argo", RevertExpires: verifier.Duration(30 * time.Minute),
		Signals: []verifier.Signal{
			{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, RatioSource: &verifier.RatioSource{Server: "main", Bad: "b", Total: "t"}},
			{Name: "login", Kind: verifier.Ratio, Role: verifier.Decisive, ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: 3}},
		},
	}
}

// finished announces that version was brought to production at that time.
func finished(version string, at time.Time) verifier.Notification {
	id := version + at.Format("-150405")
	return verifier.Notification{Source: "ci", DeliveryID: "delivery-" + id, Deployment: verifier.Deployment{
		Source: "ci", DeploymentID: "deploy-" + id, Service: "checkout", Environment: "production",
		Version: version, Status: verifier.DeployFinished, StartedAt: at.Add(-time.Minute), FinishedAt: at,
	}}
}

func started(version string, at time.Time) verifier.Notification {
	n := finished(version, at)
	n.DeliveryID += "-started"
	n.Deployment.Status, n.Deployment.StartedAt, n.Deployment.FinishedAt = verifier.DeployStarted, at, time.Time{}
	return n
}

func accept(t *testing.T, s *store.Store, n verifier.Notification, now time.Time) verifier.Acceptance {
	t.Helper()
	a, _, err := s.Accept(context.Background(), n, []verifier.Policy{policy()}, now)
	require.NoError(t, err)
	return a
}

// opened accepts a finished deploy and returns its verification.
func opened(t *testing.T, s *store.Store, version string, at time.Time) verifier.Verification {
	t.Helper()
	a := accept(t, s, finished(version, at), at)
	require.NotNil(t, a.Verification, a.Ignored)
	return *a.Verification
}

// claim returns the check of one verification; the lease is over at once.
func claim(t *testing.T, s *store.Store, id string, now time.Time) verifier.Check {
	t.Helper()
	checks, err := s.Claim(t.Context(), now, 0, 100)
	require.NoError(t, err)
	for _, c := range checks {
		if c.Verification.ID == id {
			return c
		}
	}
	require.Failf(t, "not due", "%s", id)
	return verifier.Check{}
}

// decide ends a verification with that decision at that time. A revert is
// requested, of the version "target".
func decide(t *testing.T, s *store.Store, v verifier.Verification, d verifier.Decision, now time.Time) verifier.Verification {
	t.Helper()
	var decided verifier.Verification
	err := s.Decide(t.Context(), claim(t, s, v.ID, now), nil, now, func(f verifier.Facts) (verifier.Decided, error) {
		action := verifier.Action{State: verifier.ActionNone}
		var deliveries []verifier.Delivery
		if d == verifier.Revert {
			action, deliveries = requested(t, v, "target", now)
		}
		var err error
		decided, err = v.Decide(verifier.Verdict{Decision: d, DecidedAt: now, By: verifier.ByPostflight}, action)
		return verifier.Decided{Verification: decided, Deliveries: deliveries}, err
	})
	require.NoError(t, err)
	return decided
}

func requested(t *testing.T, v verifier.Verification, target string, now time.Time) (verifier.Action, []verifier.Delivery) {
	action := verifier.Action{State: verifier.ActionRequested, Rollback: "argo", TargetVersion: target,
		RevertID: verifier.NewID(verifier.RevertPrefix), RequestedAt: &now, AutomaticAt: &now, ChangedAt: &now}
	body, err := verifier.RevertRequest{RevertID: action.RevertID, TargetVersion: target, ExpiresAt: now.Add(30 * time.Minute).UTC()}.Body()
	require.NoError(t, err)
	return action, []verifier.Delivery{{
		ID: verifier.NewID(verifier.DeliveryPrefix), VerificationID: v.ID, Kind: verifier.RollbackDelivery, Receiver: "argo",
		Event: verifier.EventRevert, State: verifier.DeliveryPending, CreatedAt: now, Key: action.RevertID, Body: body,
	}}
}

// facts returns what the guards would see of a verification, whatever its state.
func facts(t *testing.T, s *store.Store, id string, now time.Time) verifier.Facts {
	t.Helper()
	var out verifier.Facts
	require.NoError(t, s.UpdateAction(t.Context(), id, now,
		func(v verifier.Verification, _ verifier.Policy, f verifier.Facts) (verifier.Verification, []verifier.Delivery, error) {
			out = f
			return v, nil, nil
		}))
	return out
}

func requireKind(t *testing.T, kind verifier.Kind, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, kind, verifier.KindOf(err), err.Error())
}
