package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// target is what the probes of many services call: /SERVICE/healthz. It notes
// when, which tells from outside how late each look was.
type target struct {
	URL    string
	server *http.Server
	mu     sync.Mutex
	calls  map[string][]time.Time
}

func newTarget(ctx context.Context) (*target, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for probes: %w", err)
	}
	t := &target{URL: "http://" + l.Addr().String(), calls: map[string][]time.Time{}}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}
	go t.server.Serve(l) //nolint:errcheck // until Close
	return t, nil
}

func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	now := time.Now()
	t.mu.Lock()
	t.calls[service] = append(t.calls[service], now)
	t.mu.Unlock()
	_, _ = w.Write([]byte(`{"ok":true}`)) // the caller may have gone
}

func (t *target) close() { _ = t.server.Close() }

// reset forgets all calls, and begins anew.
func (t *target) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = map[string][]time.Time{}
}

// services is how many have called.
func (t *target) services() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.calls)
}

// busiest is how many calls there were in the second that had most.
func (t *target) busiest() (most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := map[int64]int{}
	for _, calls := range t.calls {
		for _, at := range calls {
			seconds[at.Unix()]++
		}
	}
	for _, n := range seconds {
		most = max(most, n)
	}
	return most
}

// lateness of every call, in order of size. Each verification has a rhythm of
// its own, a call every interval; what a call is behind the earliest phase that
// its service ever had is how late it was.
func (t *target) lateness(interval time.Duration) (late []time.Duration, missed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, calls := range t.calls {
		slices.SortFunc(calls, time.Time.Compare)
		phases := make([]time.Duration, len(calls))
		for i, at := range calls {
			phases[i] = at.Sub(calls[0]) - time.Duration(i)*interval
		}
		// A call left out shows as a whole interval, and stays: it is counted
		// once.
		for i := 1; i < len(phases); i++ {
			for phases[i]-phases[i-1] > interval*3/4 {
				missed++
				for j := i; j < len(phases); j++ {
					phases[j] -= interval
				}
			}
		}
		first := slices.Min(phases)
		for _, p := range phases {
			late = append(late, p-first)
		}
	}
	slices.SortFunc(late, cmp.Compare)
	return late, missed
}

// quantile of what is in order.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
