package safety

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func decided() (verifier.Verification, verifier.Policy) {
	return verifier.Verification{
			ID: "vf_1", State: verifier.StateDecided, Deployment: allowed().Deployment,
			Verdict: &verifier.Verdict{Decision: verifier.Revert, Summary: "errors 0.4% -> 6.1%"},
			Action:  verifier.Action{State: verifier.ActionNone},
		}, verifier.Policy{
			Name: "checkout", Rollback: "pipeline-rollback", RevertExpires: verifier.Duration(20 * time.Minute),
		}
}

func TestRequest(t *testing.T) {
	v, p := decided()
	action, delivery, err := Request(v, p, allowed(), "https://postflight.example/verifications/vf_1", now)
	require.NoError(t, err)
	require.Regexp(t, `^rv_[a-z0-9]{26}$`, action.RevertID)
	require.Equal(t, verifier.Action{
		State: verifier.ActionRequested, Rollback: "pipeline-rollback", TargetVersion: "1.41.3",
		RevertID: action.RevertID, RequestedAt: &now, AutomaticAt: &now, ChangedAt: &now,
	}, action)

	require.Regexp(t, `^dl_[a-z0-9]{26}$`, delivery.ID)
	require.JSONEq(t, `{"type":"revert.requested","revert_id":"`+action.RevertID+`","verification_id":"vf_1",
		"service":"checkout","environment":"production","expected_current_version":"1.42.0","target_version":"1.41.3",
		"reason":"errors 0.4% -> 6.1%","expires_at":"2026-11-23T03:20:00Z","url":"https://postflight.example/verifications/vf_1"}`, string(delivery.Body))
	require.Equal(t, verifier.Delivery{
		ID: delivery.ID, VerificationID: "vf_1", Kind: verifier.RollbackDelivery, Receiver: "pipeline-rollback",
		Event: verifier.EventRevert, State: verifier.DeliveryPending, CreatedAt: now, Key: action.RevertID, Body: delivery.Body,
	}, delivery)

	other, _, err := Request(v, p, allowed(), "", now)
	require.NoError(t, err)
	require.NotEqual(t, action.RevertID, other.RevertID)
}

func TestRequestExpiresByDefault(t *testing.T) {
	v, p := decided()
	p.RevertExpires = 0
	_, delivery, err := Request(v, p, allowed(), "", now)
	require.NoError(t, err)
	var request verifier.RevertRequest
	require.NoError(t, json.Unmarshal(delivery.Body, &request))
	require.Equal(t, now.Add(30*time.Minute), request.ExpiresAt)
}

func TestRequestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*verifier.Verification, *verifier.Policy, *verifier.Facts)
		kind  verifier.Kind
	}{
		"no verdict": {func(v *verifier.Verification, _ *verifier.Policy, _ *verifier.Facts) { v.Verdict = nil }, verifier.Internal},
		"a keep": {func(v *verifier.Verification, _ *verifier.Policy, _ *verifier.Facts) {
			v.Verdict.Decision = verifier.Keep
		}, verifier.Internal},
		"no target":   {func(_ *verifier.Verification, _ *verifier.Policy, f *verifier.Facts) { f.Target = nil }, verifier.Internal},
		"no rollback": {func(_ *verifier.Verification, p *verifier.Policy, _ *verifier.Facts) { p.Rollback = "" }, verifier.Internal},
		"requested already": {func(v *verifier.Verification, _ *verifier.Policy, _ *verifier.Facts) {
			v.Action.State = verifier.ActionRequested
		}, verifier.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			v, p := decided()
			f := allowed()
			c.spoil(&v, &p, &f)
			_, delivery, err := Request(v, p, f, "", now)
			require.Equal(t, c.kind, verifier.KindOf(err))
			require.Zero(t, delivery)
		})
	}
}

// TestRequestCountsAfterAnUnfreeze: a clock that was set back after a person
// unfroze the place, or released the brake, doesn't suspend caps and brake.
func TestRequestCountsAfterAnUnfreeze(t *testing.T) {
	v, p := decided()
	for name, set := range map[string]func(*verifier.Facts, time.Time){
		"unfrozen": func(f *verifier.Facts, at time.Time) { f.UnfrozenAt = at },
		"released": func(f *verifier.Facts, at time.Time) { f.BrakeReleasedAt = at },
	} {
		f := allowed()
		set(&f, now.Add(time.Hour))
		action, _, err := Request(v, p, f, "", now)
		require.NoError(t, err)
		require.Equal(t, now, *action.RequestedAt, name)
		f.PastReverts = []verifier.PastRevert{{RevertID: action.RevertID, Service: "checkout", Environment: "production", At: *action.AutomaticAt}}
		f.Now = now.Add(time.Minute)
		if name == "unfrozen" {
			require.Equal(t, verifier.GuardCaps, Check(f, Limits{}).Guard, "the next one is held")
		} else {
			require.True(t, BrakeEngaged(verifier.Brake{Reverts: f.PastReverts, ReleasedAt: f.BrakeReleasedAt}, Limits{BrakeReverts: 1}))
		}
	}
}
