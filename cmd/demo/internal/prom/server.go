// Package prom runs Prometheus's own storage, scrape manager, PromQL engine
// and HTTP API in process, so that the demo and the end-to-end tests ask a real
// Prometheus without installing one.
package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
)

// Options configure a Server.
type Options struct {
	// ScrapeInterval is how often targets are scraped; 250ms when 0.
	ScrapeInterval time.Duration
	// Logger gets what Prometheus logs; nothing is logged when it is nil.
	Logger *slog.Logger
}

// Server is one Prometheus on loopback. It can be stopped and started again on
// the same address and with the same data, which is what "Prometheus is down"
// looks like from outside.
type Server struct {
	dir     string
	options Options

	mu      sync.Mutex
	address string // fixed by the first start
	targets map[string][]string
	running *running
}

// running is everything that lives between Start and Stop.
type running struct {
	db      *tsdb.DB
	scraper *scrape.Manager
	feed    *targetFeed
	http    *http.Server
	done    sync.WaitGroup
}

// New returns a stopped server that keeps its data in dir.
func New(dir string, o Options) *Server {
	if o.ScrapeInterval == 0 {
		o.ScrapeInterval = 250 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = promslog.NewNopLogger()
	}
	return &Server{dir: dir, options: o, address: "127.0.0.1:0", targets: map[string][]string{}}
}

// Start opens the storage, begins to scrape and serves the API. It returns when
// the API answers.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return errors.New("start prometheus: it runs already")
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		return fmt.Errorf("start prometheus: %w", err)
	}
	run, err := s.open()
	if err != nil {
		return errors.Join(fmt.Errorf("start prometheus: %w", err), listener.Close())
	}
	s.address, s.running = listener.Addr().String(), run
	run.done.Go(func() {
		if err := run.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.options.Logger.Error("serve prometheus", "err", err)
		}
	})
	return nil
}

func (s *Server) open() (*running, error) {
	db, err := openStorage(s.dir, s.options.Logger)
	if err != nil {
		return nil, err
	}
	run := &running{db: db, feed: newTargetFeed()}
	registry := prometheus.NewRegistry()
	if run.scraper, err = newScraper(db, s.options, registry); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	run.http = &http.Server{Handler: newHandler(db, run.scraper, registry, s.options.Logger), ReadHeaderTimeout: 5 * time.Second}
	run.done.Go(func() { run.feed.run(run.scraper) })
	run.feed.set(s.targets)
	return run, nil
}

// Stop ends scraping, closes the API and the storage. Connections are refused
// until the next Start. A stopped server stays as it is.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil
	}
	run := s.running
	s.running = nil
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := run.http.Shutdown(ctx)
	run.scraper.Stop()
	run.feed.close()
	run.done.Wait()
	return errors.Join(err, run.db.Close())
}

// URL is the root of the API; it holds over a Stop and a Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.address
}

// Scrape adds a target: http://ADDRESS/metrics, with the labels job and
// instance as Prometheus sets them.
func (s *Server) Scrape(job, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[job] = append(s.targets[job], address)
	if s.running != nil {
		s.running.feed.set(s.targets)
	}
}

// storage returns the open storage.
func (s *Server) storage() (*tsdb.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil, errors.New("prometheus is stopped")
	}
	return s.running.db, nil
}
