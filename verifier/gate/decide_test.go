package gate

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var now = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC) // a Monday

func ago(d time.Duration) time.Time { return now.Add(-d) }

var release = verifier.Release{Service: "checkout", Environment: "production", Version: "1.42.0"}

// world is a gate that asks for everything, and facts by which all of it holds.
func world() Facts {
	p := verifier.Policy{
		Name: "checkout", Window: verifier.Duration(time.Hour), Rollback: "hook",
		ReleaseWindows: []verifier.Period{{Name: "office", From: 8 * 60, To: 18 * 60}},
		Freezes:        []verifier.Period{{Name: "year-end", FirstDay: "2026-12-20"}},
		Gate: &verifier.GatePolicy{
			SignOffs: []string{"quality", "operations"}, Final: "product", SelfApproval: true, Expires: verifier.Duration(24 * time.Hour),
			Checklist: []verifier.ChecklistItem{{Name: "scan", By: []string{"ci"}, Within: verifier.Duration(time.Hour)}, {Name: "notes"}},
			Smoke:     []verifier.ProbeStep{{Method: "GET"}}, KnownGood: true, RollbackAnswers: true,
			Incidents: []verifier.AlertSource{{Source: "am"}}, Phases: []string{"staging", "production"},
		},
	}
	yes := func(detail string) *Answer { return &Answer{Known: true, Good: true, Detail: detail} }
	f := Facts{
		Now: now, Ask: verifier.GateAsk{Release: release, By: "ci", Actor: "dana-gh", Before: "staging"}, Policy: &p,
		People: map[string]Person{
			"dana": {Roles: []string{"quality"}, Accounts: []string{"Dana-GH"}}, "quinn": {Roles: []string{"quality"}},
			"olga": {Roles: []string{"operations"}}, "pat": {Roles: []string{"product"}, Waives: true},
		},
		Hook: yes("the hook answers"), Smoke: yes("staging works"), Incidents: yes("no incident is open"),
	}
	f.State.Target = &verifier.Deployment{Version: "1.41.3"}
	f.State.Before = &verifier.Verification{ID: "vf_staging", State: verifier.StateDecided, Effective: verifier.Keep}
	say(&f, verifier.GateWord{Kind: verifier.Report, By: "ci", Item: "scan", Passed: true})
	say(&f, verifier.GateWord{Kind: verifier.Report, By: "olga", Item: "notes", Passed: true})
	say(&f, approve("quinn", "quality"))
	say(&f, approve("olga", "operations"))
	return f
}

func approve(by, role string) verifier.GateWord {
	return verifier.GateWord{Kind: verifier.Approve, By: by, Role: role, Reason: "tests are green"}
}

func reject(by, role string) verifier.GateWord {
	return verifier.GateWord{Kind: verifier.Reject, By: by, Role: role, Reason: "the queue grows"}
}

// say adds a word a minute ago, unless it says when.
func say(f *Facts, w verifier.GateWord) string {
	w.Release, w.Seq = release, int64(len(f.State.Words)+1)
	w.ID = "ap_" + string(rune('a'+len(f.State.Words)))
	if w.At.IsZero() {
		w.At = ago(time.Minute)
	}
	f.State.Words = append(f.State.Words, w)
	return w.ID
}

func answer(f *Facts, no string) {
	say(f, verifier.GateWord{Kind: verifier.Answer, By: "dana", Answers: no, Evidence: []string{"https://grafana.example/q"}})
}

func check(t *testing.T, v verifier.GateVerdict, name string) verifier.GateCheck {
	t.Helper()
	i := slices.IndexFunc(v.Checks, func(c verifier.GateCheck) bool { return c.Name == name })
	require.GreaterOrEqual(t, i, 0, "no check %s in %v", name, v.Checks)
	return v.Checks[i]
}

func TestEverythingHolds(t *testing.T) {
	v := Decide(world())
	require.Equal(t, verifier.Go, v.Decision, v.Reasons)
	require.Len(t, v.Reasons, len(v.Checks))
	require.Equal(t, []string{"dana-gh"}, v.Actors)
	require.Equal(t, "checkout", v.Policy)
	require.NotEmpty(t, v.PolicyHash)
	require.Equal(t, "signed off by quality (quinn), operations (olga)", check(t, v, CheckSignOffs).Reason)
}

// TestOneThingDoesNotHold: each by itself is a no-go that names it.
func TestOneThingDoesNotHold(t *testing.T) {
	minute := func(i int) func(*Facts) { return func(f *Facts) { f.Now = f.Now.Add(time.Duration(i) * time.Minute) } }
	for name, c := range map[string]struct {
		change func(f *Facts)
		check  string
		state  verifier.CheckState
		says   string
	}{
		"no policy": {func(f *Facts) { f.Policy = nil }, CheckPolicy, verifier.CheckUnknown, "no policy matches checkout in production"},
		"reverted": {func(f *Facts) {
			f.State.Reverted = &verifier.Verification{ID: "vf_r", Verdict: &verifier.Verdict{Summary: "errors rose"}}
		}, CheckReverted, verifier.CheckFailed, "1.42.0 counts as reverted (vf_r: errors rose): approve it again"},
		"marked bad": {func(f *Facts) {
			f.State.Mark = &verifier.AuditEntry{Decision: "bad", By: "dana", At: ago(time.Hour), Reason: "loses orders"}
		}, CheckMark, verifier.CheckFailed, `dana marked 1.42.0 bad at 2026-11-30 09:00:00 UTC ("loses orders")`},
		"no yes of a role":   {func(f *Facts) { f.State.Words = f.State.Words[:3] }, CheckSignOffs, verifier.CheckFailed, "no yes of operations"},
		"a yes expired":      {minute(24 * 60), CheckSignOffs, verifier.CheckFailed, "quality (quinn said it at 2026-11-30 09:59:00 UTC, more than 24h0m ago)"},
		"may decide no more": {func(f *Facts) { delete(f.People, "quinn") }, CheckSignOffs, verifier.CheckFailed, "quinn may not decide any more"},
		"lost the role":      {func(f *Facts) { f.People["quinn"] = Person{Roles: []string{"support"}} }, CheckSignOffs, verifier.CheckFailed, "quinn may not speak as quality any more"},
		"role of another":    {func(f *Facts) { f.State.Words[2].Role = "operations" }, CheckSignOffs, verifier.CheckFailed, "no yes of quality"},
		"item missing":       {func(f *Facts) { f.State.Words = f.State.Words[1:] }, CheckChecklist, verifier.CheckFailed, "scan is not reported"},
		"item of another":    {func(f *Facts) { f.State.Words[0].By = "dana" }, CheckChecklist, verifier.CheckFailed, "scan is not reported"},
		"item failed": {func(f *Facts) {
			say(f, verifier.GateWord{Kind: verifier.Report, By: "ci", Item: "scan", Reason: "2 findings"})
		}, CheckChecklist, verifier.CheckFailed, "scan failed (ci: 2 findings)"},
		"item is old":        {minute(61), CheckChecklist, verifier.CheckFailed, "scan was reported at 2026-11-30 09:59:00 UTC, more than 1h0m ago"},
		"not in the phase":   {func(f *Facts) { f.State.Before = nil }, CheckPhase, verifier.CheckFailed, "1.42.0 was not deployed to staging, the phase before"},
		"phase is watched":   {func(f *Facts) { f.State.Before = &verifier.Verification{ID: "vf_s", State: verifier.StateObserving} }, CheckPhase, verifier.CheckFailed, "1.42.0 is still watched in staging"},
		"phase reverted":     {func(f *Facts) { f.State.Before.Effective = verifier.Revert }, CheckPhase, verifier.CheckFailed, "1.42.0 was reverted in staging"},
		"phase inconclusive": {func(f *Facts) { f.State.Before.Effective = verifier.Inconclusive }, CheckPhase, verifier.CheckFailed, "1.42.0 was not cleared in staging, the phase before (vf_staging: inconclusive)"},
		"marked bad in the phase": {func(f *Facts) {
			f.State.BeforeMark = &verifier.AuditEntry{Decision: "bad", By: "dana", At: ago(time.Hour), Reason: "loses orders"}
		}, CheckPhase, verifier.CheckFailed, `dana marked 1.42.0 bad in staging, the phase before, at 2026-11-30 09:00:00 UTC ("loses orders")`},
		"no phase":            {func(f *Facts) { f.Ask.Environment = "elsewhere" }, CheckPhase, verifier.CheckUnknown, "elsewhere is none of the phases staging, production"},
		"earlier one watched": {func(f *Facts) { f.State.Watched = []verifier.Verification{{ID: "vf_w"}} }, CheckVerification, verifier.CheckFailed, "wait for its verdict"},
		"a deploy is running": {func(f *Facts) { f.State.Running = &verifier.Deployment{Version: "1.41.4"} }, CheckVerification, verifier.CheckFailed, "1.41.4 is being deployed"},
		"open rollback":       {func(f *Facts) { f.State.OpenRevert = openRevert("1.41.3") }, CheckRollback, verifier.CheckFailed, "the rollback rv_1 of 1.41.4 to 1.41.3 is accepted"},
		"frozen": {func(f *Facts) {
			f.Frozen = []verifier.Freeze{{Service: "checkout", Environment: "production", By: "dana", Reason: "sale"}}
		}, CheckFreeze, verifier.CheckFailed, "frozen by dana (sale), until somebody unfreezes it: `postflight unfreeze checkout production --reason ...`, or a yes with `--waive freeze`"},
		"several stops": {func(f *Facts) {
			f.Frozen = []verifier.Freeze{{By: "dana", Reason: "sale"}, {By: "olga", Reason: "the move"}, {Kind: verifier.FrozenByCaps, By: "postflight"}}
			f.Brake, f.Policy.Freezes[0].FirstDay = true, "2026-11-30"
		}, CheckFreeze, verifier.CheckFailed, "the brake is engaged: nothing would be rolled back by itself until a person releases it; the calendar's freeze year-end is in force"},
		"brake": {func(f *Facts) { f.Brake = true }, CheckFreeze, verifier.CheckFailed, "the brake is engaged"},
		"brake by hand": {func(f *Facts) {
			f.State.Brake.Held = &verifier.BrakeHold{By: "dana", At: ago(time.Hour), Reason: "the gateway"}
		}, CheckFreeze, verifier.CheckFailed, `dana engaged the brake at 2026-11-30 09:00:00 UTC ("the gateway")`},
		"calendar's freeze":  {func(f *Facts) { f.Policy.Freezes[0].FirstDay = "2026-11-30" }, CheckFreeze, verifier.CheckFailed, "the calendar's freeze year-end is in force"},
		"outside the window": {func(f *Facts) { f.Policy.ReleaseWindows[0].To = 9 * 60 }, CheckWindow, verifier.CheckFailed, "it is outside the release windows (office)"},
		"nothing known good": {func(f *Facts) { f.State.Target = nil }, CheckKnownGood, verifier.CheckFailed, "no version is known to be good"},
		"hook silent":        {func(f *Facts) { f.Hook = &Answer{Known: true, Detail: "refused"} }, CheckHook, verifier.CheckFailed, "refused"},
		"hook not asked":     {func(f *Facts) { f.Hook = nil }, CheckHook, verifier.CheckUnknown, "the rollback hook was not asked"},
		"smoke failed":       {func(f *Facts) { f.Smoke = &Answer{Known: true, Detail: "status 500"} }, CheckSmoke, verifier.CheckFailed, "status 500"},
		"smoke not measured": {func(f *Facts) { f.Smoke = &Answer{Good: true, Detail: "own network"} }, CheckSmoke, verifier.CheckUnknown, "own network"},
		"incident":           {func(f *Facts) { f.Incidents = &Answer{Known: true, Detail: "firing: Errors"} }, CheckIncidents, verifier.CheckFailed, "firing: Errors"},
		"incidents unheard":  {func(f *Facts) { f.Incidents = &Answer{Detail: "nothing since"} }, CheckIncidents, verifier.CheckUnknown, "nothing since"},
		"self-approval": {func(f *Facts) { f.Policy.Gate.SelfApproval = false; f.State.Words[2].By = "dana" }, CheckSignOffs, verifier.CheckFailed,
			"dana asked for the release, and may not sign it off as well"},
		"asked by whom": {func(f *Facts) { f.Policy.Gate.SelfApproval = false; f.Ask.Actor = "" }, CheckSignOffs, verifier.CheckUnknown, "name them with --actor"},
	} {
		t.Run(name, func(t *testing.T) {
			f := world()
			c.change(&f)
			v := Decide(f)
			require.Equal(t, verifier.NoGo, v.Decision)
			require.Equal(t, c.state, check(t, v, c.check).State)
			require.Contains(t, check(t, v, c.check).Reason, c.says)
			require.Contains(t, v.Reasons, check(t, v, c.check).Reason)
		})
	}
}

func openRevert(target string) *verifier.Verification {
	return &verifier.Verification{Deployment: verifier.Deployment{Version: "1.41.4"}, Action: verifier.Action{State: verifier.ActionAccepted, RevertID: "rv_1", TargetVersion: target}}
}

// TestNothingKnown: a gate that knows nothing says no to everything it wants to
// know.
func TestNothingKnown(t *testing.T) {
	f := world()
	f.State, f.People, f.Hook, f.Smoke, f.Incidents = verifier.GateState{}, nil, nil, nil, nil
	v := Decide(f)
	require.Equal(t, verifier.NoGo, v.Decision)
	for _, name := range []string{CheckSignOffs, CheckChecklist, CheckPhase, CheckKnownGood, CheckHook, CheckSmoke, CheckIncidents} {
		require.NotEqual(t, verifier.CheckPassed, check(t, v, name).State, name)
	}
}

func TestVotesOfPeople(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts)
		goes   bool
		says   string // of a no-go
	}{
		"a no blocks":              {func(f *Facts) { say(f, reject("dana", "quality")) }, false, "dana (quality) says no"},
		"a no of no required role": {func(f *Facts) { say(f, reject("sam", "support")) }, false, "sam (support) says no"},
		"a no in no role":          {func(f *Facts) { say(f, reject("sam", "")) }, false, "sam says no"},
		"the final yes does not settle what nobody answered": {func(f *Facts) { say(f, reject("dana", "quality")); say(f, approve("pat", "product")) }, false, "answer it with data"},
		"who said no says yes":                               {func(f *Facts) { say(f, reject("quinn", "quality")); say(f, approve("quinn", "quality")) }, true, ""},
		"yes, then no":                                       {func(f *Facts) { say(f, reject("quinn", "quality")) }, false, "quinn (quality) says no"},
		"another yes of the role":                            {func(f *Facts) { say(f, reject("quinn", "quality")); say(f, approve("dana", "quality")) }, false, "quinn (quality) says no"},
		"answered, and split":                                {func(f *Facts) { answer(f, say(f, reject("dana", "quality"))) }, false, "the vote is split: the word of product settles it"},
		"answered, and settled":                              {func(f *Facts) { answer(f, say(f, reject("dana", "quality"))); say(f, approve("pat", "product")) }, true, ""},
		"settled before the answer": {func(f *Facts) {
			no := say(f, reject("dana", "quality"))
			say(f, approve("pat", "product"))
			answer(f, no)
		}, false, "the vote is split"},
		"the only word of a role was no, and is settled": {func(f *Facts) {
			answer(f, say(f, reject("quinn", "quality")))
			say(f, approve("pat", "product"))
		}, true, ""},
		"the final authority says no": {func(f *Facts) { answer(f, say(f, reject("pat", "product"))) }, false, "pat (product) said no, and that is final until they say yes"},
		"another final yes over the final no": {func(f *Facts) {
			f.People["paula"] = Person{Roles: []string{"product"}}
			answer(f, say(f, reject("pat", "product")))
			say(f, approve("paula", "product"))
		}, false, "that is final"},
		"answered without a final authority": {func(f *Facts) {
			f.Policy.Gate.Final = ""
			answer(f, say(f, reject("dana", "quality")))
		}, false, "quality must say yes now"},
		"answered, and yes of the role": {func(f *Facts) {
			f.Policy.Gate.Final = ""
			answer(f, say(f, reject("dana", "quality")))
			say(f, approve("quinn", "quality"))
		}, true, ""},
		"answered no of no required role, no final authority": {func(f *Facts) {
			f.Policy.Gate.Final = ""
			answer(f, say(f, reject("sam", "support")))
		}, true, ""},
		"a no of who may not decide any more": {func(f *Facts) { say(f, reject("gone", "quality")) }, false, "gone (quality) says no"},
		"an answer to another no": {func(f *Facts) {
			first := say(f, reject("dana", "quality"))
			say(f, reject("olga", "operations"))
			answer(f, first)
		}, false, "olga (operations) says no"},
		"a final yes of who lost the role": {func(f *Facts) {
			answer(f, say(f, reject("dana", "quality")))
			say(f, approve("pat", "product"))
			f.People["pat"] = Person{}
		}, false, "the vote is split"},
	} {
		t.Run(name, func(t *testing.T) {
			f := world()
			c.change(&f)
			v := Decide(f)
			if c.goes {
				require.Equal(t, verifier.Go, v.Decision, v.Reasons)
				return
			}
			require.Equal(t, verifier.NoGo, v.Decision)
			require.Contains(t, check(t, v, CheckObjections).Reason, c.says)
		})
	}
}

// TestSettledSignOff: whose word stands for a role's is told.
func TestSettledSignOff(t *testing.T) {
	f := world()
	answer(&f, say(&f, reject("olga", "operations")))
	say(&f, approve("pat", "product"))
	require.Equal(t, "signed off by quality (quinn), operations (pat, as final product)", check(t, Decide(f), CheckSignOffs).Reason)
}

func TestRevertedIsApprovedAgain(t *testing.T) {
	reverted := func() Facts {
		f := world()
		f.State.Reverted = &verifier.Verification{ID: "vf_r"}
		return f
	}
	f := reverted()
	v := Decide(f)
	require.Contains(t, check(t, v, CheckSignOffs).Reason, "quinn said it before 1.42.0 was reverted")

	for _, by := range []string{"quinn", "olga"} {
		w := approve(by, f.People[by].Roles[0])
		w.Again = "vf_r"
		say(&f, w)
	}
	v = Decide(f)
	require.Equal(t, verifier.Go, v.Decision, v.Reasons)
	require.Equal(t, "1.42.0 was reverted (vf_r), and quinn (quality) approved it again: tests are green", check(t, v, CheckReverted).Reason)

	f.State.Reverted = &verifier.Verification{ID: "vf_again"} // it was reverted once more
	require.Equal(t, verifier.NoGo, Decide(f).Decision)

	f.State.Reverted = &verifier.Verification{ID: "vf_r"} // and by the same verification, which was kept in between
	f.State.RevertedSeq = int64(len(f.State.Words)) + 1
	v = Decide(f)
	require.Equal(t, verifier.NoGo, v.Decision)
	require.Equal(t, verifier.CheckFailed, check(t, v, CheckReverted).State)

	f = reverted()
	f.Policy.Gate = nil // no sign-offs are asked for: one yes by somebody who knows is enough
	require.Equal(t, verifier.NoGo, Decide(f).Decision)
	w := approve("dana", "")
	w.Again = "vf_r"
	say(&f, w)
	require.Equal(t, verifier.Go, Decide(f).Decision)
}

func TestConditions(t *testing.T) {
	f := world()
	f.State.Words[2].Conditions = []string{"off-peak only"}
	w := approve("sam", "support") // who may not decide
	w.Conditions = []string{"never"}
	say(&f, w)
	v := Decide(f)
	require.Equal(t, []verifier.Condition{{Text: "off-peak only", By: "quinn", Role: "quality", At: ago(time.Minute)}}, v.Conditions)
	require.NotNil(t, Decide(Facts{}).Conditions, "an empty list in JSON")
}

// TestFrozenByItsCaps: after an automatic rollback the fix may go, and it is said
// that it wouldn't be rolled back by itself. A person's freeze stops it.
func TestFrozenByItsCaps(t *testing.T) {
	f := world()
	f.Frozen = []verifier.Freeze{{Kind: verifier.FrozenByCaps, Service: "checkout", Environment: "production", By: "postflight", At: ago(time.Minute), Until: now.Add(time.Hour),
		Reason: "reverted automatically once in an hour, and the limit is 1"}}
	v := Decide(f)
	require.Equal(t, verifier.Go, v.Decision, v.Reasons)
	require.Equal(t, "checkout in production is frozen by its caps (reverted automatically once in an hour, and the limit is 1) until 2026-11-30 11:00:00 UTC: a deploy is judged, and not rolled back by itself; `postflight unfreeze checkout production --reason ...` ends that",
		check(t, v, CheckFreeze).Reason)
	f.Frozen = append(f.Frozen, verifier.Freeze{Kind: verifier.FrozenByPerson, By: "dana", Reason: "sale"}, verifier.Freeze{Kind: verifier.FrozenByPerson, By: "olga", Reason: "the move"})
	v = Decide(f)
	require.Equal(t, verifier.NoGo, v.Decision)
	require.Regexp(t, `frozen by dana \(sale\).*; .*frozen by olga \(the move\)`, check(t, v, CheckFreeze).Reason)
	require.NotContains(t, check(t, v, CheckFreeze).Reason, "caps")
}

func TestWaivers(t *testing.T) {
	waiving := func(by string, at time.Duration, checks ...string) Facts {
		f := world()
		f.Brake, f.State.Target = true, nil
		say(&f, verifier.GateWord{Kind: verifier.Approve, By: by, Role: f.People[by].Roles[0], At: ago(at), Reason: "a hotfix", Waives: checks})
		return f
	}
	f := waiving("pat", time.Minute, CheckFreeze, CheckKnownGood)
	v := Decide(f)
	require.Equal(t, verifier.Go, v.Decision, v.Reasons)
	require.Equal(t, verifier.CheckWaived, check(t, v, CheckFreeze).State)
	require.Contains(t, check(t, v, CheckFreeze).Reason, `pat waived this ("a hotfix"): the brake is engaged`)
	require.Equal(t, verifier.NoGo, Decide(waiving("pat", time.Minute, CheckFreeze)).Decision, "only one of both")
	require.Equal(t, verifier.NoGo, Decide(waiving("olga", time.Minute, CheckFreeze, CheckKnownGood)).Decision, "not hers to waive")
	require.Equal(t, verifier.NoGo, Decide(waiving("pat", 5*time.Hour, CheckFreeze, CheckKnownGood)).Decision, "waived too long ago")
	for at, want := range map[time.Duration]verifier.GateDecision{2 * time.Minute: verifier.Go, time.Minute: verifier.NoGo, 0: verifier.NoGo} {
		frozen := waiving("pat", time.Minute, CheckFreeze, CheckKnownGood)
		frozen.Frozen = []verifier.Freeze{{Kind: verifier.FrozenByPerson, By: "dana", At: ago(at)}}
		require.Equal(t, want, Decide(frozen).Decision, "frozen %s ago, waived a minute ago", at)
		braked := waiving("pat", time.Minute, CheckFreeze, CheckKnownGood)
		braked.State.Brake.Held = &verifier.BrakeHold{By: "dana", At: ago(at)}
		require.Equal(t, want, Decide(braked).Decision, "braked %s ago, waived a minute ago", at)
	}
	f.State.Reverted = &verifier.Verification{ID: "vf_r"}
	require.Equal(t, verifier.NoGo, Decide(f).Decision, "waived before the revert")

	for _, name := range []string{CheckPolicy, CheckReverted, CheckMark, CheckObjections, CheckSignOffs, CheckRollback} {
		require.NotContains(t, Waivable, name)
		f := waiving("pat", time.Minute, CheckFreeze, CheckKnownGood, name)
		f.State.Mark = &verifier.AuditEntry{Decision: "bad"}
		say(&f, reject("dana", "quality"))
		f.State.OpenRevert = openRevert("1.41.3")
		require.Equal(t, verifier.NoGo, Decide(f).Decision, name)
	}
}

// TestTheWayBackIsOpen: what a rollback goes back to waits for nobody, but for
// what was itself reverted or marked bad.
func TestTheWayBackIsOpen(t *testing.T) {
	f := world()
	f.State, f.Smoke = verifier.GateState{OpenRevert: openRevert("1.42.0"), Watched: []verifier.Verification{{ID: "vf_w"}}}, nil
	v := Decide(f)
	require.Equal(t, verifier.Go, v.Decision, v.Reasons)
	require.Contains(t, check(t, v, CheckSignOffs).Reason, "1.42.0 is what the rollback rv_1 of 1.41.4 goes back to")
	f.State.Mark = &verifier.AuditEntry{Decision: "bad"}
	require.Equal(t, verifier.NoGo, Decide(f).Decision)
}

func TestWithoutAGate(t *testing.T) {
	f := world()
	f.Policy.Gate, f.State.Words = nil, nil
	v := Decide(f)
	require.Equal(t, verifier.Go, v.Decision, v.Reasons)
	require.Len(t, v.Checks, 5)
	f.State.Watched = []verifier.Verification{{ID: "vf_w"}}
	require.Equal(t, verifier.NoGo, Decide(f).Decision)
	f.Policy.Gate = &verifier.GatePolicy{WhileWatching: true}
	require.Equal(t, verifier.Go, Decide(f).Decision)
	say(&f, reject("dana", ""))
	require.Equal(t, verifier.NoGo, Decide(f).Decision, "a no blocks wherever it is said")
}

func TestPhases(t *testing.T) {
	f := world()
	f.Ask.Environment, f.Ask.Before, f.State.Before = "staging", "", nil
	f.State.Words = nil
	require.Equal(t, "staging is the first phase", check(t, Decide(f), CheckPhase).Reason)
	cleared := now
	f = world()
	f.State.Before = &verifier.Verification{ID: "vf_s", State: verifier.StateObserving, ClearedAt: &cleared}
	require.Equal(t, verifier.Go, Decide(f).Decision, "cleared, and still watched")
}
