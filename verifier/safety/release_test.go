package safety

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// inRelease returns facts of checkout with a member that no guard objects to.
func inRelease() (verifier.Facts, *verifier.Member) {
	f, its := allowed(), allowed()
	its.Deployment.Service, its.Deployment.ReleaseID, its.Deployment.ID = "cart", "r-7", "dp_cart"
	its.Current = its.Deployment
	f.Deployment.ReleaseID = "r-7"
	f.Current = f.Deployment
	v := verifier.Verification{ID: "vf_cart", State: verifier.StateObserving, Deployment: its.Deployment,
		Action: verifier.Action{State: verifier.ActionNone}, ClosesAt: now.Add(time.Hour)}
	f.Release = []verifier.Member{{Deployment: its.Deployment, Verification: &v, Facts: its,
		Policy: verifier.Policy{Receivers: []string{"chat"}}}}
	return f, &f.Release[0]
}

func TestOneMemberHoldsTheRelease(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(m *verifier.Member)
		guard verifier.Guard // "" lets it pass
	}{
		"nothing":          {func(*verifier.Member) {}, ""},
		"shadow":           {func(m *verifier.Member) { m.Facts.Mode = verifier.Shadow }, verifier.GuardMode},
		"a person's keep":  {func(m *verifier.Member) { m.Facts.Override = &verifier.Override{Decision: verifier.Keep} }, verifier.GuardPerson},
		"a newer deploy":   {func(m *verifier.Member) { m.Facts.Current.ID = "dp_9" }, verifier.GuardFence},
		"no target":        {func(m *verifier.Member) { m.Facts.Target = nil }, verifier.GuardTarget},
		"irreversible":     {func(m *verifier.Member) { m.Facts.Deployment.Irreversible = true }, verifier.GuardIrreversible},
		"no policy":        {func(m *verifier.Member) { m.Verification = nil }, verifier.GuardTarget},
		"another rollback": {func(m *verifier.Member) { m.Facts.Rollback = "helm" }, verifier.GuardMode},
		"reverted itself": {func(m *verifier.Member) {
			m.Verification.Action = verifier.Action{State: verifier.ActionAccepted, RevertID: "rv_2"}
		}, verifier.GuardFence},
		"rolling out": {func(m *verifier.Member) {
			m.Verification, m.Deployment.Status = nil, verifier.DeployStarted
		}, verifier.GuardFence},
	} {
		t.Run(name, func(t *testing.T) {
			f, m := inRelease()
			c.spoil(m)
			r := Check(f, Limits{})
			require.Equal(t, c.guard, r.Guard, r.Reason)
			require.Equal(t, c.guard == "", r.Allowed)
			if c.guard != "" {
				require.Contains(t, r.Reason, "cart 1.42.0 belongs to the same release, r-7")
			}
			f.Override = &verifier.Override{Decision: verifier.Revert, By: "dana"}
			require.True(t, Check(f, Limits{}).Allowed, "a person's revert is about one service")
		})
	}
}

func TestAnAttemptAsksForEveryMember(t *testing.T) {
	f, m := inRelease()
	m.Verification.Action = verifier.Action{State: verifier.ActionRequested, RevertID: "rv_1"}
	require.True(t, CheckAttempt(f, "rv_1", Limits{}).Allowed)
	m.Facts.Override = &verifier.Override{Decision: verifier.Keep, By: "dana"}
	require.Equal(t, verifier.GuardPerson, CheckAttempt(f, "rv_1", Limits{}).Guard)
}

func TestTogether(t *testing.T) {
	f, m := inRelease()
	v, p := decided()
	v.Deployment = f.Deployment
	action, delivery, err := Request(v, p, f, "", now)
	require.NoError(t, err)
	var r verifier.RevertRequest
	require.NoError(t, json.Unmarshal(delivery.Body, &r))
	require.Equal(t, "r-7", r.ReleaseID)
	require.Equal(t, []verifier.RevertService{{Service: "checkout", ExpectedCurrentVersion: "1.42.0", TargetVersion: "1.41.3"},
		{Service: "cart", ExpectedCurrentVersion: "1.42.0", TargetVersion: "1.41.3"}}, r.Services)

	members, messages, err := Together(v, f, action, now)
	require.NoError(t, err)
	require.Len(t, messages, 1)
	require.Equal(t, verifier.EventDecided, messages[0].Event)
	its := members[0]
	require.Equal(t, verifier.StateDecided, its.State)
	require.Equal(t, verifier.Revert, its.Verdict.Decision)
	require.Equal(t, "goes back together with checkout 1.42.0 (release r-7): errors 0.4% -> 6.1%", its.Verdict.Summary)
	require.Equal(t, action.RevertID, its.Action.RevertID)
	require.Equal(t, v.ID, its.Action.RequestedBy)
	require.NotNil(t, its.Action.AutomaticAt)

	m.Verification.State, m.Verification.Effective = verifier.StateDecided, verifier.Keep
	m.Verification.Verdict = &verifier.Verdict{Decision: verifier.Keep}
	members, messages, err = Together(v, f, action, now)
	require.NoError(t, err)
	require.Equal(t, verifier.EventActionChanged, messages[0].Event)
	require.Equal(t, verifier.Keep, members[0].Verdict.Decision)
	require.Equal(t, verifier.Revert, members[0].Effective)

	// A person who asks again later asks for one service.
	its.Action.State, its.Override = verifier.ActionDeclined, &verifier.Override{Decision: verifier.Revert, By: "dana"}
	again, _, err := Request(its, p, m.Facts, "", now)
	require.NoError(t, err)
	require.Empty(t, again.ReleaseID)
	require.Empty(t, again.RequestedBy)

	f.Release = nil
	action, _, err = Request(v, p, f, "", now)
	require.NoError(t, err)
	require.Empty(t, action.ReleaseID)
	members, _, err = Together(v, f, action, now)
	require.NoError(t, err)
	require.Empty(t, members)
}

func TestAReleaseIsOneRevertForTheBrake(t *testing.T) {
	past := []verifier.PastRevert{reverted("rv_1", "a", time.Minute), reverted("rv_1", "b", time.Minute), reverted("rv_1", "c", time.Minute), reverted("rv_2", "d", time.Minute)}
	require.False(t, BrakeEngaged(verifier.Brake{Reverts: past}, Limits{}))
	require.True(t, BrakeEngaged(verifier.Brake{Reverts: append(past, reverted("rv_3", "e", time.Minute))}, Limits{}))
}
