package safety

import (
	"fmt"

	"github.com/postflight/postflight/verifier"
)

// person: a decision of a person that was recorded before the call wins. What
// one to revert passes is in the table.
func person(f verifier.Facts, _ Limits) string {
	o := f.Override
	if o == nil || o.Decision == verifier.Revert {
		return ""
	}
	return fmt.Sprintf("%s decided %q for %s at %s (%q), and a person's decision wins.",
		o.By, o.Decision, f.Deployment.Version, clock(o.At, f.Now), o.Reason)
}

// mode: anything but enforce calls nothing.
func mode(f verifier.Facts, _ Limits) string {
	switch {
	case f.Mode == verifier.Shadow:
		return "The policy is in shadow mode: it judges and tells, and calls nothing."
	case f.Mode != verifier.Enforce:
		return fmt.Sprintf("The policy's mode is %q, and only %q calls a rollback.", f.Mode, verifier.Enforce)
	}
	return ""
}

// noRollback is the part of mode that nobody can lift.
func noRollback(f verifier.Facts, _ Limits) string {
	if f.Rollback == "" {
		return "The policy names no rollback, so there is nothing to call."
	}
	return ""
}

// loop: a rollback is itself a deployment; it is watched and never reverted.
// Nor does postflight undo itself: whoever judged would be what is judged.
func loop(f verifier.Facts, l Limits) string {
	if f.Deployment.Service == l.OwnService {
		return fmt.Sprintf("%s is postflight itself, and it never rolls itself back (safety.own_service).", l.OwnService)
	}
	if !f.Deployment.Rollback {
		return ""
	}
	why := f.Deployment.RollbackWhy
	if why == "" {
		why = "its source says so"
	}
	return fmt.Sprintf("%s is itself a rollback (%s), and a rollback is watched but never reverted.", f.Deployment.Version, why)
}

// fence: the verified deployment must be what runs now and what will run in a
// moment, and nobody else may be reverting it.
func fence(f verifier.Facts, _ Limits) string {
	d, where := f.Deployment, place(f.Deployment)
	switch {
	case f.Current.ID == "" || d.ID == "":
		return fmt.Sprintf("No finished deploy of %s is known, so nothing shows that %s is what runs.", where, d.Version)
	case f.Current.ID != d.ID && f.Current.Version == d.Version:
		return fmt.Sprintf("%s was deployed again to %s at %s, after the deploy that was verified.", d.Version, where, clock(f.Current.FinishedAt, f.Now))
	case f.Current.ID != d.ID:
		return fmt.Sprintf("%s runs %s since %s, not the verified %s.", where, f.Current.Version, clock(f.Current.FinishedAt, f.Now), d.Version)
	case f.Unclear != nil:
		return fmt.Sprintf("A deploy of %s, %s, was announced after this one and told for an earlier time (%s): which of them runs is not clear.", where, f.Unclear.Version, clock(f.Unclear.FinishedAt, f.Now))
	case f.Running != nil:
		return fmt.Sprintf("Another deploy of %s, %s, is under way since %s.", where, f.Running.Version, clock(f.Running.StartedAt, f.Now))
	case f.OpenRevert != "":
		return fmt.Sprintf("Another revert of %s, %s, is still open.", where, f.OpenRevert)
	}
	return ""
}

// expiry: a request that waited too long would hit what people have repaired
// by then. Zero means that the request isn't made yet.
func expiry(f verifier.Facts, _ Limits) string {
	if f.ExpiresAt.IsZero() || !f.Now.After(f.ExpiresAt) {
		return ""
	}
	return fmt.Sprintf("The revert request expired at %s, %s ago.", clock(f.ExpiresAt, f.Now), span(f.Now.Sub(f.ExpiresAt)))
}

// irreversible: nothing goes back over a deployment that can't be undone.
func irreversible(f verifier.Facts, _ Limits) string {
	d := f.Deployment
	switch {
	case d.Irreversible || f.Barrier != nil && f.Barrier.ID == d.ID:
		return fmt.Sprintf("%s %s: bringing an older version back needs a person.", d.Version, whyIrreversible(d))
	case f.Barrier != nil:
		return fmt.Sprintf("%s, deployed at %s and still in effect under %s, %s: going back over it needs a person.",
			f.Barrier.Version, clock(f.Barrier.FinishedAt, f.Now), d.Version, whyIrreversible(*f.Barrier))
	}
	return ""
}

func whyIrreversible(d verifier.Deployment) string {
	if d.IrreversibleWhy != "" {
		return "is irreversible (" + d.IrreversibleWhy + ")"
	}
	return "was announced as irreversible"
}

// lostTarget: what a person said of the target after the request was made
// holds before the call.
func lostTarget(f verifier.Facts, _ Limits) string {
	if f.TargetLost == "" {
		return ""
	}
	return fmt.Sprintf("%s, which the request goes back to, was marked bad or reverted since: nothing goes back to it.", f.TargetLost)
}

// target: the version to go back to comes from our own history or not at all.
func target(f verifier.Facts, _ Limits) string {
	switch {
	case f.Target == nil || f.Target.Version == "":
		return fmt.Sprintf("No other version of %s was kept, cleared or marked good yet, so there is none to go back to.", place(f.Deployment))
	case f.Target.Version == f.Deployment.Version:
		return fmt.Sprintf("The version to go back to is %s again, the one that was verified.", f.Target.Version)
	}
	return ""
}
