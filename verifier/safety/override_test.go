package safety

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// subject is a verification that a person decides about, with all around it.
type subject struct {
	v verifier.Verification
	p verifier.Policy
	f verifier.Facts
}

func watched(state verifier.State) subject {
	f := allowed()
	return subject{
		v: verifier.Verification{ID: "vf_1", State: state, Mode: f.Mode, Deployment: f.Deployment,
			OpenedAt: ago(9 * time.Minute), ClosesAt: now.Add(50 * time.Minute), Action: verifier.Action{State: verifier.ActionNone}},
		p: verifier.Policy{Name: "checkout", Rollback: f.Rollback, Receivers: []string{"oncall"}, RevertExpires: verifier.Duration(20 * time.Minute)},
		f: f,
	}
}

// judged has postflight's own verdict.
func judged(t *testing.T, d verifier.Decision) subject {
	t.Helper()
	s := watched(verifier.StateObserving)
	var err error
	s.v, err = s.v.Decide(verifier.Verdict{Decision: d, DecidedAt: ago(5 * time.Minute), Summary: "errors 0.4% -> 6.1%", By: verifier.ByPostflight}, s.v.Action)
	require.NoError(t, err)
	return s
}

// reverting has a rollback in the state, with attempts that ended so.
func reverting(t *testing.T, state verifier.ActionState, attempts ...string) subject {
	t.Helper()
	s := judged(t, verifier.Revert)
	action, request, err := Request(s.v, s.p, s.f, "", ago(5*time.Minute))
	require.NoError(t, err)
	for i, result := range attempts {
		request.Attempts = append(request.Attempts, verifier.Attempt{At: ago(time.Duration(4-i) * time.Minute), Result: result})
	}
	s.v.Action, s.v.Deliveries = action, []verifier.Delivery{request}
	s.v.Action.State = state
	s.f.PastReverts = []verifier.PastRevert{reverted(action.RevertID, "checkout", 5*time.Minute)}
	s.f.ExpiresAt = now.Add(15 * time.Minute)
	return s
}

func (s subject) with(change func(*subject)) subject {
	change(&s)
	return s
}

func shadow(s *subject) { s.v.Mode, s.f.Mode = verifier.Shadow, verifier.Shadow }

func fencedOff(s *subject) {
	s.f.Current.ID, s.f.Current.Version, s.f.Current.FinishedAt = "dp_3", "1.43.0", ago(time.Minute)
}

// overruled is what a decision should come to.
type overruled struct {
	state     verifier.State
	verdict   verifier.Decision // by whom is checked against state
	effective verifier.Decision
	action    verifier.ActionState
	guard     verifier.Guard
	requests  bool // a new rollback
	discards  bool
	event     verifier.EventType // that is told; "" is nothing
	outcome   string
}

func TestOverrideTable(t *testing.T) {
	const (
		k, r, c    = verifier.Keep, verifier.Revert, verifier.Cancel
		decided    = verifier.StateDecided
		told       = verifier.EventDecided
		moved      = verifier.EventActionChanged
		noRollback = "No rollback was requested, and none will be."
		requestedT = "A rollback to 1.41.3 is requested from pipeline-rollback: dana asked for it."
	)
	none, withheld, requested, failed := verifier.ActionNone, verifier.ActionWithheld, verifier.ActionRequested, verifier.ActionFailed
	for name, test := range map[string]struct {
		subject  subject
		decision verifier.Decision
		want     overruled
	}{
		"keep, pending":    {watched(verifier.StatePending), k, overruled{decided, k, k, none, "", false, false, told, noRollback}},
		"keep, observing":  {watched(verifier.StateObserving), k, overruled{decided, k, k, none, "", false, false, told, noRollback}},
		"revert, pending":  {watched(verifier.StatePending), r, overruled{decided, r, r, requested, "", true, false, told, requestedT}},
		"revert, observed": {watched(verifier.StateObserving), r, overruled{decided, r, r, requested, "", true, false, told, requestedT}},
		"revert, shadow": {watched(verifier.StateObserving).with(shadow), r, overruled{decided, r, r, requested, "", true, false, told,
			"A rollback to 1.41.3 is requested from pipeline-rollback: dana asked for it; it lifted mode shadow."}},
		"revert, fenced": {watched(verifier.StateObserving).with(func(s *subject) { s.f.Running = &verifier.Deployment{Version: "1.43.0", StartedAt: ago(time.Minute)} }), r,
			overruled{decided, r, r, withheld, verifier.GuardFence, false, false, told,
				"The guard fence holds the rollback back, and a person's revert doesn't lift it: Another deploy of checkout in production, 1.43.0, is under way since 02:59:00 UTC. Look at what runs now."}},
		"cancel, observing": {watched(verifier.StateObserving), c, overruled{verifier.StateCancelled, "", "", none, "", false, false,
			verifier.EventCancelled, "1.42.0 is not watched any more and gets no verdict."}},
		"cancel, pending": {watched(verifier.StatePending), c, overruled{verifier.StateCancelled, "", "", none, "", false, false,
			verifier.EventCancelled, "1.42.0 is not watched any more and gets no verdict."}},

		"keep over keep":         {judged(t, k), k, overruled{decided, k, k, none, "", false, false, "", noRollback}},
		"keep over inconclusive": {judged(t, verifier.Inconclusive), k, overruled{decided, verifier.Inconclusive, k, none, "", false, false, moved, noRollback}},
		"keep over withheld": {judged(t, r).with(func(s *subject) { s.v.Action.State, s.v.Action.Guard = withheld, verifier.GuardMode }), k,
			overruled{decided, r, k, withheld, verifier.GuardMode, false, false, moved, noRollback}},
		"keep, not sent": {reverting(t, requested), k, overruled{decided, r, k, withheld, verifier.GuardPerson, false, true, moved,
			"The request to roll back to 1.41.3 was not sent yet and is discarded: nothing was called."}},
		"keep, being sent": {reverting(t, requested, verifier.AttemptStarted), k, overruled{decided, r, k, requested, "", false, false, moved,
			"The request to roll back to 1.41.3 was already sent at 02:56:00 UTC and can't be recalled; it is not sent again."}},
		"keep, sent in vain": {reverting(t, requested, "retry", "retry"), k, overruled{decided, r, k, failed, verifier.GuardPerson, false, true, moved,
			"The request to roll back to 1.41.3 was already sent at 02:57:00 UTC without being taken; that can't be recalled, and it is not sent again."}},
		"keep, accepted": {reverting(t, verifier.ActionAccepted, "delivered"), k, overruled{decided, r, k, verifier.ActionAccepted, "", false, false, moved,
			"The request to roll back to 1.41.3, already sent at 02:56:00 UTC, was taken by pipeline-rollback and can't be recalled: to stay on 1.42.0, stop it there or deploy 1.42.0 again."}},
		"keep, unconfirmed": {reverting(t, verifier.ActionUnconfirmed, "delivered"), k, overruled{decided, r, k, verifier.ActionUnconfirmed, "", false, false, moved,
			"The request to roll back to 1.41.3, already sent at 02:56:00 UTC, was taken by pipeline-rollback and can't be recalled: to stay on 1.42.0, stop it there or deploy 1.42.0 again."}},
		"keep, confirmed": {reverting(t, verifier.ActionConfirmed, "delivered"), k, overruled{decided, r, k, verifier.ActionConfirmed, "", false, false, moved,
			"1.42.0 was rolled back to 1.41.3 already: it counts as good from now on, and comes back by being deployed again."}},
		"keep, declined": {reverting(t, verifier.ActionDeclined, "declined"), k, overruled{decided, r, k, verifier.ActionDeclined, "", false, false, moved,
			"No rollback is under way: the last request, sent at 02:56:00 UTC, is declined."}},

		"revert over keep":         {judged(t, k), r, overruled{decided, k, r, requested, "", true, false, moved, requestedT}},
		"revert over inconclusive": {judged(t, verifier.Inconclusive), r, overruled{decided, verifier.Inconclusive, r, requested, "", true, false, moved, requestedT}},
		"revert over withheld": {judged(t, r).with(func(s *subject) { shadow(s); s.v.Action.State, s.v.Action.Guard = withheld, verifier.GuardMode }), r,
			overruled{decided, r, r, requested, "", true, false, moved, "A rollback to 1.41.3 is requested from pipeline-rollback: dana asked for it; it lifted mode shadow."}},
		"revert, caps and brake": {judged(t, k).with(func(s *subject) {
			s.f.PastReverts = []verifier.PastRevert{reverted("rv_a", "checkout", time.Minute), reverted("rv_b", "cart", 0), reverted("rv_c", "mail", 0)}
		}), r, overruled{decided, k, r, requested, "", true, false, moved, "A rollback to 1.41.3 is requested from pipeline-rollback: dana asked for it; it lifted brake, caps."}},
		"revert, not current": {judged(t, k).with(fencedOff), r, overruled{decided, k, r, withheld, verifier.GuardFence, false, false, moved,
			"The guard fence holds the rollback back, and a person's revert doesn't lift it: checkout in production runs 1.43.0 since 02:59:00 UTC, not the verified 1.42.0. Look at what runs now."}},
		"revert, irreversible": {judged(t, k).with(func(s *subject) { s.f.Deployment.Irreversible = true }), r, overruled{decided, k, r, withheld, verifier.GuardIrreversible, false, false, moved,
			"The guard irreversible holds the rollback back, and a person's revert doesn't lift it: 1.42.0 was announced as irreversible: bringing an older version back needs a person. To go back all the same, deploy 1.41.3 with your pipeline."}},
		"revert, no target": {judged(t, k).with(func(s *subject) { s.f.Target = nil }), r, overruled{decided, k, r, withheld, verifier.GuardTarget, false, false, moved,
			"The guard target holds the rollback back, and a person's revert doesn't lift it: No other version of checkout in production was kept, cleared or marked good yet, so there is none to go back to. To go back all the same, deploy a version that you trust with your pipeline."}},
		"revert, no rollback": {judged(t, k).with(func(s *subject) { shadow(s); s.p.Rollback, s.f.Rollback = "", "" }), r, overruled{decided, k, r, withheld, verifier.GuardMode, false, false, moved,
			"The guard mode holds the rollback back, and a person's revert doesn't lift it: The policy names no rollback, so there is nothing to call. To go back all the same, deploy 1.41.3 with your pipeline."}},
		"revert, is a rollback": {judged(t, k).with(func(s *subject) { s.f.Deployment.Rollback = true }), r, overruled{decided, k, r, withheld, verifier.GuardLoop, false, false, moved,
			"The guard loop holds the rollback back, and a person's revert doesn't lift it: 1.42.0 is itself a rollback (its source says so), and a rollback is watched but never reverted. Look at the service itself: the cause may be elsewhere."}},
		"revert over requested": {reverting(t, requested), r, overruled{decided, r, r, requested, "", false, false, "", ""}},
		"revert over accepted":  {reverting(t, verifier.ActionAccepted, "delivered"), r, overruled{decided, r, r, verifier.ActionAccepted, "", false, false, "", ""}},
		"revert over confirmed": {reverting(t, verifier.ActionConfirmed, "delivered"), r, overruled{decided, r, r, verifier.ActionConfirmed, "", false, false, "", "1.42.0 was rolled back to 1.41.3 already."}},
		"revert over failed": {reverting(t, failed, "retry"), r, overruled{decided, r, r, requested, "", true, false, moved,
			"A rollback to 1.41.3 is requested from pipeline-rollback: dana asked for it; it lifted caps."}},
		"revert over declined": {reverting(t, verifier.ActionDeclined, "declined"), r, overruled{decided, r, r, requested, "", true, false, moved,
			"A rollback to 1.41.3 is requested from pipeline-rollback: dana asked for it; it lifted caps."}},
		"revert over failed, not current": {reverting(t, failed, "retry").with(fencedOff), r, overruled{decided, r, r, failed, "", false, false, "", ""}},
		"revert over expired": {reverting(t, verifier.ActionExpired), r, overruled{decided, r, r, verifier.ActionExpired, "", false, false, "",
			"The earlier revert expired and is not taken up again. To go back all the same, deploy 1.41.3 with your pipeline."}},
	} {
		t.Run(name, func(t *testing.T) { requireOverruled(t, test.subject, test.decision, test.want) })
	}
}

func requireOverruled(t *testing.T, s subject, d verifier.Decision, want overruled) {
	t.Helper()
	o := verifier.Override{Decision: d, By: "dana", At: now, Reason: "known spike"}
	c, err := Override(s.v, s.p, s.f, o, Limits{}, "https://postflight.example/verifications/vf_1")
	require.NoError(t, err)
	v := c.Verification
	if want.outcome != "" {
		require.Equal(t, want.outcome, c.Outcome)
	}
	require.NotEmpty(t, c.Outcome)
	require.Equal(t, verifier.AuditEntry{At: now, By: "dana", Action: verifier.AuditOverride, Service: "checkout", Environment: "production",
		Subject: "vf_1", Decision: string(d), Reason: "known spike"}, c.Audit)
	got := overruled{state: v.State, effective: v.Effective, action: v.Action.State, guard: v.Action.Guard, discards: c.Discarded != nil, outcome: want.outcome}
	o.Outcome = c.Outcome
	switch {
	case v.Verdict == nil:
		require.Equal(t, o, *v.Override)
	case s.v.Verdict == nil:
		got.verdict = v.Verdict.Decision
		require.Nil(t, v.Override, "the decision is the verdict")
		require.Equal(t, verifier.Verdict{Decision: d, DecidedAt: now, Early: true, Summary: "dana decided " + string(d) + ": known spike", Reasons: []string{"known spike"}, By: "dana"}, *v.Verdict)
	default:
		got.verdict = v.Verdict.Decision
		require.Equal(t, s.v.Verdict, v.Verdict, "a verdict stays as it was")
		require.Equal(t, o, *v.Override)
	}
	if c.Discarded != nil {
		require.Equal(t, s.v.Action.RevertID, c.Discarded.Key)
		require.Equal(t, verifier.DeliveryDiscarded, c.Discarded.State)
		require.Equal(t, "dana decided keep: known spike", c.Discarded.Reason)
	}
	for _, d := range c.Deliveries {
		if d.Kind == verifier.RollbackDelivery {
			got.requests = true
			requireAsked(t, s, v, d)
			continue
		}
		require.Empty(t, got.event, "one message for each receiver")
		got.event = d.Event
		var told verifier.Event
		require.NoError(t, json.Unmarshal(d.Body, &told))
		require.Equal(t, v.Effective, told.Data.Effective)
		require.Equal(t, v.Action.State, told.Data.Action.State)
	}
	require.Equal(t, want, got)
}

// requireAsked checks a request that a person asked for: it lives from the
// decision on, is new, and counts for neither caps nor brake.
func requireAsked(t *testing.T, s subject, v verifier.Verification, d verifier.Delivery) {
	t.Helper()
	var request verifier.RevertRequest
	require.NoError(t, json.Unmarshal(d.Body, &request))
	require.Equal(t, now.Add(20*time.Minute), request.ExpiresAt)
	require.Equal(t, "dana decided revert: known spike", request.Reason)
	require.Equal(t, "1.41.3", request.TargetVersion)
	require.Equal(t, v.Action.RevertID, request.RevertID)
	require.NotEqual(t, s.v.Action.RevertID, request.RevertID)
	require.Equal(t, now, *v.Action.RequestedAt)
	require.Equal(t, s.v.Action.AutomaticAt, v.Action.AutomaticAt, "an earlier automatic one still counts")

	f := s.f // and passes when it is sent
	f.Override, f.ExpiresAt = v.PersonSays(), request.ExpiresAt
	require.True(t, CheckAttempt(f, request.RevertID, Limits{}).Allowed)
}

func TestOverrideComesTooLate(t *testing.T) {
	cancelled := watched(verifier.StateCancelled)
	cancelled.v.Override = &verifier.Override{Decision: verifier.Cancel, By: "eve", At: ago(time.Minute)}
	overruled := judged(t, verifier.Inconclusive)
	overruled.v.Override = &verifier.Override{Decision: verifier.Revert, By: "kim", At: ago(2 * time.Minute)}
	overruled.v.Effective = verifier.Revert
	for name, c := range map[string]struct {
		subject  subject
		decision verifier.Decision
		kind     verifier.Kind
		says     string
	}{
		"superseded": {watched(verifier.StateSuperseded), verifier.Revert, verifier.Conflict,
			"vf_1 was superseded by a newer deploy of checkout in production, and that one is judged: decide about its verification"},
		"cancelled": {cancelled, verifier.Revert, verifier.Conflict,
			"vf_1 was cancelled by eve at 2026-11-23T02:59:00Z: to go back from 1.42.0, deploy the version before it with your pipeline"},
		"cancel after the verdict": {judged(t, verifier.Keep), verifier.Cancel, verifier.Conflict,
			"vf_1 has its verdict already, keep since 2026-11-23T02:55:00Z: cancel ends a running watch; decide keep or revert instead"},
		"cancel after the verdict and a person": {overruled, verifier.Cancel, verifier.Conflict,
			"vf_1 has its verdict already, inconclusive since 2026-11-23T02:55:00Z (kim decided revert at 2026-11-23T02:58:00Z): cancel ends a running watch; decide keep or revert instead"},
		"unknown": {watched(verifier.StateObserving), "hold", verifier.Invalid, "the decision can't be taken"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Override(c.subject.v, c.subject.p, c.subject.f, verifier.Override{Decision: c.decision, By: "dana", At: now, Reason: "r"}, Limits{}, "")
			require.EqualError(t, err, c.says)
			require.Equal(t, c.kind, verifier.KindOf(err))
			require.Zero(t, got)
		})
	}
}

// TestSecondOverrideReplacesTheFirst goes back and forth: the verdict stays,
// the last decision counts, and each request is one of its own.
func TestSecondOverrideReplacesTheFirst(t *testing.T) {
	s := reverting(t, verifier.ActionRequested)
	verdict := *s.v.Verdict
	var ids []string
	for i, d := range []verifier.Decision{verifier.Keep, verifier.Revert, verifier.Keep, verifier.Revert} {
		at := now.Add(time.Duration(i) * time.Minute)
		s.f.Now = at
		c, err := Override(s.v, s.p, s.f, verifier.Override{Decision: d, By: "dana", At: at, Reason: "r"}, Limits{}, "")
		require.NoError(t, err)
		require.Equal(t, d, c.Verification.Effective)
		require.Equal(t, verdict, *c.Verification.Verdict)
		require.Equal(t, at, c.Verification.Override.At)
		require.Equal(t, d == verifier.Keep, c.Discarded != nil)
		s.v = c.Verification
		s.v.Deliveries = slices.Concat(s.v.Deliveries, c.Deliveries)
		ids = append(ids, s.v.Action.RevertID)
	}
	require.Equal(t, ids[1], ids[2], "the keep discards the second request")
	require.Len(t, slices.Compact(ids), 3)
}

// TestOnlyAPersonsRevertPasses: without one the same guards hold, and a keep
// passes nothing.
func TestOnlyAPersonsRevertPasses(t *testing.T) {
	passes := []verifier.Guard{verifier.GuardMode, verifier.GuardBrake, verifier.GuardCaps, verifier.GuardWindow}
	for _, c := range heldBack {
		t.Run(c.name, func(t *testing.T) {
			f := allowed()
			c.spoil(&f)
			f.Override = &verifier.Override{Decision: verifier.Revert, By: "dana"}
			want := Ruling{Guard: c.guard, Reason: c.reason}
			if got := Check(f, Limits{}); slices.Contains(passes, c.guard) && f.Rollback != "" || c.guard == verifier.GuardPerson {
				require.True(t, got.Allowed, got.Reason)
			} else {
				require.Equal(t, want, got)
			}
		})
	}
}
