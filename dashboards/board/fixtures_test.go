package board_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// deployed is when every fixture's deploy finished.
var deployed = time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC)

// memory is a reader of what a test put into it.
type memory struct {
	list     []verifier.Verification
	evidence map[string]verifier.Evidence
	next     string
	err      error
	near     []verifier.Verification
	asked    []verifier.Filter
}

func (m *memory) Verification(_ context.Context, id string) (verifier.Verification, error) {
	for _, v := range m.list {
		if v.ID == id && m.err == nil {
			return v, nil
		}
	}
	if m.err != nil {
		return verifier.Verification{}, m.err
	}
	return verifier.Verification{}, verifier.Errorf(verifier.NotFound, "no verification %q", id)
}

func (m *memory) Verifications(_ context.Context, f verifier.Filter) ([]verifier.Verification, string, error) {
	m.asked = append(m.asked, f)
	var out []verifier.Verification
	for _, v := range m.list {
		if f.State == "" || f.State == v.State {
			out = append(out, v)
		}
	}
	next := m.next
	if f.State != "" {
		next = ""
	}
	return out, next, m.err
}

func (m *memory) Evidence(_ context.Context, id string) (verifier.Evidence, error) {
	e, ok := m.evidence[id]
	if !ok {
		return e, verifier.Errorf(verifier.Unavailable, "no evidence of %q", id)
	}
	return e, nil
}

func (m *memory) Around(_ context.Context, environment string, from, to time.Time, limit int) ([]verifier.Verification, error) {
	var out []verifier.Verification
	for _, v := range m.near {
		if at := v.Deployment.FinishedAt; v.Deployment.Environment == environment && !at.Before(from) && !at.After(to) && len(out) < limit {
			out = append(out, v)
		}
	}
	return out, m.err
}

func ptr[T any](x T) *T { return &x }

func opened() verifier.Verification {
	return verifier.Verification{
		ID: "vf_01j8zk3tqm5w7x2ycv4b6n8p0r", State: verifier.StatePending, Mode: verifier.Enforce,
		Deployment: verifier.Deployment{
			ID: "dp_1", Source: "pipeline", DeploymentID: "ci-918273", Service: "checkout", Environment: "production",
			Version: "1.42.0", Previous: "1.41.3", Status: verifier.DeployFinished, Actor: "dana", URL: "https://ci.example/918273",
			StartedAt: deployed.Add(-147 * time.Second), FinishedAt: deployed, ReceivedAt: deployed.Add(2 * time.Second),
		},
		OpenedAt: deployed.Add(2 * time.Second), ClosesAt: deployed.Add(30 * time.Minute),
		Policy: "checkout", PolicyHash: "7f3a9c0d1e2f", Action: verifier.Action{State: verifier.ActionNone},
	}
}

// errorsFinding is the ratio signal of every fixture.
func errorsFinding(state verifier.SignalState) verifier.Finding {
	f := verifier.Finding{
		Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, State: state,
		Before: ptr(0.004), Expected: ptr(0.004), After: ptr(0.0041),
		Matters: verifier.Matters{Limit: ptr(0.0051)},
		Chance:  &verifier.Chance{EValue: 0.31, Needed: 200},
		Usual:   verifier.Usual{Score: 0.4, Needed: 1, Placebos: 512, Independent: 168},
		Steps:   verifier.StepCounts{Measured: 60}, Detectable: 1.38, Cleared: state == verifier.SignalGood,
		Query: `sum(increase(http_requests_total{service="checkout",code=~"5.."}[30s])) / sum(increase(http_requests_total{service="checkout"}[30s]))`,
	}
	if state == verifier.SignalBad {
		f.After, f.Matters.Yes, f.Chance.EValue, f.Chance.Yes = ptr(0.061), true, 81200, true
		f.Usual.Score, f.Usual.Yes, f.Steps.Measured = 3.1, true, 18
		f.Onset = ptr(deployed.Add(5*time.Minute + 33*time.Second))
		f.Message = "errors 0.4% -> 6.1% (limit 0.51%), e-value 81200 of 200 needed, beyond all 512 placebos (168 independent)"
	}
	return f
}

func ordersFinding() verifier.Finding {
	return verifier.Finding{
		Name: "orders", Kind: verifier.Value, Role: verifier.Advisory, State: verifier.SignalGood,
		Before: ptr(1250.0), Expected: ptr(1263.4), After: ptr(1249.2), Matters: verifier.Matters{Limit: ptr(1200.2)},
		Usual: verifier.Usual{Score: 0.21, Needed: 1, Placebos: 512, Independent: 168},
		Steps: verifier.StepCounts{Measured: 60}, Query: `sum(rate(orders_total{service="checkout"}[1m]))`,
	}
}

func ticketsFinding() verifier.Finding {
	return verifier.Finding{
		Name: "tickets", Kind: verifier.Count, Role: verifier.Advisory, State: verifier.SignalPending,
		Before: ptr(2.0), Expected: ptr(2.5), After: ptr(4.0), Matters: verifier.Matters{Limit: ptr(6.0)},
		Chance: &verifier.Chance{EValue: 1.8, Needed: 200}, Usual: verifier.Usual{Unknown: true},
		Steps: verifier.StepCounts{Measured: 52, NoData: 5, Error: 3}, Detectable: 4.2, Query: "feed desk, checkout",
	}
}

// evidenceOf makes observations that fit the findings of a verification.
func evidenceOf(v verifier.Verification, until time.Time) verifier.Evidence {
	step := 30 * time.Second
	d := v.Deployment
	e := verifier.Evidence{VerificationID: v.ID, StartedAt: d.StartedAt, FinishedAt: d.FinishedAt, ClosesAt: v.ClosesAt}
	e.Policy = verifier.Policy{Name: v.Policy, Rollback: "pipeline-rollback", Step: verifier.Duration(step), Interval: verifier.Duration(15 * time.Second),
		Signals: []verifier.Signal{
			{Name: "errors", RatioSource: &verifier.RatioSource{Server: "main"}}, {Name: "orders", ValueSource: &verifier.ValueSource{Server: "main"}},
			{Name: "tickets", TicketSource: &verifier.TicketSource{Feed: "desk"}}}}
	for _, f := range v.Signals {
		s := verifier.SignalEvidence{Signal: f.Name, Plan: verifier.Plan{Query: f.Query, Note: "step 30s"}}
		if f.Votes != nil {
			for _, vote := range v.Votes {
				s.Observations = append(s.Observations, vote.Observation())
			}
			e.Signals = append(e.Signals, s)
			continue
		}
		for t := d.StartedAt.Add(-time.Hour); !t.After(d.StartedAt); t = t.Add(step) {
			s.Before = append(s.Before, observe(f, t, step, *f.Before))
		}
		for t := d.StartedAt.Add(step); !t.After(until); t = t.Add(step) {
			at := *f.Before
			if f.Onset == nil || t.After(*f.Onset) {
				at = *f.After
			}
			s.Observations = append(s.Observations, observe(f, t, step, at))
		}
		missing := min(len(s.Observations), f.Steps.NoData+f.Steps.Error)
		first := min(len(s.Observations)/2, len(s.Observations)-missing)
		for i := range missing {
			o := &s.Observations[first+i]
			*o = verifier.Observation{At: o.At, Span: o.Span, Outcome: verifier.NoData}
			if i >= f.Steps.NoData {
				o.Outcome, o.Message = verifier.Failed, "GET http://127.0.0.1:9200/tickets: 503 Service Unavailable"
			}
		}
		e.Signals = append(e.Signals, s)
	}
	return e
}

// observe makes one observation near a level, with a wobble that is the same
// in every run.
func observe(f verifier.Finding, at time.Time, span time.Duration, level float64) verifier.Observation {
	o := verifier.Observation{At: at, Span: verifier.Duration(span), Outcome: verifier.Measured}
	wobble := 1 + 0.12*math.Sin(float64(at.Unix())/47) + 0.06*math.Sin(float64(at.Unix())/13)
	switch f.Kind {
	case verifier.Ratio:
		o.Total = 4000
		o.Bad = math.Round(level * wobble * o.Total)
	case verifier.Count:
		if int(at.Unix()/30)%int(math.Max(1, 120/level)) == 0 {
			o.Count = 1
		}
	case verifier.Value:
		o.Value = level * (1 + (wobble-1)/6)
	}
	return o
}

// decided ends a verification with a verdict.
func decided(v verifier.Verification, decision verifier.Decision, after time.Duration, summary string) verifier.Verification {
	v.State, v.Effective = verifier.StateDecided, decision
	v.Verdict = &verifier.Verdict{Decision: decision, DecidedAt: deployed.Add(after), Early: deployed.Add(after).Before(v.ClosesAt), Summary: summary, By: verifier.ByPostflight}
	v.Deliveries = []verifier.Delivery{{
		ID: "dl_1", Kind: verifier.MessageDelivery, Receiver: "oncall", Event: verifier.EventDecided, State: verifier.DeliveryDelivered,
		CreatedAt: deployed.Add(after),
		Attempts:  []verifier.Attempt{{At: deployed.Add(after + time.Second), Duration: verifier.Duration(84 * time.Millisecond), Status: 204, Result: "delivered"}},
	}}
	return v
}

// badDeploy is the deploy of every fixture that reverts.
func badDeploy() verifier.Verification {
	v := opened()
	v.Signals = []verifier.Finding{ordersFinding(), errorsFinding(verifier.SignalBad)}
	v.Signals[0].Steps.Measured = 18
	return decided(v, verifier.Revert, 9*time.Minute+5*time.Second, "Errors rose from 0.4% to 6.1% (limit 0.51%), 5m33s after this deploy.")
}

// compared is the bad deploy with queries for a control group.
func compared() verifier.Verification {
	v := badDeploy()
	for i := range v.Signals {
		v.Signals[i].Query += "\n# control group: " + v.Signals[i].Query
	}
	v.Signals = append(v.Signals, ticketsFinding())
	return v
}

// acted gives the bad deploy an action in a state.
func acted(state verifier.ActionState, guard verifier.Guard, reason string) verifier.Verification {
	v := badDeploy()
	at := v.Verdict.DecidedAt
	v.Action = verifier.Action{State: state, Guard: guard, Reason: reason, ChangedAt: ptr(at.Add(time.Second))}
	if state == verifier.ActionWithheld {
		return v
	}
	v.Action.Rollback, v.Action.TargetVersion, v.Action.RevertID = "pipeline-rollback", "1.41.3", "rv_01j8zk9x"
	v.Action.RequestedAt, v.Action.ChangedAt = &at, ptr(at.Add(199*time.Second))
	call := verifier.Delivery{ID: "dl_2", Kind: verifier.RollbackDelivery, Receiver: "pipeline-rollback", Event: verifier.EventRevert,
		State: verifier.DeliveryDelivered, CreatedAt: at, Key: "rv_01j8zk9x",
		Attempts: []verifier.Attempt{
			{At: at.Add(time.Second), Duration: verifier.Duration(20 * time.Second), Result: "retry", Error: "no answer within 20s"},
			{At: at.Add(27 * time.Second), Duration: verifier.Duration(310 * time.Millisecond), Status: 202, Result: "delivered"},
		}}
	if state == verifier.ActionFailed || state == verifier.ActionDeclined {
		call.State, call.Reason = verifier.DeliveryDiscarded, reason
		call.Attempts[1].Status, call.Attempts[1].Result = map[verifier.ActionState]int{verifier.ActionFailed: 404, verifier.ActionDeclined: 409}[state], string(state)
	}
	v.Deliveries = append(v.Deliveries, call)
	return v
}

// fixture is one state of a verdict page and the time at which it is read.
type fixture struct {
	name string
	v    verifier.Verification
	now  time.Time
	also []verifier.Verification
	near []verifier.Verification // other deploys of the environment
	dark time.Time               // from when on nothing was measured; zero: always was
	// control gives every signal that can have one a control group, which
	// stays at the level of before.
	control bool
	// shown is kept as pictures in docs/pages.
	shown bool
}

var guards = map[verifier.Guard]string{
	verifier.GuardLoop: "1.41.3 carries the id of our own revert", verifier.GuardCaps: "1 automatic revert in the last 60 min",
	verifier.GuardBrake: "3 automatic reverts within 15 min", verifier.GuardFence: "1.42.1 runs since 02:49:58 UTC",
	verifier.GuardTarget: "no version of checkout was kept, cleared or marked good", verifier.GuardIrreversible: "1.42.0 was announced with reversible: false",
	verifier.GuardAttribution: "the harm began before the deploy started", verifier.GuardAmbiguity: "search a91c3f2 was deployed 2 min earlier",
	verifier.GuardExpiry: "the verdict fell 31 min ago", verifier.GuardMode: "the policy checkout is in shadow mode",
	verifier.GuardWindow: "freeze until 2026-11-30", verifier.GuardPerson: "dana decided keep",
}

// approved is a deploy that was approved under conditions, as the gate and its
// pipeline tell.
func approved(v verifier.Verification) verifier.Verification {
	at := deployed.Add(-20 * time.Minute)
	v.Deployment.Gate = &verifier.GateSaid{ID: "gd_1", Decision: verifier.Go, At: at, Conditions: []verifier.Condition{
		{Text: "off-peak only", By: "quinn", Role: "quality", At: at}, {Text: "<b>watch the queue</b>", By: "olga", At: at}}, More: 2}
	v.Deployment.Approval = &verifier.Approval{By: []string{"release manager"}, Conditions: []string{"not before the sale is over"}}
	return v
}

func fixtures() []fixture {
	late := deployed.Add(40 * time.Minute)
	watching := opened()
	watching.State = verifier.StateObserving
	watching.Signals = []verifier.Finding{errorsFinding(verifier.SignalPending), ordersFinding(), ticketsFinding()}
	cleared := watching
	cleared.ClearedAt = ptr(deployed.Add(12 * time.Minute))
	cleared.Signals = []verifier.Finding{errorsFinding(verifier.SignalGood), ordersFinding()}
	kept := opened()
	kept.ClearedAt = cleared.ClearedAt
	kept.Signals = []verifier.Finding{errorsFinding(verifier.SignalGood), ordersFinding()}
	kept = decided(kept, verifier.Keep, 30*time.Minute, "No signal got worse by more than is tolerated in 30m.")

	out := []fixture{
		{name: "pending", shown: true, v: opened(), now: deployed.Add(4 * time.Second)},
		{name: "observing", shown: true, v: watching, now: deployed.Add(8 * time.Minute)},
		{name: "cleared", shown: true, v: cleared, now: deployed.Add(14 * time.Minute)},
		{name: "kept", shown: true, v: kept, now: late},
		{name: "approved", shown: true, v: approved(kept), now: late},
		{name: "reverted-none", v: badDeploy(), now: late},
		{name: "control-group", shown: true, v: compared(), now: late, control: true},
		{name: "reverted-requested", v: acted(verifier.ActionRequested, "", ""), now: late},
		{name: "reverted-accepted", shown: true, v: acted(verifier.ActionAccepted, "", ""), now: late},
		{name: "reverted-unconfirmed", shown: true, v: acted(verifier.ActionUnconfirmed, "", "1.41.3 was not announced"), now: late},
		{name: "reverted-declined", v: acted(verifier.ActionDeclined, "", "409: current version is 1.42.1"), now: late},
		{name: "reverted-fenced", v: acted(verifier.ActionFenced, verifier.GuardFence, "a newer deploy, 1.42.1, came first"), now: late},
		{name: "reverted-expired", v: acted(verifier.ActionExpired, verifier.GuardExpiry, "no answer in 30m"), now: late},
		{name: "reverted-failed", shown: true, v: acted(verifier.ActionFailed, "", "404 Not Found"), now: late},
	}
	for _, g := range []verifier.Guard{verifier.GuardLoop, verifier.GuardCaps, verifier.GuardBrake, verifier.GuardFence, verifier.GuardTarget,
		verifier.GuardIrreversible, verifier.GuardAttribution, verifier.GuardAmbiguity, verifier.GuardExpiry, verifier.GuardMode, verifier.GuardWindow, verifier.GuardPerson} {
		v := acted(verifier.ActionWithheld, g, guards[g])
		if g == verifier.GuardMode {
			v.Mode = verifier.Shadow
		}
		if g == verifier.GuardAttribution || g == verifier.GuardAmbiguity {
			v.Attribution = surroundings()
		}
		out = append(out, fixture{name: "withheld-" + string(g), shown: slices.Contains(pictured, g), v: v, now: late})
	}
	return append(out, endings(late)...)
}

// pictured are the guards whose pages differ most; the others' differ in words.
var pictured = []verifier.Guard{verifier.GuardMode, verifier.GuardAttribution, verifier.GuardBrake}

// surroundings are one of each kind.
func surroundings() *verifier.Attribution {
	onset := deployed.Add(4 * time.Minute)
	return &verifier.Attribution{OnAmbiguous: verifier.AmbiguousHold, Worse: 3, Share: 0.33, AskedAt: deployed.Add(9 * time.Minute),
		Candidates: []verifier.Candidate{
			{VerificationID: "vf_cart", Service: "cart", Version: "2.0", StartedAt: deployed.Add(-time.Minute), State: verifier.CandidateBad, Change: "errors rose from 0.2% to 4%", Onset: &onset},
			{VerificationID: "vf_stock", Service: "stock", Version: "7", StartedAt: deployed.Add(-8 * time.Minute), State: verifier.CandidateGood},
			{Service: "login", Version: "3.1", StartedAt: deployed.Add(5 * time.Minute), State: verifier.CandidateUnclear, Until: deployed.Add(15 * time.Minute)},
		},
		Neighbours: []verifier.Neighbour{
			{Service: "ledger", State: verifier.NeighbourWorse, Dependency: true, Change: "latency rose from 5% to 31%", Onset: &onset},
			{Service: "search", State: verifier.NeighbourSteady},
			{Service: "mail", State: verifier.NeighbourUnknown, Message: "errors has too little traffic to tell"},
		}}
}

func endings(late time.Time) []fixture {
	rollback := opened()
	rollback.ID, rollback.State = "vf_rollback", verifier.StateObserving
	rollback.Deployment.ID, rollback.Deployment.Version = "dp_2", "1.41.3"
	rollback.Deployment.Rollback, rollback.Deployment.RollbackWhy = true, "it carries the id of our own revert rv_01j8zk9x"
	rollback.Deployment.RevertID = "rv_01j8zk9x"
	rollback.Signals = []verifier.Finding{errorsFinding(verifier.SignalPending)}

	unknown := opened()
	unknown.Deployment.Clamped = true
	unknown.Signals = []verifier.Finding{errorsFinding(verifier.SignalUnknown), ticketsFinding()}
	unknown.Signals[0].After, unknown.Signals[0].Chance, unknown.Signals[0].Usual = nil, nil, verifier.Usual{Unknown: true}
	unknown.Signals[0].Steps = verifier.StepCounts{Measured: 2, NoData: 58}
	unknown.Signals[0].Message = "2 of 60 steps were measured, at least 30 are needed"
	unknown = decided(unknown, verifier.Inconclusive, 30*time.Minute, "Can't judge: errors was measured in 2 of 60 steps.")

	superseded := opened()
	superseded.State, superseded.SupersededBy = verifier.StateSuperseded, "dp_3"
	superseded.Signals = []verifier.Finding{errorsFinding(verifier.SignalPending)}
	newer := opened()
	newer.ID, newer.Deployment.ID, newer.Deployment.Version = "vf_newer", "dp_3", "1.42.1"

	cancelled := superseded
	cancelled.State, cancelled.SupersededBy = verifier.StateCancelled, ""
	cancelled.Override = &verifier.Override{Decision: verifier.Cancel, By: "dana", At: deployed.Add(3 * time.Minute), Reason: "load test",
		Outcome: "1.42.0 is not watched any more and gets no verdict."}

	overridden := acted(verifier.ActionConfirmed, "", "1.41.3 is live again")
	overridden.Override = &verifier.Override{Decision: verifier.Keep, By: "dana", At: deployed.Add(20 * time.Minute), Reason: "known: load test",
		Outcome: "1.42.0 was rolled back to 1.41.3 already: it counts as good from now on, and comes back by being deployed again."}
	overridden.Effective = verifier.Keep
	asked := acted(verifier.ActionRequested, "", "dana asked for it; it lifted mode shadow, caps")
	stopped := acted(verifier.ActionFailed, verifier.GuardPerson, "dana decided keep: known: load test")
	stopped.Effective = verifier.Keep
	stopped.Override = &verifier.Override{Decision: verifier.Keep, By: "dana", At: deployed.Add(20 * time.Minute), Reason: "known: load test",
		Outcome: "The request to roll back to 1.41.3 was already sent at 02:58:00 UTC without being taken; that can't be recalled, and it is not sent again."}
	blind := opened()
	blind.State = verifier.StateObserving
	blind.Signals = []verifier.Finding{errorsFinding(verifier.SignalPending), ordersFinding()}
	blind.Signals[1].State = verifier.SignalPending
	for i := range blind.Signals {
		blind.Signals[i].Steps = verifier.StepCounts{Measured: 13, Error: 8}
	}
	healed := rollback
	healed.Signals = []verifier.Finding{errorsFinding(verifier.SignalGood)}
	search := opened()
	search.ID, search.Deployment.ID, search.Deployment.Service, search.Deployment.Version = "vf_search", "dp_7", "search", "a91c3f2"
	search.Deployment.FinishedAt = deployed.Add(-3 * time.Minute)
	search.State = verifier.StateObserving
	return []fixture{
		{name: "source-down", shown: true, v: blind, now: deployed.Add(8*time.Minute + 12*time.Second), dark: deployed.Add(4 * time.Minute)},
		{name: "reverted-confirmed", shown: true, near: []verifier.Verification{search}, v: acted(verifier.ActionConfirmed, "", "1.41.3 is live again"), now: late, also: []verifier.Verification{healed}},
		{name: "person-asked", v: asked, now: late},
		{name: "person-stopped", shown: true, v: stopped, now: late},
		{name: "rollback-watched", shown: true, v: rollback, now: deployed.Add(6 * time.Minute)},
		{name: "inconclusive", shown: true, v: unknown, now: late},
		{name: "superseded", shown: true, v: superseded, now: late, also: []verifier.Verification{newer}},
		{name: "superseded-unseen", v: superseded, now: late},
		{name: "cancelled", shown: true, v: cancelled, now: late},
		{name: "overridden", shown: true, v: overridden, now: late},
	}
}

// reader holds a fixture and what came after it.
func (f fixture) reader() *memory {
	until := f.now
	switch {
	case f.v.Verdict != nil:
		until = f.v.Verdict.DecidedAt
	case f.v.State.Final():
		until = deployed.Add(4 * time.Minute)
	}
	m := &memory{list: append([]verifier.Verification{f.v}, f.also...), near: f.near, evidence: map[string]verifier.Evidence{}}
	v := f.v
	v.Signals = nil
	for _, s := range f.v.Signals {
		if s.After == nil {
			s.After = s.Before
		}
		v.Signals = append(v.Signals, s)
	}
	e := evidenceOf(v, until)
	if !f.dark.IsZero() {
		for _, s := range e.Signals {
			for i, o := range s.Observations {
				if o.At.After(f.dark) {
					s.Observations[i] = verifier.Observation{At: o.At, Span: o.Span, Outcome: verifier.Failed,
						Message: "query http://prometheus.example:9090: dial tcp 10.0.0.7:9090: connect: connection refused"}
				}
			}
		}
	}
	if f.control {
		for i, s := range v.Signals {
			addControl(s, e.Signals[i].Before)
			addControl(s, e.Signals[i].Observations)
		}
	}
	m.evidence[f.v.ID] = e
	return m
}

func addControl(f verifier.Finding, obs []verifier.Observation) {
	for i, o := range obs {
		if o.Outcome == verifier.Measured && f.Kind != verifier.Count {
			peers := observe(f, o.At.Add(-time.Hour), o.Span.D(), *f.Before*1.2)
			obs[i].Control = &verifier.Control{Bad: peers.Bad, Total: peers.Total, Value: peers.Value}
		}
	}
}

func (f fixture) path() string { return fmt.Sprintf("/verifications/%s", f.v.ID) }
