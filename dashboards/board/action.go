package board

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// guardRules says in one sentence what each guard of design/safety.md is for.
var guardRules = map[verifier.Guard]string{
	verifier.GuardLoop:         "this deploy is itself a rollback, and a rollback is never reverted",
	verifier.GuardCaps:         "this service has had as many automatic reverts as it may have for now",
	verifier.GuardBrake:        "too many automatic reverts at once stopped all of them, until a person releases the brake",
	verifier.GuardFence:        "this version is no longer the one that runs, or another deploy is running",
	verifier.GuardTarget:       "no earlier version is known to be good, so there is nothing safe to go back to",
	verifier.GuardIrreversible: "a change since the last good version can't be undone by going back",
	verifier.GuardAttribution:  "it is not proven that this deploy did the harm",
	verifier.GuardAmbiguity:    "several deploys overlap, and which one did the harm is not clear",
	verifier.GuardExpiry:       "the verdict is too old to act on",
	verifier.GuardMode:         "the policy judges and tells only (mode shadow)",
	verifier.GuardWindow:       "a freeze or the calendar leaves actions to people now",
	verifier.GuardPerson:       "a person decided otherwise",
}

// done is what was done about the verdict, in one sentence.
func (l look) done() string {
	a, v := l.v.Action, l.v
	target, by := name(cmp.Or(a.TargetVersion, "the last good version")), name(cmp.Or(a.Rollback, "the rollback"))
	because := ""
	if a.Reason != "" {
		because = ": " + clean(a.Reason, sentenceLength)
	}
	switch a.State {
	case verifier.ActionWithheld:
		return fmt.Sprintf("Not rolled back. Withheld by the guard “%s”: %s.", name(string(a.Guard)), l.whyWithheld())
	case verifier.ActionRequested:
		if a.Reason != "" {
			because = " (" + clean(a.Reason, sentenceLength) + ")"
		}
		return fmt.Sprintf("Rollback to %s requested from %s%s; no answer yet.", target, by, because)
	case verifier.ActionAccepted:
		return fmt.Sprintf("Rollback to %s accepted by %s; %s is not seen live yet.", target, by, target)
	case verifier.ActionConfirmed:
		return fmt.Sprintf("Rolled back: %s was announced as live again%s.", target, l.afterVerdict())
	case verifier.ActionUnconfirmed:
		return fmt.Sprintf("Rollback NOT confirmed: %s accepted it, but %s was not seen live within %s.", by, target, words(verifier.UnconfirmedAfter))
	case verifier.ActionDeclined:
		return fmt.Sprintf("Not rolled back: %s declined to go back to %s%s.", by, target, because)
	case verifier.ActionFenced:
		return fmt.Sprintf("Not rolled back to %s: the rollback was stopped%s.", target, because)
	case verifier.ActionExpired:
		return fmt.Sprintf("Not rolled back: the request to go back to %s grew too old to be sent%s.", target, because)
	case verifier.ActionFailed:
		if a.Guard != "" {
			return fmt.Sprintf("Rollback to %s stopped by the guard “%s” after it was sent to %s%s.", target, a.Guard, by, because)
		}
		return fmt.Sprintf("Rollback FAILED: %s could not be told to go back to %s%s.", by, target, because)
	}
	switch {
	case !v.State.Final():
		return "Nothing was done so far."
	case v.Verdict != nil && v.Verdict.Decision == verifier.Revert:
		return "Not rolled back: nothing was called."
	}
	return "Nothing was reverted."
}

// whyWithheld is the guard's rule with what it saw here. What the guard of the
// mode saw is its rule.
func (l look) whyWithheld() string {
	a := l.v.Action
	reason := strings.TrimRight(clean(a.Reason, sentenceLength), ".")
	switch {
	case reason == "":
		return guardRules[a.Guard]
	case a.Guard == verifier.GuardMode:
		return reason
	}
	return guardRules[a.Guard] + " (" + reason + ")"
}

func (l look) afterVerdict() string {
	if l.v.Verdict == nil || l.v.Action.ChangedAt == nil {
		return ""
	}
	return ", " + words(l.v.Action.ChangedAt.Sub(l.v.Verdict.DecidedAt)) + " after the verdict"
}

// step is something that is still open or that somebody can do.
type step struct {
	Text     string
	Command  string // to be typed; "" for none
	Link     string // within the board; "" for none
	LinkText string
}

// open says what is still open and who can do what.
func (l look) open() []step {
	v := l.v
	var out []step
	if o := v.Override; o != nil {
		out = append(out, step{Text: l.overridden(*o)})
	}
	switch {
	case v.State == verifier.StateSuperseded:
		return append(out, l.successor("The deploy that came after is judged instead."))
	case v.State == verifier.StateCancelled:
		return out
	case !v.State.Final():
		out = append(out, step{Text: "Still being watched; this page renews itself."})
		return append(out, l.decide("To decide now instead of the evidence:", "postflight override "+shellWord(v.ID)+` keep|revert|cancel --reason "…"`)...)
	}
	out = append(out, l.openAction()...)
	if v.Verdict != nil && v.Verdict.Decision == verifier.Inconclusive && !asked(v) {
		out = append(out, step{Text: "Nothing was reverted, and nothing is proven either way: look at what was not known below, and at the service itself."})
	}
	if l.feedback {
		out = append(out, step{Text: "Was the verdict right? Saying so makes later ones better:", Command: "postflight feedback " + shellWord(v.ID) + ` right|wrong --reason "…"`})
	}
	if len(out) == 0 {
		out = append(out, step{Text: "Nothing is open."})
	}
	return out
}

// asked reports whether a rollback was wanted after all, by the verdict or by a
// person: the action then says what became of it.
func asked(v verifier.Verification) bool {
	return v.Effective == verifier.Revert || v.Action.RevertID != ""
}

// overridden says who decided otherwise, and what that could still change.
func (l look) overridden(o verifier.Override) string {
	text := fmt.Sprintf("%s overrode with %s at %s: %s.", name(o.By), o.Decision, clock(o.At), strings.TrimRight(clean(o.Reason, sentenceLength), "."))
	if l.v.Effective != "" {
		text += fmt.Sprintf(" What counts now is %s.", l.v.Effective)
	}
	if o.Outcome != "" {
		text += " " + clean(o.Outcome, sentenceLength)
	}
	return text
}

// decide offers a command where the daemon takes people's decisions.
func (l look) decide(text, command string) []step {
	if !l.decisions {
		return nil
	}
	return []step{{Text: text, Command: command}}
}

func (l look) openAction() []step {
	a, d := l.v.Action, l.v.Deployment
	byHand := step{Text: "To go back by hand, deploy the last good version with your pipeline, and announce it like every deploy."}
	if a.TargetVersion != "" {
		byHand.Text = fmt.Sprintf("To go back by hand, deploy %s with your pipeline, and announce it:", name(a.TargetVersion))
		byHand.Command = fmt.Sprintf("postflight notify --token-file SOURCE_TOKEN --service %s --environment %s --version %s", shellWord(d.Service), shellWord(d.Environment), shellWord(a.TargetVersion))
	}
	switch a.State {
	case verifier.ActionRequested:
		return []step{{Text: "The request is being sent and will be tried again until it gets an answer or grows too old."}}
	case verifier.ActionAccepted:
		return []step{{Text: fmt.Sprintf("Waiting for the announcement that %s is live. Without it people are told to look %s after it was accepted.", name(a.TargetVersion), words(verifier.UnconfirmedAfter))}}
	case verifier.ActionConfirmed:
		return []step{l.successor("The rollback is a deploy of its own: it is watched, and never reverted.")}
	case verifier.ActionUnconfirmed:
		return []step{{Text: "See what runs now: the pipeline took the request and may have stopped half-way."}, byHand}
	case verifier.ActionFenced:
		return []step{l.successor("Look at the deploy that came after.")}
	case verifier.ActionDeclined, verifier.ActionExpired, verifier.ActionFailed:
		return []step{{Text: "See what runs now: nobody will try this rollback again."}, byHand}
	case verifier.ActionWithheld:
		switch a.Guard {
		case verifier.GuardLoop:
			return []step{{Text: "The version that was gone back to looks bad as well: look at the service itself, the cause may be elsewhere."}}
		case verifier.GuardPerson:
			return nil
		}
		return append(l.liftGuard(a.Guard), byHand)
	}
	if l.v.Verdict != nil && l.v.Verdict.Decision == verifier.Revert {
		return []step{byHand}
	}
	return nil
}

// liftGuard says what a person can do about a guard. A person's revert passes
// mode, caps, brake and window, never fence, target or expiry.
func (l look) liftGuard(g verifier.Guard) []step {
	v, d := l.v, l.v.Deployment
	revert := l.decide("To roll back all the same:", "postflight override "+shellWord(v.ID)+` revert --reason "…"`)
	if p := l.evidence.Policy; g == verifier.GuardMode && p.Name != "" && p.Rollback == "" {
		return []step{{Text: "The policy names no rollback: nothing can be called from here."}}
	}
	switch g {
	case verifier.GuardMode, verifier.GuardWindow:
		return revert
	case verifier.GuardBrake:
		return append(revert, step{Text: "To let automatic reverts go on, once it is clear why there were so many:", Command: `postflight brake release --reason "…"`})
	case verifier.GuardCaps:
		return append(revert, l.decide("To let automatic reverts of this service go on:", fmt.Sprintf(`postflight unfreeze %s %s --reason "…"`, shellWord(d.Service), shellWord(d.Environment)))...)
	case verifier.GuardTarget:
		return l.decide("To name a good version for the next time:", fmt.Sprintf(`postflight mark %s %s VERSION good --reason "…"`, shellWord(d.Service), shellWord(d.Environment)))
	case verifier.GuardFence:
		return []step{l.successor("Look at the deploy that came after.")}
	case verifier.GuardIrreversible:
		return []step{{Text: "Going back may do more harm than good: mend it forward, or read first what the change did to stored data."}}
	}
	return nil
}

// successor links the verification of the deploy that came after, or the board
// of the service where it has none.
func (l look) successor(text string) step {
	if l.next != nil {
		return step{Text: text, Link: l.pageOf(*l.next), LinkText: "see " + name(l.next.Deployment.Version)}
	}
	d := l.v.Deployment
	query := url.Values{"service": {d.Service}, "environment": {d.Environment}}
	return step{Text: text, Link: l.prefix + "/?" + query.Encode(), LinkText: "all deploys of " + name(d.Service) + " in " + name(d.Environment)}
}
