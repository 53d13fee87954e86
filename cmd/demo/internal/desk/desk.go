// Package desk is a ticket desk: customers open tickets now and then, or many
// at once, and its API counts them.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Desk counts tickets by service.
type Desk struct {
	listener net.Listener
	server   *http.Server

	mu      sync.Mutex
	tickets map[string][]time.Time // in order of time
}

// Open starts a desk on loopback.
func Open() (*Desk, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open ticket desk: %w", err)
	}
	d := &Desk{listener: listener, tickets: map[string][]time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tickets", d.count)
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := d.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("serve ticket desk", "err", err)
		}
	}()
	return d, nil
}

// Close ends the desk.
func (d *Desk) Close() error { return d.server.Close() }

// URL is the desk's root.
func (d *Desk) URL() string { return "http://" + d.listener.Addr().String() }

// Usual opens tickets of a service at random moments between two times, so many
// an hour; moments to come count when they have come.
func (d *Desk) Usual(service string, perHour float64, from, to time.Time) {
	var at []time.Time
	for t := from; t.Before(to); {
		t = t.Add(time.Duration(rand.ExpFloat64() / perHour * float64(time.Hour)))
		at = append(at, t)
	}
	d.open(service, at)
}

// Flood opens n tickets of a service, spread evenly over a time from now on.
func (d *Desk) Flood(service string, n int, over time.Duration) {
	now := time.Now()
	at := make([]time.Time, 0, n)
	for i := range n {
		at = append(at, now.Add(over*time.Duration(i)/time.Duration(n)))
	}
	d.open(service, at)
}

// Count returns how many tickets of a service were opened in [from, to) and
// not after now.
func (d *Desk) Count(service string, from, to, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if to.After(now) {
		to = now
	}
	n := 0
	for _, t := range d.tickets[service] {
		if !t.Before(from) && t.Before(to) {
			n++
		}
	}
	return n
}

func (d *Desk) open(service string, at []time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := append(d.tickets[service], at...)
	slices.SortFunc(all, time.Time.Compare)
	d.tickets[service] = all
}

func (d *Desk) count(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, err := unix(q.Get("from"))
	to, err2 := unix(q.Get("to"))
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	n := d.Count(q.Get("service"), from, to, time.Now())
	if err := json.NewEncoder(w).Encode(map[string]int{"count": n}); err != nil {
		slog.Debug("answer a ticket count", "err", err) // the client went away
	}
}

func unix(text string) (time.Time, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read time %q: want unix seconds", text)
	}
	return time.Unix(seconds, 0), nil
}
