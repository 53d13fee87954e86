package alerting

import (
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
)

// finishMessage ends a message or asks for another attempt. Messages may
// repeat and must not be lost: they are tried for a day.
func finishMessage(s step, o verifier.Outgoing, t *try, r Result, now time.Time) step {
	s.change.Folded = t.unfold(r, now)
	switch r.Outcome {
	case Delivered:
		s.change.State = verifier.DeliveryDelivered
		return s
	case Retry:
		left := o.Delivery.CreatedAt.Add(messageFor).Sub(now)
		if left <= 0 {
			return s.discard(fmt.Sprintf("given up after %d attempts in %s: %v", t.number, messageFor, r.Err))
		}
		s.change.State = verifier.DeliveryRetryable
		s.again = min(waitAfter(t.number, r.RetryAfter), left)
		return s
	case Skipped:
		return s.discard(verifier.SkippedBecause + r.Err.Error())
	default: // Declined has no meaning for a message
		return s.discard(fmt.Sprintf("refused by %s: %v", o.Delivery.Receiver, r.Err))
	}
}
