package alerting

import (
	"context"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Store is what the dispatcher needs of the durable state.
type Store interface {
	// UpdateDelivery reads a delivery with its facts and stores what change
	// makes of it, in one transaction. change must be pure: it may be called
	// again. An unknown id is a verifier.NotFound error.
	UpdateDelivery(ctx context.Context, id string, now time.Time, change verifier.DeliveryChangeFunc) error
	// Inbox reads how many messages a receiver took since then, those of one
	// digest being one, and which wait for it, at most limit of them.
	Inbox(ctx context.Context, receiver string, since time.Time, limit int) (verifier.Inbox, error)
}

// Receiver sends deliveries to one kind of system. It never retries on its
// own: it makes one attempt and classifies how that went.
type Receiver interface {
	Send(ctx context.Context, d verifier.Delivery) Result
}

// Outcome classifies an attempt.
type Outcome string

// The outcomes of an attempt.
const (
	Delivered Outcome = "delivered" // 2xx
	Declined  Outcome = "declined"  // 409, 412: the receiver's state differs; rollbacks only
	Retry     Outcome = "retry"     // may go through later: no answer, 429, 5xx
	Rejected  Outcome = "failed"    // will never go through: any other answer
	Skipped   Outcome = "skipped"   // nobody was called: there is nothing to send, see Skipper
)

// Result is how an attempt went.
type Result struct {
	Outcome    Outcome
	Status     int           // HTTP status; 0 when no answer came
	RetryAfter time.Duration // what the receiver asked for; 0 when nothing
	Err        error         // without secrets; nil when delivered, except to say whom it did not reach
	// Reference is what the receiver calls the message, where it may be changed
	// later on; the next delivery about the same verification brings it along as
	// Delivery.Earlier.
	Reference string
}

// Editor is a receiver that has one message for each verification, which later
// deliveries change.
type Editor interface {
	Receiver
	// Edits reports whether this one does, as it is configured.
	Edits() bool
}

// Skipper is a receiver that can't tell of every deploy: it needs to know
// something of it that not every source tells, such as its commit.
type Skipper interface {
	Receiver
	// Skips says what of the deploy isn't known; "" where the delivery can be
	// sent. It calls nobody.
	Skips(d verifier.Delivery) string
}

// Prober is a receiver that can be asked, without telling it anything, whether
// it would take what it is sent.
type Prober interface {
	Receiver
	// Probe asks once and returns what is known by that; an error is why it would
	// take nothing, without secrets.
	Probe(ctx context.Context) (said string, err error)
}

// Display is a receiver that shows one state for each verification, the one
// that it was told last: a commit status, an alert.
type Display interface {
	Receiver
	// ShowsState reports whether that delivery changes the state.
	ShowsState(d verifier.Delivery) bool
}

// Digester is a receiver for people, who read no hundred messages a minute.
type Digester interface {
	Receiver
	// SendDigest makes one attempt at telling of several deliveries in one
	// message, oldest first.
	SendDigest(ctx context.Context, d []verifier.Delivery) Result
}

// Metrics is told what happens; cmd/postflight/internal/app turns it into
// Prometheus metrics.
type Metrics interface {
	Attempted(d verifier.Delivery, r Result)
	ActionMoved(v verifier.Verification)
}
