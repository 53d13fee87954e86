package verifier

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// DeliveryState says how far a message or a rollback request is.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryRetryable DeliveryState = "retryable" // an attempt failed, another will follow
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryDiscarded DeliveryState = "discarded" // given up, with its reason
)

// DeliveryKind tells messages from rollback calls: they queue apart, so that a
// failing notifier delays no rollback.
type DeliveryKind string

// The kinds of deliveries.
const (
	MessageDelivery  DeliveryKind = "message"
	RollbackDelivery DeliveryKind = "rollback"
)

// Delivery is one message to one receiver, or one rollback request. Its body is
// fixed when it is stored: every attempt sends the same bytes.
type Delivery struct {
	ID             string        `json:"id"` // the webhook-id of every attempt
	VerificationID string        `json:"-"`
	Kind           DeliveryKind  `json:"kind"`
	Receiver       string        `json:"receiver"` // name of the receiver or rollback
	Event          EventType     `json:"event"`
	State          DeliveryState `json:"state"`
	Reason         string        `json:"reason,omitempty"` // why it was discarded
	CreatedAt      time.Time     `json:"created_at"`
	Key            string        `json:"key,omitempty"` // Idempotency-Key; the revert id for rollbacks
	Body           []byte        `json:"-"`
	// Earlier is what the receiver called its message about the same
	// verification; "" where it has none that can be changed.
	Earlier  string    `json:"-"`
	Attempts []Attempt `json:"attempts"`
}

// SkippedBecause begins the reason of a delivery that was discarded because
// there was nothing to send: nobody was called, and nobody refused it.
const SkippedBecause = "skipped: "

// Skipped reports whether it was discarded for want of something to send.
func (d Delivery) Skipped() bool {
	return d.State == DeliveryDiscarded && strings.HasPrefix(d.Reason, SkippedBecause)
}

// Attempt is one try of a delivery.
type Attempt struct {
	At       time.Time `json:"at"`
	Duration Duration  `json:"duration"`
	Status   int       `json:"status,omitempty"` // HTTP status; 0 when no answer came
	Result   string    `json:"result"`           // started, delivered, retry, declined, failed, skipped
	Error    string    `json:"error,omitempty"`
	// Reference is what the receiver calls the message, where it can be changed.
	Reference string `json:"reference,omitempty"`
}

// AttemptStarted is the result of an attempt whose end isn't known: it runs, or
// the process died while it ran.
const AttemptStarted = "started"

// EventType names a change that people and systems are told of.
type EventType string

// The events of a verification.
const (
	EventOpened        EventType = "verification.opened"
	EventCleared       EventType = "verification.cleared"
	EventDecided       EventType = "verification.decided"
	EventSuperseded    EventType = "verification.superseded"
	EventCancelled     EventType = "verification.cancelled"
	EventActionChanged EventType = "action.changed"
	EventRevert        EventType = "revert.requested"
)

// Event is what a webhook receiver gets, once per change.
type Event struct {
	Type      EventType `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	// Urgent: somebody should look now. It is what on_inconclusive sets for an
	// inconclusive verdict.
	Urgent bool         `json:"urgent"`
	Data   Verification `json:"data"`
}

// urgent reports whether what happened needs a person now: a revert, whether it
// is carried out, held back or came to nothing, and an inconclusive verdict
// where the policy says so. A rollback on its way or confirmed does not.
func urgent(event EventType, v Verification, p Policy) bool {
	switch {
	case event == EventDecided && v.Verdict != nil:
		return v.Verdict.Decision == Revert || v.Verdict.Decision == Inconclusive && p.OnInconclusive == InconclusivePage
	case event == EventActionChanged:
		return v.Action.State != ActionAccepted && v.Action.State != ActionConfirmed
	}
	return false
}

// Messages makes one delivery for each of the policy's receivers that wants to
// be told of the event, with the verification as it stands after the change.
func Messages(event EventType, v Verification, p Policy, now time.Time) ([]Delivery, error) {
	e := NewEvent(event, v, p, now)
	var body []byte
	var out []Delivery
	for _, r := range p.Receivers {
		if !p.Tells(r, e) {
			continue
		}
		if body == nil {
			var err error
			if body, err = json.Marshal(e); err != nil {
				return nil, fmt.Errorf("write event %s of %s: %w", event, v.ID, err)
			}
		}
		out = append(out, Delivery{
			ID: NewID(DeliveryPrefix), VerificationID: v.ID, Kind: MessageDelivery, Receiver: r,
			Event: event, State: DeliveryPending, CreatedAt: now, Body: body,
		})
	}
	return out, nil
}
