// Package world puts a whole world around one postflight: shops with traffic
// and a past, a Prometheus that scrapes them, a ticket desk, a pipeline that
// deploys, and the real daemon as a process of its own, all on loopback.
package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postflight/postflight/cmd/demo/internal/desk"
	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/prom"
	"github.com/postflight/postflight/cmd/demo/internal/shop"
)

// Service is a shop of the world.
type Service struct {
	Name       string
	Histograms shop.Histograms // shop.Both when ""
	// Unwired rollbacks are announced without postflight's revert id.
	Unwired bool
}

// Options configure a World.
type Options struct {
	Services []Service
	Binary   string // the daemon, as Binary finds it
	// Window is how long a deploy is watched; 30s when 0.
	Window time.Duration
	Rate   float64 // requests a second on each shop; 100 when 0
	// Brake is how many automatic reverts within 15 minutes engage the brake;
	// 50 when 0, for the tests revert many services at once.
	Brake int
	// Independent policies judge each deploy alone, also while others overlap.
	Independent bool
}

// World is everything, running.
type World struct {
	Prometheus *prom.Server
	Desk       *desk.Desk
	Pipeline   *pipeline.Pipeline
	Shops      map[string]*shop.Shop
	Daemon     *Daemon
	*Client

	dir     string
	options Options
	traffic sync.WaitGroup
	stop    context.CancelFunc
}

// Start makes a world and returns when the daemon is ready in it. ctx ends the
// start, not the world: Close does.
func Start(ctx context.Context, o Options) (*World, error) {
	if o.Rate == 0 {
		o.Rate = 100
	}
	if o.Window == 0 {
		o.Window = 30 * time.Second
	}
	if o.Brake == 0 {
		o.Brake = 50
	}
	dir, err := os.MkdirTemp("", "postflight-demo-")
	if err != nil {
		return nil, fmt.Errorf("start the demo world: %w", err)
	}
	w := &World{dir: dir, options: o, Shops: map[string]*shop.Shop{}, stop: func() {}}
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the demo world: %w", err), w.Close())
	}
	return w, nil
}

func (w *World) start(ctx context.Context) error {
	w.Prometheus = prom.New(filepath.Join(w.dir, "prometheus"), prom.Options{})
	if err := w.Prometheus.Start(); err != nil {
		return err
	}
	var err error
	if w.Desk, err = desk.Open(); err != nil {
		return err
	}
	if w.Pipeline, err = pipeline.Open(pipeline.Options{Environment: Environment, Token: pipelineToken, Secret: hookSecret}); err != nil {
		return err
	}
	if err := w.openShops(ctx); err != nil {
		return err
	}
	return w.startDaemon(ctx)
}

// openShops gives every shop its past, two at a time, and opens it.
func (w *World) openShops(ctx context.Context) error {
	running, stop := context.WithCancel(context.Background())
	w.stop = stop
	var group errgroup.Group
	group.SetLimit(2)
	for _, service := range w.options.Services {
		s, err := shop.New(shop.Options{Service: service.Name, Releases: Releases, Running: First, Histograms: service.Histograms})
		if err != nil {
			return err
		}
		w.Shops[service.Name] = s
		w.Pipeline.Owns(service.Name, s, !service.Unwired)
		now := time.Now()
		w.Desk.Usual(service.Name, TicketsPerHour, now.Add(-2*History), now.Add(time.Hour))
		group.Go(func() error { return w.openShop(ctx, running, s) })
	}
	return group.Wait()
}

func (w *World) startDaemon(ctx context.Context) error {
	s := settings{Prometheus: w.Prometheus.URL(), Desk: w.Desk.URL(), Pipeline: w.Pipeline.URL(),
		Brake: w.options.Brake, Independent: w.options.Independent}
	for _, service := range w.options.Services {
		s.Services = append(s.Services, serviceSettings{Name: service.Name, URL: w.Shops[service.Name].URL()})
	}
	config, err := writeConfig(w.dir, w.options.Window, s)
	if err != nil {
		return err
	}
	w.Daemon = NewDaemon(w.options.Binary, config)
	if err := w.Daemon.Start(ctx); err != nil {
		return err
	}
	w.Client = newClient(w.Daemon.URL())
	w.Pipeline.Connect(w.Daemon.URL())
	w.Prometheus.Scrape("postflight", w.Daemon.Address())
	return nil
}

// Options are those of the start.
func (w *World) Options() Options { return w.options }

// Database is the file of the daemon's store.
func (w *World) Database() string { return filepath.Join(w.dir, "postflight.db") }

// Window is how long a deploy is watched.
func (w *World) Window() time.Duration { return w.options.Window }

// Close ends everything and removes its files. The first to go is the daemon,
// and how it leaves is part of the error.
func (w *World) Close() error {
	var errs []error
	if w.Daemon != nil {
		errs = append(errs, w.Daemon.Stop())
	}
	w.stop()
	w.traffic.Wait()
	for _, s := range w.Shops {
		errs = append(errs, s.Close())
	}
	if w.Pipeline != nil {
		errs = append(errs, w.Pipeline.Close())
	}
	if w.Desk != nil {
		errs = append(errs, w.Desk.Close())
	}
	if w.Prometheus != nil {
		errs = append(errs, w.Prometheus.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}
