package engine

import (
	"context"
	"sync"
	"time"
)

// briefly is how long a look waits for a source at least, where others wait for
// its place.
const briefly = 250 * time.Millisecond

// waiters are the looks that wait for sources that read on without them. A slow
// one would hold all places, and make every look late, also at what answers at
// once: so where places run out, nobody waits for it any longer, and the next
// looks take what it has answered by then.
type waiters struct {
	mu    sync.Mutex
	under map[*waiter]bool
}

type waiter struct {
	began time.Time
	end   context.CancelCauseFunc
}

// begin returns the context of a wait that lasts most of an interval, for the
// next look is due then, and what ends it.
func (w *waiters) begin(ctx context.Context, interval time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeout(ctx, interval-interval/4)
	one := &waiter{time.Now(), cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.under == nil {
		w.under = map[*waiter]bool{}
	}
	w.under[one] = true
	return ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.under, one)
		stop()
		cancel(nil)
	}
}

// hurry ends the waits that have lasted for a moment.
func (w *waiters) hurry() {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.under {
		if now.Sub(one.began) >= briefly {
			one.end(context.DeadlineExceeded)
		}
	}
}
