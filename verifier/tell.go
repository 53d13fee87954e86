package verifier

import (
	"slices"
	"time"
)

// Change is a kind of news that a receiver may want to be told of.
type Change string

// The changes, as configurations write them.
const (
	ChangeDeploy       Change = "deploy"       // a deploy was seen, and is watched from now on
	ChangeCleared      Change = "cleared"      // waiting pipelines may go on
	ChangeKeep         Change = "keep"         // the verdicts
	ChangeRevert       Change = "revert"       //
	ChangeInconclusive Change = "inconclusive" //
	ChangeSuperseded   Change = "superseded"   // a newer deploy came before the verdict
	ChangeCancelled    Change = "cancelled"    // a person ended it before the verdict
	ChangeAction       Change = "action"       // the rollback goes as it should, or a person decided otherwise
	ChangeEscalation   Change = "escalation"   // somebody has to look now, for nothing else will
)

// UsualChanges are what a receiver is told that says nothing about it: each
// change of a verification but that it began.
var UsualChanges = []Change{
	ChangeCleared, ChangeKeep, ChangeRevert, ChangeInconclusive, ChangeSuperseded, ChangeCancelled, ChangeAction, ChangeEscalation,
}

// Wants reports whether the policy's receiver of that name is to be told of a
// change.
func (p Policy) Wants(receiver string, c Change) bool {
	wanted, said := p.Tell[receiver]
	if !said {
		wanted = UsualChanges
	}
	return slices.Contains(wanted, c)
}

// Tells reports whether the policy's receiver of that name is to be told of an
// event.
func (p Policy) Tells(receiver string, e Event) bool {
	return slices.ContainsFunc(e.Changes(), func(c Change) bool { return p.Wants(receiver, c) })
}

// NewEvent makes the event that tells of what happened, with the verification
// as it stands after the change.
func NewEvent(t EventType, v Verification, p Policy, now time.Time) Event {
	v.Deliveries = []Delivery{} // a message doesn't tell of messages
	return Event{Type: t, Timestamp: now.UTC(), Urgent: urgent(t, v, p), Data: v}
}

// Changes returns what the event tells: a verdict that needs a person, such as
// a revert that a guard withheld, is an escalation as well.
func (e Event) Changes() []Change {
	v := e.Data
	switch e.Type {
	case EventOpened:
		return []Change{ChangeDeploy}
	case EventCleared:
		return []Change{ChangeCleared}
	case EventSuperseded:
		return []Change{ChangeSuperseded}
	case EventCancelled:
		return []Change{ChangeCancelled}
	case EventActionChanged:
		if v.Escalates() {
			return []Change{ChangeEscalation}
		}
		return []Change{ChangeAction}
	case EventDecided:
		if v.Verdict == nil {
			return nil
		}
		c := []Change{Change(v.Verdict.Decision)}
		if v.Escalates() || v.Verdict.Decision == Inconclusive && e.Urgent {
			c = append(c, ChangeEscalation)
		}
		return c
	}
	return nil
}

// Escalates reports whether a revert was reached and nobody but a person will
// carry it out: a guard withheld it, or the rollback came to nothing. What
// shadow mode withholds was meant to be, and so is what a person withholds.
func (v Verification) Escalates() bool {
	a := v.Action
	if a.State == ActionUnconfirmed {
		return true // whatever a person says, what runs isn't known
	}
	if v.PersonSays() != nil && v.Effective == Keep {
		return false
	}
	switch a.State {
	case ActionFailed, ActionDeclined, ActionExpired:
		return true
	case ActionWithheld:
		return a.Guard != GuardMode && a.Guard != GuardPerson
	}
	return false
}

// Telling is what the templates of messages see: what happened, the words that
// would be said without a template, and the record of the verification.
type Telling struct {
	Event  EventType
	At     time.Time // when it happened
	Urgent bool      // somebody should look now
	Title  string    // the first line in postflight's own words
	Text   string    // what comes below it
	Verification
}

// Change returns what is told, as a word of a receiver's `on`; of a verdict that
// needs a person it is the escalation.
func (t Telling) Change() Change {
	is := Event{Type: t.Event, Timestamp: t.At, Urgent: t.Urgent, Data: t.Verification}.Changes()
	if len(is) == 0 {
		return ""
	}
	return is[len(is)-1]
}
