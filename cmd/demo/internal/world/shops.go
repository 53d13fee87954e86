package world

import (
	"context"
	"math/rand/v2"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/postflight/postflight/cmd/demo/internal/prom"
	"github.com/postflight/postflight/cmd/demo/internal/shop"
	"github.com/postflight/postflight/cmd/demo/internal/traffic"
)

// The shop's versions. Every shop begins with First.
const (
	First  = "1.0"
	Good   = "1.1"
	Errors = "1.2"
	Slow   = "1.3"
	Next   = "1.4" // good as well
	Hasty  = "1.5" // a fix that fixes nothing
)

// Releases are how the versions behave.
var Releases = []shop.Release{
	{Version: First},
	{Version: Good},
	{Version: Errors, ErrorRate: 0.08},
	{Version: Slow, SlowShare: 0.8, SlowFactor: 3},
	{Version: Next},
	{Version: Hasty, ErrorRate: 0.08},
}

// TicketsPerHour is how many tickets customers of one shop open as a rule.
const TicketsPerHour = 6

// pastBeyond is how much more past there is than the policy reads.
const pastBeyond = 2 * time.Minute

// openShop writes a shop's past up to this moment, opens it and lets traffic
// and scrapes go on from there.
func (w *World) openShop(ctx, running context.Context, s *shop.Shop) error {
	shape := traffic.Shape{Rate: w.options.Rate}
	random := rand.New(rand.NewPCG(rand.Uint64(), 2)) // #nosec G404 -- customers, not secrets
	var last time.Time
	gather := func(at time.Time) ([]*dto.MetricFamily, error) {
		if !last.IsZero() {
			s.Live(shape.Arrivals(random, at, at.Sub(last)))
		}
		last = at
		return s.Gather()
	}
	from := time.Now().Add(-History - pastBeyond)
	// Writing takes seconds, and they belong to the past as well.
	for {
		to := time.Now()
		next, err := w.Prometheus.Backfill(ctx, prom.Past{Job: "shop", Instance: s.Address(), From: from, To: to, Gather: gather})
		if err != nil {
			return err
		}
		from = next
		if time.Since(to) < 200*time.Millisecond {
			break
		}
	}
	s.Open()
	load := traffic.Load{Shape: shape, URL: s.URL(), CheckoutShare: shop.CheckoutShare}
	w.traffic.Go(func() { load.Run(running) })
	w.Prometheus.Scrape("shop", s.Address())
	return nil
}
