package gate

import (
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// The names of the checks, in the order in which they are asked.
const (
	CheckPolicy       = "policy"       // something would watch the deploy
	CheckReverted     = "reverted"     // the version was not reverted, or was approved again
	CheckMark         = "mark"         // nobody marked the version bad
	CheckObjections   = "objections"   // every no is answered
	CheckSignOffs     = "sign-offs"    // every role said yes
	CheckChecklist    = "checklist"    // every item is done
	CheckPhase        = "phase"        // the phase before was cleared
	CheckVerification = "verification" // no earlier deploy is being watched or made
	CheckRollback     = "rollback"     // no rollback is under way
	CheckFreeze       = "freeze"       // nobody and nothing froze the service
	CheckWindow       = "window"       // a release window is open
	CheckKnownGood    = "known-good"   // there is a version to return to
	CheckHook         = "hook"         // the rollback hook answers
	CheckSmoke        = "smoke"        // the staging address works
	CheckIncidents    = "incidents"    // no incident is open
)

// Waivable are the checks that a yes may waive: those about circumstances. What
// people said of the release, and what became of its version, stands.
var Waivable = []string{CheckPhase, CheckVerification, CheckFreeze, CheckWindow, CheckKnownGood, CheckHook, CheckSmoke, CheckIncidents, CheckChecklist}

// WaiverLasts is how long a waiver counts: circumstances change.
const WaiverLasts = 4 * time.Hour

// Person is what the configuration says of an access entry that may decide.
type Person struct {
	Roles    []string // in which they may speak
	Accounts []string // how pipelines call them, beside the entry's name
	Waives   bool     // a yes of theirs may waive checks
}

// Answer is what asking something outside yielded.
type Answer struct {
	Known  bool // false: it could not be found out, and Detail says why
	Good   bool
	Detail string // what was seen, in one sentence
}

// Facts are everything that a decision rests on.
type Facts struct {
	Now                    time.Time
	Ask                    verifier.GateAsk
	Policy                 *verifier.Policy // nil where none matches
	State                  verifier.GateState
	People                 map[string]Person // by access entry
	Frozen                 []verifier.Freeze // of the place, those by the caps with them
	Brake                  bool              // automatic rollbacks are stopped
	Hook, Smoke, Incidents *Answer           // nil where nobody asked
}

func (f Facts) gate() verifier.GatePolicy {
	if f.Policy == nil || f.Policy.Gate == nil {
		return verifier.GatePolicy{SelfApproval: true}
	}
	return *f.Policy.Gate
}

// result is what one check found.
type result struct {
	state   verifier.CheckState
	reason  string
	missing []string // roles or items
	// since is when the last person decided what doesn't hold, zero where it
	// isn't a person's: a waiver from before knew nothing of it.
	since time.Time
}

func passed(format string, args ...any) result {
	return result{state: verifier.CheckPassed, reason: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) result {
	return result{state: verifier.CheckFailed, reason: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) result {
	return result{state: verifier.CheckUnknown, reason: fmt.Sprintf(format, args...)}
}

// checks are asked in this order: first what no circumstance changes, then
// people, then circumstances. One that the policy doesn't want yields nil.
var checks = []struct {
	name string
	ask  func(Facts, said) *result
}{
	{CheckPolicy, policy},
	{CheckReverted, reverted},
	{CheckMark, mark},
	{CheckObjections, objections},
	{CheckSignOffs, signOffs},
	{CheckChecklist, checklist},
	{CheckPhase, phase},
	{CheckVerification, watching},
	{CheckRollback, rollback},
	{CheckFreeze, freeze},
	{CheckWindow, window},
	{CheckKnownGood, knownGood},
	{CheckHook, hook},
	{CheckSmoke, smoke},
	{CheckIncidents, incidents},
}

// Decide says whether a release may be deployed, and why.
func Decide(f Facts) verifier.GateVerdict {
	words := listen(f)
	v := verifier.GateVerdict{
		Release: f.Ask.Release, Decision: verifier.Go, Words: f.State.Words, Actors: actors(f),
		Conditions: words.conditions(), AskedBy: f.Ask.By, At: f.Now, LastAt: f.Now,
	}
	if f.Policy != nil {
		v.Policy, v.PolicyHash = f.Policy.Name, f.Policy.Hash()
	}
	if f.State.Reverted != nil {
		v.Reverted = f.State.Reverted.ID
	}
	undoing := ownRollback(f)
	for _, c := range checks {
		r := c.ask(f, words)
		if r == nil {
			continue
		}
		check := verifier.GateCheck{Name: c.name, State: r.state, Reason: r.reason, Missing: r.missing}
		if check.State == verifier.CheckFailed || check.State == verifier.CheckUnknown {
			switch by := words.waiver(c.name, r.since); {
			case by != nil:
				check.State, check.Reason = verifier.CheckWaived, fmt.Sprintf("%s waived this (%q): %s", by.By, by.Reason, r.reason)
			case undoing != "" && c.name != CheckReverted && c.name != CheckMark && c.name != CheckPolicy:
				check.State, check.Reason = verifier.CheckWaived, undoing+": "+r.reason
			default:
				v.Decision = verifier.NoGo
			}
		}
		v.Checks = append(v.Checks, check)
	}
	for _, c := range v.Checks {
		holds := c.State == verifier.CheckPassed || c.State == verifier.CheckWaived
		if holds == (v.Decision == verifier.Go) {
			v.Reasons = append(v.Reasons, c.Reason)
		}
	}
	return v
}

// ownRollback says that the release is what an open rollback asks for, "" where
// it isn't: what was released waits for nobody while it is taken back.
func ownRollback(f Facts) string {
	v := f.State.OpenRevert
	if v == nil || v.Action.TargetVersion != f.Ask.Version {
		return ""
	}
	return fmt.Sprintf("%s is what the rollback %s of %s goes back to, so this holds nothing back", f.Ask.Version, v.Action.RevertID, v.Deployment.Version)
}

// actors are all who were named as asking for the release.
func actors(f Facts) []string {
	out := slices.Clone(f.State.Actors)
	if f.Ask.Actor != "" && !slices.Contains(out, f.Ask.Actor) {
		out = append(out, f.Ask.Actor)
	}
	return out
}
