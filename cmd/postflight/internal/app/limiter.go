package app

import (
	"container/list"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits of outbound calls, for each of probes, sources and messages.
const (
	outboundAtOnce  = 32
	outboundPerHost = 4
	// slowAtOnce is how many of all calls may go to hosts whose last call was
	// slow, and unprovenAtOnce to those and to hosts that never answered a
	// call quickly: however many hosts hang, there is room for the others.
	slowAtOnce     = 16
	unprovenAtOnce = 24
	// slowAfter is when a call is slow.
	slowAfter = 2 * time.Second
	// forgetAfter is how long a host is remembered that nobody calls.
	forgetAfter = 10 * time.Minute
)

// notSentError is a call that waited for a place until nobody wanted it any
// more. Probes tell it from a target that is down by NotSent.
type notSentError struct {
	waited time.Duration
	queue  string
	cause  error
}

func (e *notSentError) Error() string {
	return fmt.Sprintf("not sent: waited %s for one of %s", e.waited.Round(time.Millisecond), e.queue)
}

func (e *notSentError) Unwrap() error { return e.cause }

// NotSent marks the error for those who can't import this package.
func (e *notSentError) NotSent() bool { return true }

// standing is what the calls to a host so far tell about the next. Each
// standing has the places of those before it, and some more.
type standing int

const (
	slow     standing = iota // its last call was
	unproven                 // never called, or not lately
	quick                    // its last call was
	standings
)

// places are how many calls may be under way to hosts up to a standing.
var places = [standings]int{slow: slowAtOnce, unproven: unprovenAtOnce, quick: outboundAtOnce}

// limiter bounds the calls under way: all told, to each host, and to hosts
// that are slow to answer.
type limiter struct {
	mu       sync.Mutex
	hosts    map[string]*host
	queued   map[*host]bool // those that somebody waits for
	came     uint64         // how many have come so far
	under    [standings]int // calls under way, by the standing that they began with
	forgotAt time.Time
}

type host struct {
	standing standing
	calls    []time.Time // under way, by when they began
	waiting  list.List   // of *waiter; who came first is first
	users    int         // callers that hold a place or wait for one
	seen     time.Time   // when the last of them left
}

type waiter struct {
	host    *host
	most    int // calls to the host at once
	came    uint64
	place   *list.Element // in the host's queue; nil once granted
	granted chan struct{}
	call    call // once granted
}

// call is a place that is held.
type call struct {
	began    time.Time
	standing standing
}

func newLimiter() *limiter { return &limiter{hosts: map[string]*host{}, queued: map[*host]bool{}} }

// acquire waits for a place among the calls to a host, and among all, until ctx
// ends. Its errors are of type *notSentError.
func (l *limiter) acquire(ctx context.Context, name string) (release func(), err error) {
	return l.acquireOf(ctx, name, outboundPerHost)
}

// upTo is acquire for hosts that take so many calls at once; as many as others
// where nobody has said how many.
func (l *limiter) upTo(most int) queue {
	if most <= 0 {
		most = outboundPerHost
	}
	return func(ctx context.Context, name string) (func(), error) { return l.acquireOf(ctx, name, most) }
}

func (l *limiter) acquireOf(ctx context.Context, name string, most int) (release func(), err error) {
	began := time.Now()
	w := l.enter(name, most)
	select {
	case <-w.granted:
	default: // a place that is there is taken, also by those who can't wait
		select {
		case <-w.granted:
		case <-ctx.Done():
			if queue, gaveUp := l.giveUp(name, w); gaveUp {
				return nil, &notSentError{time.Since(began), queue, ctx.Err()}
			}
		}
	}
	return sync.OnceFunc(func() { l.leave(w, ctx.Err() != nil) }), nil
}

func (l *limiter) enter(name string, most int) *waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Now())
	h := l.hosts[name]
	if h == nil {
		h = &host{standing: unproven}
		l.hosts[name] = h
	}
	h.users++
	l.came++
	w := &waiter{host: h, most: most, came: l.came, granted: make(chan struct{})}
	w.place = h.waiting.PushBack(w)
	l.queued[h] = true
	l.grant(time.Now())
	return w
}

// giveUp takes a waiter out of the queue and names what it waited for; false
// where it has just been granted its place.
func (l *limiter) giveUp(name string, w *waiter) (queue string, gaveUp bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.place == nil {
		return "", false
	}
	l.unqueue(w)
	w.host.left(time.Now())
	switch s := w.host.standingAt(time.Now()); {
	case len(w.host.calls) >= w.most:
		return fmt.Sprintf("%d calls to %s", w.most, name), true
	case s == quick:
		return fmt.Sprintf("%d outbound calls", outboundAtOnce), true
	case s == unproven:
		return fmt.Sprintf("%d outbound calls to hosts that have not answered quickly yet", unprovenAtOnce), true
	}
	return fmt.Sprintf("%d outbound calls to hosts that are slow to answer", slowAtOnce), true
}

// leave gives a place back, and learns from how long it was held. A call that
// we cut short tells nothing good about its host.
func (l *limiter) leave(w *waiter, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, h := time.Now(), w.host
	h.calls = slices.Delete(h.calls, slices.Index(h.calls, w.call.began), slices.Index(h.calls, w.call.began)+1)
	switch {
	case now.Sub(w.call.began) > slowAfter:
		h.standing = slow
	case !cut:
		h.standing = quick
	}
	h.left(now)
	l.under[w.call.standing]--
	l.grant(now)
}

// grant gives the places that are free to those who have waited longest. Who
// waits for a slow host stands in the way of nobody. However many wait, it looks
// at the first of each host alone, and at none while there is no place.
func (l *limiter) grant(now time.Time) {
	for l.room(quick) {
		w := l.next(now)
		if w == nil {
			return
		}
		s := w.host.standingAt(now)
		w.call = call{began: now, standing: s}
		w.host.calls = append(w.host.calls, now)
		l.under[s]++
		l.unqueue(w)
		close(w.granted)
	}
}

// next is who has waited longest of those for whom there is a place; nil for
// nobody.
func (l *limiter) next(now time.Time) (first *waiter) {
	for h := range l.queued {
		w := h.waiting.Front().Value.(*waiter)
		if (first == nil || w.came < first.came) && len(h.calls) < w.most && l.room(h.standingAt(now)) {
			first = w
		}
	}
	return first
}

func (l *limiter) unqueue(w *waiter) {
	w.host.waiting.Remove(w.place)
	w.place = nil
	if w.host.waiting.Len() == 0 {
		delete(l.queued, w.host)
	}
}

// room reports whether a call to a host of a standing may begin.
func (l *limiter) room(s standing) bool {
	upTo := 0
	for i := range standings {
		upTo += l.under[i]
		if i >= s && upTo >= places[i] {
			return false
		}
	}
	return true
}

// standingAt is slow already while a call that will turn out slow is under way.
func (h *host) standingAt(now time.Time) standing {
	if len(h.calls) > 0 && now.Sub(h.calls[0]) > slowAfter {
		return slow
	}
	return h.standing
}

func (h *host) left(now time.Time) {
	h.users--
	h.seen = now
}

// forget drops hosts that nobody has called for a while.
func (l *limiter) forget(now time.Time) {
	if now.Sub(l.forgotAt) < forgetAfter {
		return
	}
	l.forgotAt = now
	for name, h := range l.hosts {
		if h.users == 0 && now.Sub(h.seen) >= forgetAfter {
			delete(l.hosts, name)
		}
	}
}

// limit wraps next so that its calls count.
func (l *limiter) limit(next http.RoundTripper) http.RoundTripper {
	return &limited{limiter: l, next: next}
}

type limited struct {
	limiter *limiter
	next    http.RoundTripper
}

// RoundTrip waits for a place, or until the request's context ends. The place
// is given back when the answer's body is closed.
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	release, err := l.limiter.acquire(r.Context(), r.URL.Host)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		release()
		return nil, err
	}
	resp.Body = &releasingBody{ReadCloser: resp.Body, release: release}
	return resp, nil
}

// CloseIdleConnections lets a client that is no longer used give its
// connections back.
func (l *limited) CloseIdleConnections() {
	if c, ok := l.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type releasingBody struct {
	io.ReadCloser
	release func()
}

// Close closes the body and gives the call's place back.
func (b *releasingBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
