package alerting

import (
	"sync"
	"time"
)

const (
	// messagesAtOnce is how many messages may be on their way to one receiver,
	// and whileCrowded how long the next one stands back: a receiver that
	// hangs holds the workers of a store up that others need.
	messagesAtOnce = 4
	whileCrowded   = 5 * time.Second
)

// crowd counts the messages that are on their way to each receiver.
type crowd struct {
	mu    sync.Mutex
	under map[string]int
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
