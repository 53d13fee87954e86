// Package traffic makes the steady load of many customers on a shop: real HTTP
// requests at random moments, around a rate that breathes a little.
package traffic

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"time"
)

// Shape is how many requests a second come, over time. The same shape makes
// the past and the present, so that a level does not jump where they meet.
type Shape struct {
	Rate float64 // mean, requests a second
}

// At returns the rate at a moment: within 8 % of the mean, in two slow waves.
func (s Shape) At(t time.Time) float64 {
	seconds := float64(t.UnixMilli()%86_400_000) / 1000
	wave := 0.05*math.Sin(2*math.Pi*seconds/420) + 0.03*math.Sin(2*math.Pi*seconds/97)
	return s.Rate * (1 + wave)
}

// Arrivals draws how many requests come in the span d from t on: a Poisson
// count, for customers do not know of one another.
func (s Shape) Arrivals(random *rand.Rand, t time.Time, d time.Duration) int {
	mean, n := s.At(t)*d.Seconds(), 0
	for mean -= random.ExpFloat64(); mean > 0; mean -= random.ExpFloat64() {
		n++
	}
	return n
}

// Load is the traffic on one shop.
type Load struct {
	Shape         Shape
	URL           string  // of the shop
	CheckoutShare float64 // of requests that place an order
}

// Run sends requests until ctx ends, which also ends those under way. What the
// shop answers is the shop's business; requests that can't be sent are lost, as
// customers are.
func (l Load) Run(ctx context.Context) {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) // #nosec G404 -- customers, not secrets
	next := time.Now()
	for ctx.Err() == nil {
		next = next.Add(time.Duration(random.ExpFloat64() / l.Shape.At(next) * float64(time.Second)))
		if late := time.Since(next); late > time.Second {
			next = next.Add(late) // after a pause, don't send what is missed in one burst
		}
		if !sleep(ctx, time.Until(next)) {
			return
		}
		go l.send(ctx, client, random.Float64() < l.CheckoutShare)
	}
}

func (l Load) send(ctx context.Context, client *http.Client, checkout bool) {
	method, path := http.MethodGet, "/api/cart"
	if checkout {
		method, path = http.MethodPost, "/checkout"
	}
	req, err := http.NewRequestWithContext(ctx, method, l.URL+path, nil)
	if err != nil {
		return
	}
	res, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
