package httpprobe

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
)

// errTooLong ends a step that has taken longer than its timeout.
var errTooLong = errors.New("the step took longer than its timeout")

// hops carries the requests of one step, its redirects included. Each holds a
// place among the calls to its own host: a redirect gives the first host's
// place back and waits for one at the next. While it waits, the step's time
// stands still, for a queue of our own is never a slow target.
type hops struct {
	next    http.RoundTripper
	slot    outbound.Slot
	waiting context.Context // bounds the wait for a place
	clock   *stopwatch
	timeout *time.Timer // of the step
	ends    time.Time   // when it fires

	host    string // whose place is held
	release func()
}

// take waits for a place at the first host; the step's time begins after it.
func (h *hops) take(host string) (err error) {
	h.host = host
	h.release, err = h.slot.Take(h.waiting, host)
	return err
}

// RoundTrip sends one request of the step.
func (h *hops) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != h.host {
		if err := h.move(req.URL.Host); err != nil {
			return nil, err
		}
	}
	return h.next.RoundTrip(req)
}

// move changes the place at one host for a place at another.
func (h *hops) move(host string) error {
	if !h.timeout.Stop() {
		return errTooLong
	}
	began := time.Now()
	h.done()
	err := h.take(host)
	h.clock.pause(time.Since(began))
	h.timeout.Reset(h.ends.Sub(began))
	h.ends = time.Now().Add(h.ends.Sub(began))
	return err
}

// done gives the place back that is held, if any.
func (h *hops) done() {
	if h.release != nil {
		h.release()
		h.release = nil
	}
}
