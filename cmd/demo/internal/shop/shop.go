// Package shop is a small web shop: an instrumented HTTP service whose releases
// can be good, faulty or slow. Its counters can be given a past before it opens,
// so that what Prometheus scrapes goes on from its history without a reset.
package shop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// CheckoutShare is the share of requests that place an order.
const CheckoutShare = 0.3

// Options configure a Shop.
type Options struct {
	Service    string // the label of its metrics
	Releases   []Release
	Running    string // version at the start
	Histograms Histograms
}

// Shop is one service, listening from New on and serving from Open on.
type Shop struct {
	service  string
	releases map[string]Release
	metrics  *metrics
	listener net.Listener
	server   *http.Server

	mu      sync.Mutex
	running Release
	suffers float64 // share of requests that fail whatever runs
	random  *rand.Rand
}

// New returns a shop that listens on loopback but answers nothing yet.
func New(o Options) (*Shop, error) {
	s := &Shop{
		service: o.Service, releases: map[string]Release{}, metrics: newMetrics(o.Service, o.Histograms),
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), // #nosec G404 -- customers, not secrets
	}
	for _, r := range o.Releases {
		s.releases[r.Version] = r
	}
	if err := s.Deploy(o.Running); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open shop %s: %w", o.Service, err)
	}
	s.listener = listener
	s.server = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	return s, nil
}

// Open begins to serve, until Close.
func (s *Shop) Open() {
	go func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("serve shop", "service", s.service, "err", err)
		}
	}()
}

// Close ends the service, cutting requests off after a second.
func (s *Shop) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) == nil {
		return nil
	}
	return s.server.Close()
}

// Address is where the shop listens, HOST:PORT.
func (s *Shop) Address() string { return s.listener.Addr().String() }

// URL is the shop's root.
func (s *Shop) URL() string { return "http://" + s.Address() }

// Deploy switches to another release at once.
func (s *Shop) Deploy(version string) error {
	r, ok := s.releases[version]
	if !ok {
		return fmt.Errorf("deploy %s: there is no release %q", s.service, version)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = r
	s.metrics.running(version)
	return nil
}

// Suffer makes a share of all requests, 0 to 1, fail whatever version runs, as
// when something that the shop depends on is ill. 0 ends it.
func (s *Shop) Suffer(share float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suffers = share
}

// Version returns the running version.
func (s *Shop) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running.Version
}

// Live through n requests without anybody sending them: the shop's past.
func (s *Shop) Live(n int) {
	for range n {
		s.metrics.record(s.draw(s.chance() < CheckoutShare))
	}
}

// Gather returns the metrics as a scrape finds them.
func (s *Shop) Gather() ([]*dto.MetricFamily, error) { return s.metrics.registry.Gather() }

func (s *Shop) draw(checkout bool) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.running.draw(s.random, checkout)
	if s.random.Float64() < s.suffers {
		o.code, o.order = 503, false
	}
	return o
}

func (s *Shop) chance() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Float64()
}
