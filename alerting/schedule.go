package alerting

import (
	"math/rand/v2"
	"time"
)

// backoff is the time from an attempt to the next, before jitter. Five waits
// make six attempts: the first comes at once.
var backoff = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}

const (
	// maxCalls is how often a rollback is called at most. It sums to 18
	// minutes, within the 30 that a request lives by default.
	maxCalls = 6
	// messageEvery is how often a message is tried after the first six
	// attempts, and messageFor when it is given up, counted from its making.
	messageEvery = 30 * time.Minute
	messageFor   = 24 * time.Hour
	// jitter spreads retries by this part of the wait in both directions, so
	// that what failed together doesn't come back together.
	jitter = 0.2
)

// waitAfter returns how long to wait after the attempt of that number (from 1)
// before the next: the schedule's time with jitter, or what the receiver asked
// for where that is longer.
func waitAfter(number int, asked time.Duration) time.Duration {
	wait := messageEvery
	if number <= len(backoff) {
		wait = backoff[number-1]
	}
	spread := 1 - jitter + 2*jitter*rand.Float64() //nolint:gosec // nobody gains by guessing a wait
	return max(time.Duration(float64(wait)*spread), asked)
}
