package safety

import (
	"time"

	"github.com/postflight/postflight/verifier"
)

// RevertExpires is how long after its verdict a request may be sent where the
// policy doesn't say.
const RevertExpires = 30 * time.Minute

// Request builds the requested action of a verification and the delivery that
// carries it to the policy's rollback. v must hold the decision to revert, and f
// must have passed Check at now, the moment of that decision; url is the verification's
// page. The delivery's body, and with it the revert's id, target and expiry, is
// fixed here: every attempt sends these bytes.
//
// A verification that isn't to be reverted or facts without a target give an
// Internal error, an action that can't be requested any more a Conflict.
func Request(v verifier.Verification, p verifier.Policy, f verifier.Facts, url string, now time.Time) (verifier.Action, verifier.Delivery, error) {
	reason, wanted := why(v)
	if !wanted {
		return v.Action, verifier.Delivery{}, verifier.Errorf(verifier.Internal, "request revert of %s: neither verdict nor a person says revert", v.ID)
	}
	if f.Target == nil || p.Rollback == "" {
		return v.Action, verifier.Delivery{}, verifier.Errorf(verifier.Internal, "request revert of %s: no target or no rollback, and Check would have said so", v.ID)
	}
	action, err := v.Action.Move(verifier.ActionRequested, "", "", now)
	if err != nil {
		return v.Action, verifier.Delivery{}, err
	}
	action.Rollback, action.TargetVersion = p.Rollback, f.Target.Version
	action.ReleaseID, action.RequestedBy = "", "" // of an earlier request
	action.RevertID, action.RequestedAt = verifier.NewID(verifier.RevertPrefix), &now
	if v.PersonSays() == nil {
		counted := countedAt(f, now)
		action.AutomaticAt = &counted
	}

	expires := p.RevertExpires.D()
	if expires <= 0 {
		expires = RevertExpires
	}
	request := verifier.RevertRequest{
		Type: string(verifier.EventRevert), RevertID: action.RevertID, VerificationID: v.ID,
		Service: v.Deployment.Service, Environment: v.Deployment.Environment,
		ExpectedCurrentVersion: v.Deployment.Version, TargetVersion: action.TargetVersion,
		Reason: reason, ExpiresAt: now.Add(expires).UTC(), URL: url,
	}
	if together(v, f) {
		action.ReleaseID, request.ReleaseID, request.Services = v.Deployment.ReleaseID, v.Deployment.ReleaseID, services(v.Deployment, f)
	}
	body, err := request.Body()
	if err != nil {
		return v.Action, verifier.Delivery{}, err
	}
	return action, verifier.Delivery{
		ID: verifier.NewID(verifier.DeliveryPrefix), VerificationID: v.ID, Kind: verifier.RollbackDelivery,
		Receiver: p.Rollback, Event: verifier.EventRevert, State: verifier.DeliveryPending,
		CreatedAt: now, Key: action.RevertID, Body: body,
	}, nil
}

// countedAt is when caps and brake count a revert that is requested now: after
// the last unfreeze and release, whatever a clock that was set back says, or
// they would hold nothing until it has caught up.
func countedAt(f verifier.Facts, now time.Time) time.Time {
	for _, after := range []time.Time{f.UnfrozenAt, f.BrakeReleasedAt} {
		if !now.After(after) {
			now = after.Add(time.Microsecond)
		}
	}
	return now
}

// why is the reason of a revert in one sentence, and whether one is wanted.
func why(v verifier.Verification) (reason string, wanted bool) {
	if o := v.PersonSays(); o != nil {
		return o.Sentence(), o.Decision == verifier.Revert
	}
	if v.Verdict == nil {
		return "", false
	}
	return v.Verdict.Summary, v.Verdict.Decision == verifier.Revert
}
