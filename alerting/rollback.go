package alerting

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

// beginRollback asks the guards with the facts of this moment, and starts an
// attempt or ends the action.
func beginRollback(o verifier.Outgoing, l safety.Limits, now time.Time) (step, error) {
	if !waits(o) {
		return step{}.discard(overtaken(o)), nil
	}
	var request verifier.RevertRequest
	if err := json.Unmarshal(o.Delivery.Body, &request); err != nil {
		return step{}.end(o, verifier.ActionFailed, "", "the stored request can't be read: "+err.Error(), now)
	}
	// The receiver was told when the request expires, so that is what counts.
	o.Facts.Now, o.Facts.ExpiresAt = now, request.ExpiresAt
	ruling := safety.CheckAttempt(o.Facts, o.Delivery.Key, l)
	if !ruling.Allowed {
		return step{}.end(o, ruling.Ends(len(o.Delivery.Attempts) > 0), ruling.Guard, ruling.Reason, now)
	}
	if n := len(o.Delivery.Attempts); n >= maxCalls {
		return step{}.end(o, verifier.ActionFailed, "", fmt.Sprintf("%s gave no usable answer in %d attempts; how the last one ended isn't known", o.Delivery.Receiver, n), now)
	}
	s := start(o, now)
	s.try.ruling, s.try.expires = ruling, request.ExpiresAt
	return s, nil
}

// finishRollback moves the action by how the call went. Where the action moved
// on while the call ran (its target went live, or a newer deploy came), that
// is the newer truth, and only the delivery ends.
func finishRollback(s step, o verifier.Outgoing, t *try, r Result, now time.Time) (step, error) {
	name := o.Delivery.Receiver
	switch r.Outcome {
	case Delivered:
		s.change.State = verifier.DeliveryDelivered
		return s.move(o, verifier.ActionAccepted, "", fmt.Sprintf("%s took the request (status %d)", name, r.Status), now)
	case Declined:
		return s.end(o, verifier.ActionDeclined, "", fmt.Sprintf("%s declined the request: %v", name, r.Err), now)
	case Retry:
		if !waits(o) {
			return s.discard(overtaken(o)), nil
		}
		if t.number >= maxCalls {
			return s.end(o, verifier.ActionFailed, "", fmt.Sprintf("%s could not be reached in %d attempts, the last: %v", name, t.number, r.Err), now)
		}
		s.change.State = verifier.DeliveryRetryable
		// Just after the expiry the guards end the action and tell people.
		expired := t.expires.Add(time.Second).Sub(now)
		s.again = max(min(waitAfter(t.number, r.RetryAfter), expired), time.Second)
		return s, nil
	default:
		return s.end(o, verifier.ActionFailed, "", fmt.Sprintf("%s refused the request: %v", name, r.Err), now)
	}
}

// waits reports whether the action still waits for this very delivery.
func waits(o verifier.Outgoing) bool {
	a := o.Verification.Action
	return a.State == verifier.ActionRequested && a.RevertID == o.Delivery.Key
}

func overtaken(o verifier.Outgoing) string {
	a := o.Verification.Action
	if a.RevertID != o.Delivery.Key {
		return fmt.Sprintf("not needed any more: revert %s came after it", a.RevertID)
	}
	return fmt.Sprintf("not needed any more: the action is %s (%s)", a.State, a.Reason)
}

// end discards the delivery and moves the action to its last state, with the
// same reason.
func (s step) end(o verifier.Outgoing, to verifier.ActionState, guard verifier.Guard, reason string, now time.Time) (step, error) {
	return s.discard(reason).move(o, to, guard, reason, now)
}

// move moves the action on and tells of it, unless it has moved already; with
// it those of the release that go back by the same request.
func (s step) move(o verifier.Outgoing, to verifier.ActionState, guard verifier.Guard, reason string, now time.Time) (step, error) {
	if !waits(o) {
		return s, nil
	}
	v, messages, err := moved(o.Verification, o.Policy, to, guard, reason, now)
	if err != nil {
		return step{}, err
	}
	s.change.Action, s.change.Messages, s.moved = &v.Action, messages, []verifier.Verification{v}
	for _, m := range o.Facts.Release {
		if m.Verification == nil || m.Verification.Action.State != verifier.ActionRequested || m.Verification.Action.RevertID != o.Delivery.Key {
			continue // it moved on by itself
		}
		its, told, err := moved(*m.Verification, m.Policy, to, guard, reason, now)
		if err != nil {
			return step{}, err
		}
		s.change.Members, s.change.Messages, s.moved = append(s.change.Members, its), append(s.change.Messages, told...), append(s.moved, its)
	}
	return s, nil
}

func moved(v verifier.Verification, p verifier.Policy, to verifier.ActionState, guard verifier.Guard, reason string, now time.Time) (verifier.Verification, []verifier.Delivery, error) {
	action, err := v.Action.Move(to, guard, reason, now)
	if err != nil {
		return v, nil, err
	}
	v.Action = action
	messages, err := verifier.Messages(verifier.EventActionChanged, v, p, now)
	return v, messages, err
}
