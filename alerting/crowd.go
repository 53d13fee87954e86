package alerting

import (
	"sync"
	"time"
)

const (
	// messagesAtOnce is how many messages may be on their way to one receiver,
	// and whileCrowded how long the next one stands back at least: a receiver
	// that hangs holds the workers of a store up that others need.
	messagesAtOnce = 4
	whileCrowded   = 5 * time.Second
	// apart is the time between those that come back to ask again, so that a
	// worker is asked for one receiver's messages 20 times a second at most
	// however many wait, and crowdedAtMost how long one stands back at most.
	apart         = 50 * time.Millisecond
	crowdedAtMost = 10 * time.Minute
)

// crowd counts the messages that are on their way to each receiver.
type crowd struct {
	mu    sync.Mutex
	under map[string]int
	// next is when the next that stands back may come back to ask. It outlasts
	// the crowd, for those told before come back at their moments all the same.
	next map[string]time.Time
}

// standBack returns how long a message to a receiver that is crowded has to
// wait, and 0 where there is room. Each is given a moment of its own: those
// that came at once, and those of a long queue, don't come back at once.
func (c *crowd) standBack(receiver string, urgent bool, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under[receiver] < messagesAtOnce {
		return 0
	}
	if urgent {
		return whileCrowded // these are few
	}
	if c.next == nil {
		c.next = map[string]time.Time{}
	}
	at := c.next[receiver]
	if soonest := now.Add(whileCrowded); at.Before(soonest) {
		at = soonest
	}
	if latest := now.Add(crowdedAtMost); at.After(latest) {
		at = latest
	}
	c.next[receiver] = at.Add(apart)
	return at.Sub(now)
}

// enter takes a place among the messages to a receiver; false where there is
// none.
func (c *crowd) enter(receiver string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under[receiver] >= messagesAtOnce {
		return false
	}
	if c.under == nil {
		c.under = map[string]int{}
	}
	c.under[receiver]++
	return true
}

// leave gives a place back; "" is none.
func (c *crowd) leave(receiver string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if receiver == "" {
		return
	}
	if c.under[receiver]--; c.under[receiver] == 0 {
		delete(c.under, receiver)
	}
}
