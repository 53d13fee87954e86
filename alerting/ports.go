package alerting

import (
	"context"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Outgoing is a delivery with what must be known to send it.
type Outgoing struct {
	Delivery     verifier.Delivery
	Verification verifier.Verification
	Policy       verifier.Policy
	Facts        verifier.Facts // filled for rollbacks only
}

// Change is what an attempt, or the decision not to make one, changes. All of
// it commits together.
type Change struct {
	State    verifier.DeliveryState
	Reason   string              // why it was discarded
	Attempt  *verifier.Attempt   // to be added; one with the same At replaces the earlier one
	Action   *verifier.Action    // the verification's action, where it moved
	Messages []verifier.Delivery // to be sent because of it
}

// Store is what the dispatcher needs of the durable state.
type Store interface {
	// UpdateDelivery reads a delivery with its facts and stores what change
	// makes of it, in one transaction. change must be pure: it may be called
	// again. An unknown id is a verifier.NotFound error.
	UpdateDelivery(ctx context.Context, id string, now time.Time, change func(Outgoing) (Change, error)) error
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
)

// Result is how an attempt went.
type Result struct {
	Outcome    Outcome
	Status     int           // HTTP status; 0 when no answer came
	RetryAfter time.Duration // what the receiver asked for; 0 when nothing
	Err        error         // without secrets; nil when delivered
}

// Metrics is told what happens; cmd/postflight/internal/app turns it into
// Prometheus metrics.
type Metrics interface {
	Attempted(d verifier.Delivery, r Result)
	ActionMoved(v verifier.Verification)
}
