package receivertest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Sample is a delivery to show what a receiver makes of it.
type Sample struct {
	Name     string // of its golden file
	Delivery verifier.Delivery
}

// at is when every sample's deploy finished.
var at = time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC)

// Samples are one delivery of each kind, in the order of a life.
func Samples() []Sample {
	requested, changed := at.Add(9*time.Minute+5*time.Second), at.Add(12*time.Minute+24*time.Second)
	v := Verification()
	bad, good := Findings()
	reverted := v
	reverted.State, reverted.Effective, reverted.Signals = verifier.StateDecided, verifier.Revert, []verifier.Finding{good, bad}
	reverted.Verdict = &verifier.Verdict{Decision: verifier.Revert, DecidedAt: requested, Early: true, By: verifier.ByPostflight,
		Summary: "errors rose from 0.4% to 6.1% (limit 0.51%), from 5m33s after the deploy"}
	kept := v
	kept.State, kept.Effective, kept.Signals = verifier.StateDecided, verifier.Keep, []verifier.Finding{good}
	kept.Verdict = &verifier.Verdict{Decision: verifier.Keep, DecidedAt: v.ClosesAt, Summary: "harm of twice the usual is ruled out", By: verifier.ByPostflight}
	unsure := v
	unsure.State, unsure.Effective = verifier.StateDecided, verifier.Inconclusive
	unsure.Signals = []verifier.Finding{{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, State: verifier.SignalUnknown, Message: "no data since 02:48 UTC: the target is down"}}
	unsure.Verdict = &verifier.Verdict{Decision: verifier.Inconclusive, DecidedAt: v.ClosesAt, Summary: "errors was measured in 4 of 30 steps", By: verifier.ByPostflight}
	act := func(state verifier.ActionState, guard verifier.Guard, reason string) verifier.Verification {
		v := reverted
		v.Action = verifier.Action{State: state, Guard: guard, Reason: reason, Rollback: "pipeline-rollback", TargetVersion: "1.41.3", RevertID: "rv_01j8zk9x", RequestedAt: &requested, ChangedAt: &changed}
		return v
	}
	conditional := act(verifier.ActionRequested, "", "")
	conditional.Deployment.Gate = &verifier.GateSaid{ID: "gd_01j8zk3a", Decision: verifier.Go, At: at.Add(-5 * time.Minute),
		Conditions: []verifier.Condition{{Text: "off-peak only", By: "quinn", Role: "quality", At: at.Add(-10 * time.Minute)}}}
	overruled := act(verifier.ActionWithheld, verifier.GuardCaps, "1 automatic revert in 60 min is the limit")
	overruled.Effective, overruled.Override = verifier.Keep, &verifier.Override{Decision: verifier.Keep, By: "dana", At: changed, Reason: "known & harmless"}
	superseded, cleared := v, v
	superseded.State, superseded.SupersededBy = verifier.StateSuperseded, "dp_2"
	cleared.ClearedAt = &requested
	var out []Sample
	add := func(name string, t verifier.EventType, v verifier.Verification, p verifier.Policy) {
		e := verifier.NewEvent(t, v, p, changed)
		body, err := json.Marshal(e)
		if err != nil {
			panic(fmt.Sprintf("write sample %s: %v", name, err))
		}
		out = append(out, Sample{name, verifier.Delivery{ID: "dl_" + name, VerificationID: v.ID, Kind: verifier.MessageDelivery, Receiver: "oncall", Event: t, State: verifier.DeliveryPending, CreatedAt: changed, Body: body}})
	}
	add("deploy", verifier.EventOpened, v, verifier.Policy{})
	add("cleared", verifier.EventCleared, cleared, verifier.Policy{})
	add("keep", verifier.EventDecided, kept, verifier.Policy{})
	add("inconclusive", verifier.EventDecided, unsure, verifier.Policy{OnInconclusive: verifier.InconclusivePage})
	add("revert", verifier.EventDecided, conditional, verifier.Policy{})
	add("shadow", verifier.EventDecided, act(verifier.ActionWithheld, verifier.GuardMode, "the policy is in mode shadow"), verifier.Policy{})
	add("withheld", verifier.EventDecided, act(verifier.ActionWithheld, verifier.GuardBrake, "3 automatic reverts within 15 min"), verifier.Policy{})
	add("accepted", verifier.EventActionChanged, act(verifier.ActionAccepted, "", "pipeline-rollback took the request (status 202)"), verifier.Policy{})
	add("confirmed", verifier.EventActionChanged, act(verifier.ActionConfirmed, "", "1.41.3 was announced as live again"), verifier.Policy{})
	add("unconfirmed", verifier.EventActionChanged, act(verifier.ActionUnconfirmed, "", "1.41.3 was not seen live 10m0s after the rollback was accepted"), verifier.Policy{})
	add("failed", verifier.EventActionChanged, act(verifier.ActionFailed, "", "pipeline-rollback could not be reached in 6 attempts"), verifier.Policy{})
	add("fenced", verifier.EventActionChanged, act(verifier.ActionFenced, verifier.GuardFence, "a newer deploy, 1.43.0, came first"), verifier.Policy{})
	add("overruled", verifier.EventActionChanged, overruled, verifier.Policy{})
	add("superseded", verifier.EventSuperseded, superseded, verifier.Policy{})
	add("hostile", verifier.EventDecided, hostile(act(verifier.ActionRequested, "", "")), verifier.Policy{})
	return out
}

// Verification is the one that the samples are about, as it is opened.
func Verification() verifier.Verification {
	return verifier.Verification{
		ID: "vf_01j8zk3tqm5w7x2ycv4b6n8p0r", State: verifier.StateObserving, Mode: verifier.Enforce, Policy: "checkout", PolicyHash: "7f3a9c0d1e2f",
		Deployment: verifier.Deployment{
			ID: "dp_1", Source: "pipeline", DeploymentID: "ci-918273", Service: "checkout", Environment: "production", Version: "1.42.0",
			Status: verifier.DeployFinished, Actor: "dana", URL: "https://ci.example/918273", StartedAt: at.Add(-147 * time.Second), FinishedAt: at, ReceivedAt: at,
		},
		OpenedAt: at, ClosesAt: at.Add(30 * time.Minute), Action: verifier.Action{State: verifier.ActionNone},
		URL: "https://postflight.example/verifications/vf_01j8zk3tqm5w7x2ycv4b6n8p0r",
	}
}

// Findings are a signal that got worse and one that did not.
func Findings() (bad, good verifier.Finding) {
	number := func(x float64) *float64 { return &x }
	onset := at.Add(5*time.Minute + 33*time.Second)
	bad = verifier.Finding{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, State: verifier.SignalBad, Before: number(0.004), Expected: number(0.004), After: number(0.061),
		Matters: verifier.Matters{Limit: number(0.0051), Yes: true}, Onset: &onset}
	good = verifier.Finding{Name: "orders", Kind: verifier.Value, Role: verifier.Advisory, State: verifier.SignalGood, Before: number(1250), Expected: number(1263.4), After: number(1249.2)}
	return bad, good
}

// hostile fills a verification with what people may write into a deploy.
func hostile(v verifier.Verification) verifier.Verification {
	long := ""
	for range 900 {
		long += "<!channel> & *ü* "
	}
	v.Deployment.Service = "<!channel> @here *x* _y_ [z](http://evil.example) {{DATE(2017-02-14T06:08:39Z,SHORT)}}" + long
	v.Deployment.Version = "<script>alert(1)</script>\r\nBcc: victim@example.com"
	v.Deployment.Actor = "<@U123> & \"dana\" @everyone"
	v.Deployment.URL = "javascript:alert(1)"
	v.Deployment.Gate = &verifier.GateSaid{Decision: verifier.NoGo, Reasons: []string{"<!channel> [z](http://evil.example) " + long}}
	v.Verdict.Summary = "<http://evil.example|click> @channel " + long
	bad, _ := Findings()
	bad.Name = "a|b\x00" + long
	v.Signals = nil
	for range 40 {
		v.Signals = append(v.Signals, bad)
	}
	return v
}

// Sampled returns the delivery of the sample of that name.
func Sampled(name string) verifier.Delivery {
	for _, s := range Samples() {
		if s.Name == name {
			return s.Delivery
		}
	}
	panic("no sample " + name)
}
