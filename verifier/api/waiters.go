package api

import (
	"sync/atomic"
	"time"
)

const (
	// pollEvery is how often a wait looks for the verdict while few wait, and
	// lookEvery how far the looks of all waits lie apart at least: many who
	// wait are told a little later, and the store is asked no more often.
	pollEvery = 250 * time.Millisecond
	lookEvery = 5 * time.Millisecond
	// waitAtOnce is how many may wait at once.
	waitAtOnce = 512
)

// waiters are the requests that wait for a verdict.
type waiters struct{ n atomic.Int32 }

// enter lets one more wait; false where there are too many.
func (w *waiters) enter() bool {
	if w.n.Add(1) > waitAtOnce {
		w.n.Add(-1)
		return false
	}
	return true
}

func (w *waiters) leave() { w.n.Add(-1) }

// every is the time until a waiter's next look.
func (w *waiters) every() time.Duration {
	return max(pollEvery, time.Duration(w.n.Load())*lookEvery)
}
