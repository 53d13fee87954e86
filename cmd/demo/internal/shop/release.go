package shop

import (
	"math"
	"math/rand/v2"
	"time"
)

// How the shop behaves in a healthy release.
const (
	// BaseErrorRate is the share of requests that fail in any release.
	BaseErrorRate = 0.005
	// medianLatency and latencySpread are those of a log-normal distribution:
	// its 95th percentile is 273 ms.
	medianLatency = 120 * time.Millisecond
	latencySpread = 0.5
)

// Release is a version of the shop and how it behaves.
type Release struct {
	Version string
	// ErrorRate is the share of requests that fail with a 5xx, 0 to 1;
	// BaseErrorRate when 0.
	ErrorRate float64
	// SlowShare of the requests, 0 to 1, take SlowFactor times as long.
	SlowShare  float64
	SlowFactor float64
}

// outcome is what becomes of one request.
type outcome struct {
	code    int
	latency time.Duration
	order   bool // a successful checkout
}

// draw chooses the outcome of a request.
func (r Release) draw(random *rand.Rand, checkout bool) outcome {
	rate := r.ErrorRate
	if rate == 0 {
		rate = BaseErrorRate
	}
	o := outcome{code: 200, order: checkout}
	if random.Float64() < rate {
		o = outcome{code: 500}
		if random.Float64() < 0.2 {
			o.code = 503
		}
	}
	latency := float64(medianLatency) * math.Exp(latencySpread*random.NormFloat64())
	if random.Float64() < r.SlowShare {
		latency *= r.SlowFactor
	}
	o.latency = time.Duration(latency)
	return o
}
