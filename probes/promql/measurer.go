// Package promql measures signals with PromQL: shares of events from counters,
// shares of slow requests from classic and native histograms, values, and
// traffic, by range queries whose points lie at the ends of the steps. Where a
// signal has a control group, both are measured in the same steps.
//
// Whatever is not exactly one plain number a step is not a number: a source
// that is down, warns, or answers with two series or something malformed gives
// observations with the outcome Failed, and a step without samples, without
// traffic or with NaN or an infinity gives NoData, both with the reason.
package promql

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// Observe is told of every request to a server, by the server's name.
type Observe = outbound.Observe

// Server is a Prometheus, or anything that speaks its HTTP API version 1.
type Server struct {
	Name string
	URL  string // base address; the API is at URL/api/v1
	// Timeout limits one query; 10 s when 0.
	Timeout time.Duration
	// RoundTripper carries authentication and TLS; http.DefaultTransport when
	// nil.
	RoundTripper http.RoundTripper
	// Waiting, where set, is told of each query that begins to wait for its turn,
	// and what it returns is called when the wait is over, whether it came to it
	// or not.
	Waiting func() (over func())
	// Slot, where set, is asked for a place before each query; the wait is no
	// part of Timeout.
	Slot outbound.Slot
	// Rate is how many queries a second the server is asked; what is more waits,
	// which is no part of Timeout either. 0 is no limit.
	Rate int
	// Shared, where set, is told of answers that another look's query brought.
	Shared func(answers int)
}

// Measurer measures ratio, latency, value and traffic signals.
type Measurer struct {
	servers map[string]*server
}

// New returns a measurer over servers. A server without a usable URL is an
// error of kind Invalid. observe may be nil.
func New(servers []Server, observe Observe) (*Measurer, error) {
	m := &Measurer{servers: map[string]*server{}}
	for _, s := range servers {
		made, err := newServer(s, observe)
		if err != nil {
			return nil, err
		}
		m.servers[s.Name] = made
	}
	return m, nil
}

// Prepare renders the signal's expressions with the step baked in, asks the
// server whether it understands them, and for latency chooses the threshold
// from the baseline (since, until], which a control group is held to as well.
// What only a change of the configuration
// can mend is an error of kind Invalid, a server that can't be asked now one of
// kind Unavailable. A quantile of a baseline without data gives a plan whose
// measurements are all NoData, with the reason in Note.
func (m *Measurer) Prepare(ctx context.Context, s verifier.Signal, t verifier.Target, step time.Duration, since, until time.Time) (verifier.Plan, error) {
	server, err := m.server(s)
	if err != nil {
		return verifier.Plan{}, err
	}
	p, err := server.plan(ctx, s, t, step, since, until)
	if err != nil {
		return verifier.Plan{}, fmt.Errorf("prepare signal %q: %w", s.Name, err)
	}
	return p, nil
}

// Persists says that what a look had no more time to wait for, as told by a
// context whose cause is context.DeadlineExceeded, is read on for the next.
func (m *Measurer) Persists() {}

// Measure returns one observation for every step in (from, to], which must be
// whole steps. An answer that is not a number, or none at all, is an
// observation with its reason. What is asked is shared with other looks: an
// answer about a step may be up to a minute old, and up to 15 s or a step where the
// step was not measured.
func (m *Measurer) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	g := newGrid(from, to, step)
	server, err := m.server(s)
	if err != nil {
		return g.all(verifier.Failed, err.Error())
	}
	l := &look{reader: server.shared, target: t}
	observations, err := observe(ctx, l.points, s, p, g)
	if err != nil {
		return g.all(verifier.Failed, err.Error())
	}
	l.saw(observations)
	return observations
}

// History returns what Measure would have returned over (since, until]; an
// answer that spoils whole queries is an error instead.
func (m *Measurer) History(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	server, err := m.server(s)
	if err == nil {
		var observations []verifier.Observation
		if observations, err = observe(ctx, server.points, s, p, newGrid(since, until, step)); err == nil {
			return observations, nil
		}
	}
	return nil, fmt.Errorf("read history of signal %q: %w", s.Name, err)
}

// observe measures a grid. The error is that of a whole query.
func observe(ctx context.Context, from pointsOf, s verifier.Signal, p verifier.Plan, g grid) ([]verifier.Observation, error) {
	if g.n == 0 {
		return nil, nil
	}
	own, control := sidesOf(p)
	if own.empty() {
		return g.all(verifier.NoData, p.Note), nil
	}
	of, err := observed(ctx, from, s.Source(), g, own)
	if err != nil {
		return nil, err
	}
	if control.empty() {
		return g.observations(of), nil
	}
	peers, err := observed(ctx, from, s.Source(), g, control)
	if err != nil {
		return nil, ofControl(err)
	}
	return g.observations(func(i int) verifier.Observation { return beside(of(i), peers(i)) }), nil
}

func (m *Measurer) server(s verifier.Signal) (*server, error) {
	var name string
	switch s.Source() {
	case verifier.FromRatio:
		name = s.RatioSource.Server
	case verifier.FromLatency:
		name = s.LatencySource.Server
	case verifier.FromValue:
		name = s.ValueSource.Server
	case verifier.FromTraffic:
		name = s.TrafficSource.Server
	default:
		return nil, verifier.Errorf(verifier.Invalid, "signal %q is not measured by a Prometheus", s.Name)
	}
	if found, ok := m.servers[name]; ok {
		return found, nil
	}
	return nil, verifier.Errorf(verifier.Invalid, "signal %q asks prometheus %q, which is not configured", s.Name, name)
}
