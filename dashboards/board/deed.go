package board

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// deed is something that a person can decide on a verdict page.
type deed string

// The deeds, by the words of the form.
const (
	doKeep     deed = "keep"
	doRevert   deed = "revert"
	doCancel   deed = "cancel"
	doRight    deed = "right"
	doWrong    deed = "wrong"
	doYes      deed = "yes" // to a deploy that is watched
	doNo       deed = "no"
	doFreeze   deed = "freeze"
	doUnfreeze deed = "unfreeze"
	doEngage   deed = "engage" // the brake
	doBrake    deed = "brake"  // is released
)

var deeds = []deed{doKeep, doRevert, doCancel, doRight, doWrong, doYes, doNo, doFreeze, doUnfreeze, doEngage, doBrake}

// overrides are decisions about the verdict.
func (d deed) overrides() bool { return d == doKeep || d == doRevert || d == doCancel }

func (d deed) rates() bool { return d == doRight || d == doWrong }

func (d deed) votes() bool { return d == doYes || d == doNo }

// needs are the permissions of which the API asks for one.
func (d deed) needs() []string {
	switch d {
	case doBrake:
		return []string{"operate"}
	case doEngage: // stopping is safe
		return []string{"decide", "operate"}
	case doYes, doNo:
		return []string{"vote", "decide"}
	}
	return []string{"decide"}
}

// allowed reports whether somebody may do it.
func (d deed) allowed(may []string) bool {
	return slices.ContainsFunc(d.needs(), func(p string) bool { return slices.Contains(may, p) })
}

// told is what the verdict page says afterwards; see Handler.told.
func (d deed) told() string {
	switch {
	case d.overrides():
		return "override"
	case d.rates():
		return "feedback"
	case d.votes():
		return "vote"
	}
	return string(d)
}

// question heads the page that asks for the reason.
func (d deed) question(v verifier.Verification) string {
	version, place := name(v.Deployment.Version), placeOf(v)
	switch d {
	case doKeep:
		return "Keep " + version + " of " + place + "?"
	case doRevert:
		return "Roll " + version + " of " + place + " back?"
	case doCancel:
		return "Stop watching " + version + " of " + place + "?"
	case doRight, doWrong:
		return fmt.Sprintf("Was the verdict %s on %s of %s %s?", v.Verdict.Decision, version, place, d)
	case doYes, doNo:
		return fmt.Sprintf("Say %s to %s of %s?", d, version, place)
	case doFreeze:
		return "Hold the automatic rollbacks of " + place + " back?"
	case doUnfreeze:
		return "End this freeze of " + place + "?"
	case doEngage:
		return "Stop the automatic rollbacks of all services?"
	}
	return "Release the brake?"
}

// button is what sends the form.
func (d deed) button(v verifier.Verification) string {
	switch d {
	case doKeep:
		return "Keep " + name(v.Deployment.Version)
	case doRevert:
		return "Roll " + name(v.Deployment.Version) + " back"
	case doCancel:
		return "Stop watching"
	case doRight:
		return "It was right"
	case doWrong:
		return "It was wrong"
	case doYes:
		return "Vote yes"
	case doNo:
		return "Vote no"
	case doFreeze:
		return "Freeze"
	case doUnfreeze:
		return "End the freeze"
	case doEngage:
		return "Engage the brake"
	}
	return "Release the brake"
}

// means says what a decision does whatever the moment; what an override does
// depends on it, and the API foresees that.
func (d deed) means(v verifier.Verification) string {
	switch d {
	case doRight, doWrong:
		return v.FeedbackOutcome(verifier.Rating(d))
	case doYes, doNo:
		return "It is recorded with your name, and counts as the policy says, at the next look: by default votes are advisory, and one person's no reverts nothing. Your newest vote counts; you may change it until the verdict."
	case doFreeze:
		return "Verdicts and messages go on; automatic rollbacks wait for a person, those with them whose call has not begun. A rollback that was sent can't be recalled by it."
	case doUnfreeze:
		return "Automatic rollbacks of it go on, for verdicts from now on. What was withheld meanwhile is not taken up by it: roll that back by a decision of its own."
	case doEngage:
		return "No automatic rollback of any service is sent from then on, those with them whose call has not begun, until somebody releases the brake. Verdicts and messages go on, and people can still roll back. A rollback that was sent can't be recalled by it."
	case doBrake:
		return "Automatic rollbacks of all services go on, for verdicts from now on. What was withheld meanwhile is not taken up by it."
	}
	return ""
}

func placeOf(v verifier.Verification) string {
	return name(v.Deployment.Service) + " in " + name(v.Deployment.Environment)
}

// choice is a link to the page on which a deed is done.
type choice struct{ Text, Link string }

// choices are what a person may do about a verification as it stands. The API
// has the last word.
func choices(v verifier.Verification) (out []deed) {
	a := v.Action
	switch v.State {
	case verifier.StatePending, verifier.StateObserving:
		out = []deed{doKeep, doRevert, doCancel}
		if v.AsksVotes {
			out = append(out, doYes, doNo)
		}
		return out
	case verifier.StateDecided:
	default:
		return nil
	}
	if v.Effective != verifier.Keep && a.State != verifier.ActionConfirmed {
		out = append(out, doKeep)
	}
	over := a.Open() || a.State == verifier.ActionConfirmed || a.State == verifier.ActionExpired
	if !over || v.Effective != verifier.Revert {
		out = append(out, doRevert)
	}
	return append(out, doRight, doWrong)
}

// offer is a deed's link text on the verdict page.
func (d deed) offer(v verifier.Verification) string {
	switch {
	case d == doKeep && v.State == verifier.StateDecided:
		return "Keep it anyway…"
	case d == doKeep:
		return "Keep it now…"
	case d == doRevert:
		return "Roll it back…"
	case d == doCancel:
		return "Stop watching…"
	case d == doRight:
		return "Right…"
	case d == doWrong:
		return "Wrong…"
	case d == doYes:
		return "Yes…"
	case d == doNo:
		return "No…"
	case d == doUnfreeze:
		return "End it…"
	case d == doEngage:
		return "Stop those of all services…"
	case d == doBrake:
		return "Release the brake…"
	}
	return "Freeze " + name(v.Deployment.Service) + "…"
}

// sentAlready says what a rollback that is under way has sent; "" when nothing
// was sent, or what was is over.
func sentAlready(v verifier.Verification) string {
	a := v.Action
	i := slices.IndexFunc(v.Deliveries, func(d verifier.Delivery) bool {
		return d.Kind == verifier.RollbackDelivery && d.Key == a.RevertID && len(d.Attempts) > 0
	})
	if i < 0 || !a.Open() && a.State != verifier.ActionConfirmed {
		return ""
	}
	last := v.Deliveries[i].Attempts[len(v.Deliveries[i].Attempts)-1]
	text := fmt.Sprintf("The rollback request %s to go back to %s was sent to %s at %s", name(a.RevertID), name(a.TargetVersion), name(a.Rollback), clock(last.At))
	if n := len(v.Deliveries[i].Attempts); n > 1 {
		text += fmt.Sprintf(" (attempt %d)", n)
	}
	switch {
	case last.Result == verifier.AttemptStarted:
		text += "; its answer is not there yet"
	case last.Status != 0:
		text += fmt.Sprintf(" and answered with status %d", last.Status)
	default:
		text += " without an answer"
	}
	return text + ". It can't be recalled."
}

// frozenText is a freeze in one sentence.
func frozenText(f verifier.Freeze) string {
	by := name(f.By)
	if f.Kind == verifier.FrozenByCaps {
		by = "its caps"
	}
	until := "until somebody ends it"
	if !f.Until.IsZero() {
		until = "until " + momentAt(f.Until).Text
	}
	return fmt.Sprintf("Frozen by %s since %s, %s: %s", by, momentAt(f.At).Text, until, cmp.Or(clean(f.Reason, 200), "no reason given"))
}

// freezesOf are the freezes of the verification's place.
func freezesOf(v verifier.Verification, all []verifier.Freeze) (out []verifier.Freeze) {
	for _, f := range all {
		if f.Location() == v.Deployment.Location() {
			out = append(out, f)
		}
	}
	return out
}

// ids name freezes, as what a decision about them rests on.
func ids(freezes []verifier.Freeze) string {
	var out []string
	for _, f := range freezes {
		out = append(out, f.ID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// said is what a person said or decided, as the page lists it.
type said struct {
	At   moment
	Text string
}

func sayings(list []verifier.Feedback) (out []said) {
	for _, f := range list[:min(len(list), 10)] {
		out = append(out, said{momentAt(f.At), fmt.Sprintf("%s says it was %s: %s", name(f.By), f.Decision, clean(f.Reason, 200))})
	}
	return out
}

// votings are the newest votes, a line each.
func votings(list []verifier.Vote) (out []said) {
	for _, vote := range list[:min(len(list), 10)] {
		out = append(out, said{momentAt(vote.At), fmt.Sprintf("%s voted %s: %s", name(vote.By), vote.Decision, clean(vote.Reason, 200))})
	}
	return out
}

// freezeTimes are how long a freeze may last, by the form; "" is until somebody
// ends it.
var freezeTimes = []struct{ Value, Text string }{
	{"1h", "for an hour"}, {"4h", "for 4 hours"}, {"12h", "for 12 hours"}, {"1d", "for a day"}, {"7d", "for a week"}, {"", "until somebody ends it"},
}

// stored says who decided what when.
func stored(by string, at time.Time, what, reason string) string {
	return fmt.Sprintf("Stored at %s: %s %s: %s", momentAt(at).Text, name(by), what, strings.TrimRight(clean(reason, sentenceLength), ".")+".")
}
