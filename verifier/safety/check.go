package safety

import (
	"fmt"

	"github.com/postflight/postflight/verifier"
)

// Ruling is what the guards say of one revert at one moment.
type Ruling struct {
	Allowed bool
	Guard   verifier.Guard // which guard held it back; "" when allowed
	Reason  string         // one sentence with resolved values; "" when allowed
	// Lifted is what stood in the way and a person's revert passed, such as
	// "mode shadow"; nil when nothing did.
	Lifted []string
}

// Ends returns the state that a requested action moves to under this ruling.
// What was sent before can't be withheld any more: such a request has failed.
// An allowed ruling ends nothing and returns requested.
func (r Ruling) Ends(sent bool) verifier.ActionState {
	switch {
	case r.Allowed:
		return verifier.ActionRequested
	case r.Guard == verifier.GuardFence:
		return verifier.ActionFenced
	case r.Guard == verifier.GuardExpiry:
		return verifier.ActionExpired
	case sent:
		return verifier.ActionFailed
	default:
		return verifier.ActionWithheld
	}
}

// guard is one row of the table: its name, whether it is asked before every
// attempt as well as before the request, whether a revert that a person asks
// for passes it, and the reason why it holds the revert back, "" when it
// doesn't.
type guard struct {
	name         verifier.Guard
	everyAttempt bool
	personPasses bool
	holds        func(f verifier.Facts, l Limits) string
}

// guards are asked in this order, and the first that holds names the reason
// that people read. First comes what makes the revert nobody's business (a
// person decided, the policy only watches, it is a rollback itself), then what
// makes it pointless (something else runs or will run, too late): whoever reads
// those at night has nothing to do, and any later reason would send them to
// roll back by hand over a newer deploy. Then what needs a person to do it
// (it can't be undone, there is nowhere to go, a person said not now). Last come the limits, the
// wider one first: with the brake engaged many services are ill, which says
// more than that this one was reverted an hour ago.
//
// Before an attempt the request is stored already, so irreversible, the choice of
// a target and caps are not asked again: the target is fixed in the request's
// bytes, and only whether it was lost is asked; the caps count the request
// itself. The others may have changed since, or cost
// nothing to repeat where a defect elsewhere would otherwise cause a call: mode
// alone makes shadow safe, loop alone makes a rollback safe.
var guards = []guard{
	{verifier.GuardPerson, true, false, person},
	{verifier.GuardMode, true, true, mode},
	{verifier.GuardMode, true, false, noRollback},
	{verifier.GuardLoop, true, false, loop},
	{verifier.GuardFence, true, false, fence},
	{verifier.GuardExpiry, true, false, expiry},
	{verifier.GuardIrreversible, false, false, irreversible},
	{verifier.GuardTarget, true, false, lostTarget},
	{verifier.GuardTarget, false, false, target},
	{verifier.GuardWindow, true, true, window},
	{verifier.GuardBrake, true, true, brake},
	{verifier.GuardCaps, false, true, caps},
}

// Check asks every guard, before a revert is requested, and for every other
// deployment of the same release.
func Check(f verifier.Facts, l Limits) Ruling {
	all := func(guard) bool { return true }
	r := rule(f, l, all)
	if r.Allowed {
		if held := membersHold(f, l, "", all); !held.Allowed {
			return held
		}
	}
	return r
}

// CheckAttempt asks the guards that must still agree just before a stored
// request is sent, each time that it is sent. revertID is the request's own id:
// the brake doesn't count it, so the revert that engages the brake is itself
// carried out, and every other one is stopped.
func CheckAttempt(f verifier.Facts, revertID string, l Limits) Ruling {
	f.PastReverts = others(f.PastReverts, revertID)
	again := func(g guard) bool { return g.everyAttempt }
	r := rule(f, l, again)
	if r.Allowed {
		if held := membersHold(f, l, revertID, again); !held.Allowed {
			return held
		}
	}
	return r
}

func rule(f verifier.Facts, l Limits, asked func(guard) bool) Ruling {
	l = l.orDefaults()
	var lifted []string
	for _, g := range guards {
		if !asked(g) {
			continue
		}
		reason := g.holds(f, l)
		switch {
		case reason == "":
		case g.personPasses && f.Override != nil && f.Override.Decision == verifier.Revert:
			lifted = append(lifted, liftedName(g.name, f))
		default:
			return Ruling{Guard: g.name, Reason: reason}
		}
	}
	return Ruling{Allowed: true, Lifted: lifted}
}

func liftedName(g verifier.Guard, f verifier.Facts) string {
	if g == verifier.GuardMode {
		return fmt.Sprintf("mode %s", f.Mode)
	}
	return string(g)
}

func others(past []verifier.PastRevert, revertID string) []verifier.PastRevert {
	out := make([]verifier.PastRevert, 0, len(past))
	for _, p := range past {
		if p.RevertID != revertID {
			out = append(out, p)
		}
	}
	return out
}
