package verifier

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var tuesday = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func judgedAs(d Decision) Verification {
	return Verification{ID: "vf_1", State: StateDecided, Effective: d, Deployment: Deployment{Service: "checkout", Environment: "production", Version: "1.42.0"},
		Verdict: &Verdict{Decision: d, DecidedAt: tuesday, By: ByPostflight}}
}

func TestRate(t *testing.T) {
	f := Feedback{Decision: Wrong, By: "dana", At: tuesday, Reason: "orders were lost"}
	v := judgedAs(Keep)
	entry, err := v.Rate(f)
	require.NoError(t, err)
	require.Equal(t, &AuditEntry{At: tuesday, By: "dana", Action: AuditFeedback, Service: "checkout", Environment: "production",
		Subject: "vf_1", Decision: "wrong", Reason: "orders were lost"}, entry)
	v.Feedback = []Feedback{{Decision: Wrong, By: "kim", Reason: "orders were lost"}, f}
	entry, err = v.Rate(f)
	require.NoError(t, err)
	require.Nil(t, entry, "she said so already")
	f.Reason = "and carts"
	entry, err = v.Rate(f)
	require.NoError(t, err)
	require.NotNil(t, entry, "another reason is new")
	for state, says := range map[State]string{
		StatePending: "no verdict yet", StateObserving: "no verdict yet", StateSuperseded: "superseded by a newer deploy of checkout in production",
		StateCancelled: "cancelled by kim at 2026-11-24T09:00:00Z and has no verdict",
	} {
		v := judgedAs(Keep)
		v.State, v.Verdict, v.Override = state, nil, &Override{By: "kim", At: tuesday}
		_, err := v.Rate(f)
		require.Equal(t, Conflict, KindOf(err))
		require.ErrorContains(t, err, says)
	}
	f.Decision = "fine"
	_, err = v.Rate(f)
	require.Equal(t, Invalid, KindOf(err))
}

func TestFeedbackOutcome(t *testing.T) {
	overridden := judgedAs(Revert)
	overridden.Override, overridden.Effective = &Override{Decision: Keep, By: "kim"}, Keep
	confirmed := judgedAs(Keep)
	confirmed.Override = &Override{Decision: Keep, By: "kim"}
	persons := judgedAs(Keep)
	persons.Verdict.By = "kim"
	for name, test := range map[string]struct {
		v    Verification
		r    Rating
		says string
	}{
		"right":              {judgedAs(Keep), Right, "changes nothing else"},
		"right of a person":  {persons, Right, "which kim gave: the accuracy that the board shows is of postflight's own"},
		"right inconclusive": {judgedAs(Inconclusive), Right, "the accuracy that the board shows is of keeps and reverts"},
		"wrong keep":         {judgedAs(Keep), Wrong, "no longer counts as usual for later ones"},
		"mark":               {judgedAs(Keep), Wrong, "1.42.0 can still be gone back to until it is marked bad"},
		"wrong revert":       {judgedAs(Revert), Wrong, "counts as usual for no later one"},
		"overridden":         {overridden, Wrong, "goes on counting as usual, as kim decided"},
		"overridden alike":   {confirmed, Wrong, "no longer counts as usual"},
		"without a verdict":  {Verification{}, Wrong, ""},
		"wrong inconclusive": {judgedAs(Inconclusive), Wrong, "counts as usual for no later one"},
	} {
		require.Contains(t, test.v.FeedbackOutcome(test.r), test.says, name)
	}
}

// TestStanding: what changes the meaning of a decision changes the standing, and
// nothing else does.
func TestStanding(t *testing.T) {
	v := Verification{State: StatePending, Action: Action{State: ActionNone}}
	require.Equal(t, "watched", v.Standing())
	v.State, v.Signals, v.ClearedAt = StateObserving, []Finding{{Name: "errors"}}, &tuesday
	require.Equal(t, "watched", v.Standing())
	v = judgedAs(Revert)
	require.Equal(t, "decided, verdict revert by postflight", v.Standing())
	v.Action = Action{State: ActionRequested, RevertID: "rv_1"}
	v.Deliveries = []Delivery{{Kind: MessageDelivery, Attempts: []Attempt{{}}}, {Kind: RollbackDelivery, Key: "rv_0", Attempts: []Attempt{{}}}, {Kind: RollbackDelivery, Key: "rv_1"}}
	require.Equal(t, "decided, verdict revert by postflight, rollback requested rv_1", v.Standing())
	v.Deliveries[2].Attempts = []Attempt{{}}
	require.Equal(t, "decided, verdict revert by postflight, rollback requested rv_1, sent", v.Standing())
	v.Deliveries[2].Attempts = append(v.Deliveries[2].Attempts, Attempt{})
	v.Override = &Override{Decision: Keep, By: "dana", At: tuesday}
	v.Action.State, v.Action.Guard = ActionFailed, GuardPerson
	require.Equal(t, "decided, verdict revert by postflight, keep by dana at 2026-11-24T09:00:00Z, rollback failed person rv_1, sent", v.Standing())
}
