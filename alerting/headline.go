package alerting

import (
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// headline is the first line of a message: what happened to which deploy, and
// what is done about it.
func headline(e verifier.Event) (Tone, string) {
	v := e.Data
	what := fmt.Sprintf("%s %s in %s", Name(v.Deployment.Service), Name(v.Deployment.Version), Name(v.Deployment.Environment))
	switch e.Type {
	case verifier.EventOpened:
		return Neutral, "◌ WATCHING " + what + " until " + clock(v.ClosesAt)
	case verifier.EventCleared:
		return Good, "✔ CLEARED " + what + ": nothing harmful so far, watched until " + clock(v.ClosesAt)
	case verifier.EventSuperseded:
		return Neutral, "↷ SUPERSEDED " + what + ": a newer deploy came before the verdict"
	case verifier.EventCancelled:
		return Neutral, "· CANCELLED " + what + ": not watched any more"
	case verifier.EventDecided:
		return decided(v, what)
	case verifier.EventActionChanged:
		return rolled(v, what)
	}
	return Neutral, "· " + string(e.Type) + " " + what
}

// decided is the headline of a verdict.
func decided(v verifier.Verification, what string) (Tone, string) {
	if v.Verdict == nil {
		return Neutral, "· DECIDED " + what
	}
	who := ""
	if v.Verdict.By != "" && v.Verdict.By != verifier.ByPostflight {
		who = " by " + Name(v.Verdict.By)
	}
	switch v.Verdict.Decision {
	case verifier.Keep:
		return Good, "✔ KEEP" + who + " " + what
	case verifier.Inconclusive:
		return Warning, "? INCONCLUSIVE" + who + " " + what + ": nothing was reverted"
	}
	return reverting(v.Action, "REVERT"+who, what)
}

// reverting is the headline of a revert by how its rollback begins.
func reverting(a verifier.Action, word, what string) (Tone, string) {
	switch {
	case a.State == verifier.ActionWithheld && a.Guard == verifier.GuardMode:
		return Bad, "✖ " + word + " advised: " + what + " (shadow mode calls nothing)"
	case a.State == verifier.ActionWithheld:
		return Bad, "✖ " + word + " WITHHELD by the guard " + string(a.Guard) + ": " + what + byHand(a)
	case a.TargetVersion != "":
		return Bad, "✖ " + word + " " + what + " → rolling back to " + Name(a.TargetVersion)
	}
	return Bad, "✖ " + word + " " + what
}

// rolled is the headline of a rollback that moved on, or of a person's decision
// after the verdict.
func rolled(v verifier.Verification, what string) (Tone, string) {
	a := v.Action
	switch a.State {
	case verifier.ActionAccepted:
		return Neutral, "↺ ROLLBACK ACCEPTED " + what + " → waiting for " + Name(a.TargetVersion) + " to be live"
	case verifier.ActionConfirmed:
		return Good, "✔ ROLLED BACK " + what + " → " + Name(a.TargetVersion) + " is live again" + took(a)
	case verifier.ActionUnconfirmed:
		return Warning, "⚠ ROLLBACK NOT CONFIRMED " + what + byHand(a)
	case verifier.ActionFenced:
		return Neutral, "↷ ROLLBACK OVERTAKEN " + what + ": a newer deploy came first"
	case verifier.ActionFailed, verifier.ActionDeclined, verifier.ActionExpired:
		if said := v.PersonSays(); said == nil || said.Decision != verifier.Keep {
			return Warning, "⚠ ROLLBACK " + strings.ToUpper(string(a.State)) + " " + what + byHand(a)
		}
	}
	said := v.PersonSays()
	switch {
	case said == nil:
		return reverting(a, "REVERT", what)
	case said.Decision == verifier.Revert:
		return reverting(a, "REVERT by "+Name(said.By), what)
	}
	return Good, "✔ " + strings.ToUpper(string(said.Decision)) + " by " + Name(said.By) + " " + what
}

// byHand is what is left to people.
func byHand(a verifier.Action) string {
	if a.TargetVersion == "" {
		return ": look at it now"
	}
	return ": look at it now, and roll back to " + Name(a.TargetVersion) + " by hand if need be"
}

// took is how long a rollback took; "" where that isn't known.
func took(a verifier.Action) string {
	if a.RequestedAt == nil || a.ChangedAt == nil || a.ChangedAt.Before(*a.RequestedAt) {
		return ""
	}
	return " (" + a.ChangedAt.Sub(*a.RequestedAt).Round(time.Second).String() + ")"
}
