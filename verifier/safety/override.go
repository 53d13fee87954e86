package safety

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Override says what a person's decision makes of a verification, whatever
// state it is in, with the messages about it. v holds its deliveries with
// their attempts; url is its page. A keep discards a rollback request that was
// not sent; what was sent can't be recalled, and the outcome says so. A revert
// asks the guards, of which it passes some, and requests a rollback where they
// agree. The request's expiry counts from o.At.
//
// A verification that takes no such decision any more is a Conflict.
func Override(v verifier.Verification, p verifier.Policy, f verifier.Facts, o verifier.Override, l Limits, url string) (verifier.Overruling, error) {
	before := v
	v, err := v.Overrule(o)
	if err != nil {
		return verifier.Overruling{}, err
	}
	c := verifier.Overruling{Verification: v, Audit: verifier.AuditEntry{
		At: o.At, By: o.By, Action: verifier.AuditOverride, Service: v.Deployment.Service, Environment: v.Deployment.Environment,
		Subject: v.ID, Decision: string(o.Decision), Reason: o.Reason,
	}}
	switch o.Decision {
	case verifier.Cancel:
		c.Outcome = fmt.Sprintf("%s is not watched any more and gets no verdict.", v.Deployment.Version)
	case verifier.Keep:
		err = keep(&c, o)
	default:
		f.Override, f.ExpiresAt, f.TargetLost = &o, time.Time{}, "" // of an earlier request
		err = revert(&c, p, f, o, l, url)
	}
	if err != nil {
		return verifier.Overruling{}, err
	}
	if c.Verification.Override != nil {
		o.Outcome = c.Outcome
		c.Verification.Override = &o
	}
	event := changed(before, c.Verification)
	if event == "" {
		return c, nil
	}
	messages, err := verifier.Messages(event, c.Verification, p, o.At)
	c.Deliveries = append(c.Deliveries, messages...)
	return c, err
}

// changed names what people and systems are told; "" is nothing new.
func changed(before, after verifier.Verification) verifier.EventType {
	switch {
	case after.State == verifier.StateCancelled:
		return verifier.EventCancelled
	case before.Verdict == nil:
		return verifier.EventDecided
	case before.Effective != after.Effective || !reflect.DeepEqual(before.Action, after.Action):
		return verifier.EventActionChanged
	}
	return ""
}

// keep stops what can still be stopped.
func keep(c *verifier.Overruling, o verifier.Override) error {
	v := &c.Verification
	a := v.Action
	switch a.State {
	case verifier.ActionRequested:
		return stop(c, o)
	case verifier.ActionAccepted, verifier.ActionUnconfirmed:
		c.Outcome = fmt.Sprintf("The request to roll back to %s%s was taken by %s and can't be recalled: to stay on %s, stop it there or deploy %s again.",
			a.TargetVersion, sent(request(*v), ", already sent at %s,", o), a.Rollback, v.Deployment.Version, v.Deployment.Version)
	case verifier.ActionConfirmed:
		c.Outcome = fmt.Sprintf("%s was rolled back to %s already: it counts as good from now on, and comes back by being deployed again.",
			v.Deployment.Version, a.TargetVersion)
	case verifier.ActionNone, verifier.ActionWithheld, "":
		c.Outcome = "No rollback was requested, and none will be."
	default:
		c.Outcome = fmt.Sprintf("No rollback is under way: the last request%s is %s.", sent(request(*v), ", sent at %s,", o), a.State)
	}
	return nil
}

// stop ends a rollback that was requested. While a call runs its answer is
// waited for, since it may bring the target back; the guard person then stops
// every later one.
func stop(c *verifier.Overruling, o verifier.Override) error {
	v := &c.Verification
	r := request(*v)
	if v.Action.ReleaseID != "" {
		c.Outcome = fmt.Sprintf("The request to roll back the release %s%s: no call is begun any more, for none of its services.",
			v.Action.ReleaseID, sent(r, " was already sent at %s", o))
		return nil // the guard person stops the next attempt, for all of them together
	}
	if r == nil {
		return verifier.Errorf(verifier.Internal, "stop revert %s: its request is not stored", v.Action.RevertID)
	}
	to := verifier.ActionWithheld
	n := len(r.Attempts)
	switch {
	case n == 0:
		c.Outcome = fmt.Sprintf("The request to roll back to %s was not sent yet and is discarded: nothing was called.", v.Action.TargetVersion)
	case r.Attempts[n-1].Result == verifier.AttemptStarted:
		c.Outcome = fmt.Sprintf("The request to roll back to %s%s and can't be recalled; it is not sent again.",
			v.Action.TargetVersion, sent(r, " was already sent at %s", o))
		return nil
	default:
		to = verifier.ActionFailed
		c.Outcome = fmt.Sprintf("The request to roll back to %s%s without being taken; that can't be recalled, and it is not sent again.",
			v.Action.TargetVersion, sent(r, " was already sent at %s", o))
	}
	action, err := v.Action.Move(to, verifier.GuardPerson, o.Sentence(), o.At)
	if err != nil {
		return err
	}
	v.Action = action
	discarded := *r
	discarded.State, discarded.Reason = verifier.DeliveryDiscarded, o.Sentence()
	c.Discarded = &discarded
	return nil
}

// request is the delivery that carries the action's revert; nil when there is
// none.
func request(v verifier.Verification) *verifier.Delivery {
	i := slices.IndexFunc(v.Deliveries, func(d verifier.Delivery) bool {
		return d.Kind == verifier.RollbackDelivery && d.Key == v.Action.RevertID
	})
	if i < 0 {
		return nil
	}
	return &v.Deliveries[i]
}

// sent says in the format's words when a request was sent last; "" when it
// never was.
func sent(r *verifier.Delivery, format string, o verifier.Override) string {
	if r == nil || len(r.Attempts) == 0 {
		return ""
	}
	return fmt.Sprintf(format, clock(r.Attempts[len(r.Attempts)-1].At, o.At))
}

// revert requests a rollback, if the guards that a person can't pass agree.
func revert(c *verifier.Overruling, p verifier.Policy, f verifier.Facts, o verifier.Override, l Limits, url string) error {
	v := &c.Verification
	a := v.Action
	switch {
	case a.Open():
		c.Outcome = fmt.Sprintf("A rollback to %s, %s, is under way already (%s).", a.TargetVersion, a.RevertID, a.State)
		return nil
	case a.State == verifier.ActionConfirmed:
		c.Outcome = fmt.Sprintf("%s was rolled back to %s already.", v.Deployment.Version, a.TargetVersion)
		return nil
	case a.State == verifier.ActionExpired:
		c.Outcome = "The earlier revert expired and is not taken up again. " + byHand(a.Guard, f)
		return nil
	}
	ruling := Check(f, l)
	if !ruling.Allowed {
		return withhold(c, ruling, f, o)
	}
	action, request, err := Request(*v, p, f, url, o.At)
	if err != nil {
		return err
	}
	action.Reason = askedFor(o, ruling)
	v.Action, c.Deliveries = action, append(c.Deliveries, request)
	c.Outcome = fmt.Sprintf("A rollback to %s is requested from %s: %s.", action.TargetVersion, action.Rollback, action.Reason)
	return nil
}

// askedFor is the action's reason, "dana asked for it; it lifted mode shadow".
func askedFor(o verifier.Override, r Ruling) string {
	if len(r.Lifted) == 0 {
		return o.By + " asked for it"
	}
	return o.By + " asked for it; it lifted " + strings.Join(r.Lifted, ", ")
}

// withhold writes down which guard held a person's revert back. What was sent
// once is not withheld: it stays how it ended.
func withhold(c *verifier.Overruling, r Ruling, f verifier.Facts, o verifier.Override) error {
	v := &c.Verification
	c.Outcome = fmt.Sprintf("The guard %s holds the rollback back, and a person's revert doesn't lift it: %s %s", r.Guard, r.Reason, byHand(r.Guard, f))
	if v.Action.State != verifier.ActionNone && v.Action.State != verifier.ActionWithheld {
		return nil
	}
	action, err := v.Action.Move(verifier.ActionWithheld, r.Guard, r.Reason, o.At)
	if err != nil {
		return err
	}
	if f.Target != nil {
		action.TargetVersion = f.Target.Version
	}
	v.Action = action
	return nil
}

// byHand is what is left to whoever still wants to go back. Nobody is sent to
// roll back over a newer deploy.
func byHand(g verifier.Guard, f verifier.Facts) string {
	switch {
	case g == verifier.GuardFence:
		return "Look at what runs now."
	case g == verifier.GuardLoop && f.Deployment.Rollback:
		return "Look at the service itself: the cause may be elsewhere."
	case f.Target == nil:
		return "To go back all the same, deploy a version that you trust with your pipeline."
	}
	return fmt.Sprintf("To go back all the same, deploy %s with your pipeline.", f.Target.Version)
}
