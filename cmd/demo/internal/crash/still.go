package crash

import (
	"context"
	"sync/atomic"
	"time"
)

// stoodStill is how long nothing at all may run before a run says nothing of
// the daemon any more: the machine was suspended, or something else had it.
const stoodStill = 5 * time.Second

// watchdog measures for how long nothing ran.
type watchdog struct{ longest atomic.Int64 }

// watch looks until ctx ends.
func (w *watchdog) watch(ctx context.Context) {
	tick := time.NewTicker(stoodStill / 20)
	defer tick.Stop()
	for last := time.Now(); ; last = time.Now() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if gap := time.Since(last); int64(gap) > w.longest.Load() {
				w.longest.Store(int64(gap))
			}
		}
	}
}

// gap is how long the machine stood still, 0 where it didn't.
func (w *watchdog) gap() Milliseconds {
	if gap := time.Duration(w.longest.Load()); gap > stoodStill {
		return Milliseconds(gap.Milliseconds())
	}
	return 0
}
