package alerting

import (
	"time"

	"github.com/postflight/postflight/verifier"
)

// start stores the next attempt before it is made, so that a crash leaves a
// trace of it.
func start(o verifier.Outgoing, now time.Time) step {
	// Databases keep microseconds; At identifies the attempt, so it must come
	// back as it went in, and differ from the one before.
	at := now.UTC().Truncate(time.Microsecond)
	if n := len(o.Delivery.Attempts); n > 0 && !at.After(o.Delivery.Attempts[n-1].At) {
		at = o.Delivery.Attempts[n-1].At.Add(time.Millisecond)
	}
	attempt := verifier.Attempt{At: at, Result: verifier.AttemptStarted}
	return step{
		change: verifier.DeliveryChange{Attempt: &attempt},
		try:    &try{delivery: o.Delivery, attempt: attempt, number: len(o.Delivery.Attempts) + 1},
	}
}

// done returns the attempt as it ended.
func (t *try) done(r Result, now time.Time) *verifier.Attempt {
	a := t.attempt
	a.Duration = verifier.Duration(max(now.Sub(a.At), 0).Round(time.Millisecond))
	a.Status, a.Result, a.Reference = r.Status, string(r.Outcome), r.Reference
	if r.Err != nil {
		a.Error = r.Err.Error()
	}
	return &a
}

// underWay reports whether the attempt is still the delivery's last one and has
// no end. Whoever was paused for so long that another made the next attempt
// can't tell any more what became of the delivery.
func (t *try) underWay(d verifier.Delivery) bool {
	n := len(d.Attempts)
	return n > 0 && d.Attempts[n-1].At.Equal(t.attempt.At) && d.Attempts[n-1].Result == verifier.AttemptStarted
}

// discard gives a delivery up.
func (s step) discard(reason string) step {
	s.change.State, s.change.Reason = verifier.DeliveryDiscarded, reason
	return s
}
