package alerting

import (
	"fmt"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// backoffs are the receivers of digests that took nothing the last time: their
// messages stand back together, so that one call and not one for each message
// finds out whether they take any. They are lost with the process, and each
// replica has its own: the first call after that finds out anew.
type backoffs struct {
	mu sync.Mutex
	of map[string]backedOff
}

type backedOff struct {
	receiver Receiver // as it was configured: a reload may have mended it
	rounds   int      // that failed in a row
	until    time.Time
}

// left is how long a receiver is left alone yet.
func (b *backoffs) left(name string, r Receiver, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if off := b.of[name]; off.receiver == r {
		return max(off.until.Sub(now), 0)
	}
	return 0
}

// heard notes how a call went, and returns how long after it the next may be.
// A message that is urgent goes its own way: it says only that others may go.
func (b *backoffs) heard(d verifier.Delivery, r Receiver, result Result, now time.Time) time.Duration {
	if _, digests := r.(Digester); !digests || d.Kind == verifier.RollbackDelivery {
		return result.RetryAfter
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case result.Outcome != Retry:
		delete(b.of, d.Receiver)
		return result.RetryAfter
	case isUrgent(d):
		return result.RetryAfter
	case b.of == nil:
		b.of = map[string]backedOff{}
	}
	off := b.of[d.Receiver]
	if off.receiver != r {
		off = backedOff{receiver: r}
	}
	if !now.Before(off.until) { // those that were on their way at once are one round
		off.rounds++
	}
	if until := now.Add(waitAfter(off.rounds, result.RetryAfter)); until.After(off.until) {
		off.until = until
	}
	b.of[d.Receiver] = off
	return off.until.Sub(now)
}

// standsBack lets a message wait until its receiver may be called, but for no
// longer than messages are tried.
func standsBack(o verifier.Outgoing, wait time.Duration, now time.Time) step {
	left, n := o.Delivery.CreatedAt.Add(messageFor).Sub(now), len(o.Delivery.Attempts)
	switch {
	case left > 0:
		return step{again: min(wait, left)}
	case n > 0:
		return step{}.discard(fmt.Sprintf("given up after %d attempts in %s: %s", n, messageFor, o.Delivery.Attempts[n-1].Error))
	}
	return start(o, now)
}
