package alerting

import (
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// thread is a message among the others to its receiver about the same
// verification.
type thread struct {
	verifier.Outgoing
	receiver Receiver
}

// ordered reports whether the order of the messages decides what the receiver
// shows in the end, and so is kept.
func (t thread) ordered() bool { return t.edits() || t.shows(t.Delivery) }

func (t thread) edits() bool {
	e, ok := t.receiver.(Editor)
	return ok && e.Edits()
}

func (t thread) shows(d verifier.Delivery) bool {
	s, ok := t.receiver.(Display)
	return ok && s.ShowsState(d)
}

// counts reports whether another message changes what this one does.
func (t thread) counts(d verifier.Delivery) bool { return t.edits() || t.shows(d) }

func (t thread) later(d verifier.Delivery) bool { return d.CreatedAt.After(t.Delivery.CreatedAt) }

// skips says what of the deploy isn't known that the receiver needs, where it
// was asked once already: each deploy is told of once, for what its source
// doesn't tell with the first change comes with no other either.
func (t thread) skips() string {
	s, ok := t.receiver.(Skipper)
	if !ok || !slices.ContainsFunc(t.Thread, func(d verifier.Delivery) bool { return d.Skipped() }) {
		return ""
	}
	return s.Skips(t.Delivery)
}

// overtaken reports whether the receiver took a later message, after which this
// one would only mislead.
func (t thread) overtaken() bool {
	return slices.ContainsFunc(t.Thread, func(d verifier.Delivery) bool {
		return d.State == verifier.DeliveryDelivered && t.later(d) && t.overtakes(d)
	})
}

// overtakes reports whether a later message that was taken leaves nothing for
// this one to say. What is urgent was not told by a line in a digest.
func (t thread) overtakes(d verifier.Delivery) bool {
	_, digests := t.receiver.(Digester)
	switch {
	case !t.ordered():
		return digests && isNews(t.Delivery)
	case !t.counts(d):
		return false
	case digests && isUrgent(t.Delivery):
		return isUrgent(d) || byItself(d) && settles(d)
	}
	return true
}

// waits reports whether a message about the same verification is being sent, or
// an earlier one is about to: how the receiver would show them isn't known. One
// that failed is not waited for, and what is urgent waits for nothing calm that
// has not begun.
func (t thread) waits(now time.Time) bool {
	return t.ordered() && slices.ContainsFunc(t.Thread, func(d verifier.Delivery) bool {
		return t.counts(d) && !ended(d) && (underWay(d, now) || t.earlier(d) && toCome(d) && (isUrgent(d) || !isUrgent(t.Delivery)))
	})
}

func (t thread) earlier(d verifier.Delivery) bool { return d.CreatedAt.Before(t.Delivery.CreatedAt) }

// toCome reports whether a message was not tried yet.
func toCome(d verifier.Delivery) bool {
	return d.State == verifier.DeliveryPending && len(d.Attempts) == 0
}

// isNews reports whether a message tells only that a deploy is being watched:
// after anything later it says what isn't so any more.
func isNews(d verifier.Delivery) bool {
	return (d.Event == verifier.EventOpened || d.Event == verifier.EventCleared) && !isUrgent(d)
}

// byItself reports whether a message was taken as one, and in no digest, by a
// receiver whose messages can be changed.
func byItself(d verifier.Delivery) bool {
	return len(d.Attempts) > 0 && d.Attempts[len(d.Attempts)-1].Reference != ""
}

// settles reports whether a message leaves nobody anything to do about a revert.
func settles(d verifier.Delivery) bool {
	e, err := Read(d)
	if err != nil {
		return false
	}
	done := e.Data.Action.State == verifier.ActionConfirmed || e.Data.Action.State == verifier.ActionFenced
	return done || e.Data.Effective == verifier.Keep
}
