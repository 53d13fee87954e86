package benchmark

import (
	"math"
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/postflight/postflight/verifier"
)

// deployedAt is when every simulated deploy happens.
var deployedAt = time.Date(2026, 11, 23, 2, 41, 0, 0, time.UTC)

// Stream is one signal of a simulated deploy: what the engine would have read.
type Stream struct {
	Signal          verifier.Signal
	History, Window []verifier.Observation
	// P95 of the latency in seconds, each minute from an hour before the
	// deploy on; latency only.
	P95        []float64
	ControlP95 []float64 // the same of the control group, where there is one
}

// Deploy is one simulated deploy.
type Deploy struct {
	Policy  verifier.Policy
	Streams []Stream
}

// Signal is what to simulate of one signal.
type Signal struct {
	Kind verifier.SourceKind
	Per  float64 // requests or probes a minute, tickets an hour
	Base float64 // share of bad ones; tickets and latency have none
}

// The log-normal latencies that are simulated: a median of 90 ms and a spread
// of 0.6 put p95 at 242 ms, and the bucket boundary beside it at 250 ms. The
// world's noise moves the logarithm of the latency by a third of what it moves
// an error rate.
const (
	medianLatency  = 0.090
	latencySpread  = 0.6
	latencyBucket  = 0.250
	latencyDamping = 3
)

// valueNoise is the relative standard deviation of a value from minute to minute.
const valueNoise = 0.05

func orOne(factor float64) float64 {
	if factor == 0 {
		return 1
	}
	return factor
}

var normal = distuv.Normal{Sigma: 1}

// signal returns what a policy says by default of such a signal (decision.md
// 2.5).
func (s Signal) signal() verifier.Signal {
	out := verifier.Signal{Name: string(s.Kind), Kind: verifier.Ratio, Role: verifier.Decisive, Required: true}
	switch s.Kind {
	case verifier.FromLatency:
		out.Name, out.Delta, out.Epsilon = "latency", 0.15, 2e-3
		out.LatencySource = &verifier.LatencySource{SlowerThan: "p95"}
	case verifier.FromProbe:
		out.Name, out.Delta, out.Epsilon = "probes", 0.25, 1e-2
		out.ProbeSource = &verifier.ProbeSource{ConsecutiveFailures: 3}
	case verifier.FromValue:
		out.Name, out.Kind, out.Delta, out.Worse = "value", verifier.Value, 0.05, verifier.WorseBoth
		out.ValueSource = &verifier.ValueSource{}
	case verifier.FromTraffic:
		out.Name, out.Kind, out.Delta, out.Worse = "traffic", verifier.Value, 0.25, verifier.WorseLower
		out.TrafficSource = &verifier.TrafficSource{}
	case verifier.FromTickets:
		out.Kind, out.Delta, out.Epsilon = verifier.Count, 0.5, 0.5
		out.TicketSource = &verifier.TicketSource{}
	default:
		out.Name, out.Delta, out.Epsilon = "errors", 0.25, 1e-4
		out.RatioSource = &verifier.RatioSource{}
	}
	return out
}

// stream draws a signal. harm is the factor of the rate (errors, tickets) or
// of the latency, or the share of probes that fail; 0 is none. It starts onset
// minutes after the deploy.
func (s Signal) stream(r *rand.Rand, w World, before, after int, harm float64, onset int) Stream {
	if s.Kind == verifier.FromTickets {
		// Tickets follow the day and drift slowly; neither caches nor bursts.
		w.Fast, w.Kappa, w.Bursts, w.ColdStart, w.Rate, w.Traffic = 0, 0, 0, 0, w.Traffic, 0
	}
	if w.Control > 0 {
		return s.besideControl(r, w, before, after, harm, onset)
	}
	return s.under(r, w.draw(r, before, after), before, harm, onset)
}

// under draws a signal under a weather whose first minutes, before of them, are
// the history.
func (s Signal) under(r *rand.Rand, sky weather, before int, harm float64, onset int) Stream {
	out := Stream{Signal: s.signal()}
	for i := range sky.rate {
		extra := 0.0
		if i >= before+onset {
			extra = harm
		}
		var obs []verifier.Observation
		switch s.Kind {
		case verifier.FromLatency:
			o, p95 := s.latency(r, sky, i, extra)
			obs = []verifier.Observation{o}
			if i >= before-60 {
				out.P95 = append(out.P95, p95)
			}
		case verifier.FromProbe:
			obs = s.probes(r, sky.rate[i], extra)
		case verifier.FromValue:
			obs = []verifier.Observation{{Span: verifier.Duration(time.Minute), Outcome: verifier.Measured,
				Value: s.Per * sky.rate[i] * orOne(extra) * math.Exp(valueNoise*r.NormFloat64())}}
		case verifier.FromTraffic:
			obs = []verifier.Observation{{Span: verifier.Duration(time.Minute), Outcome: verifier.Measured,
				Value: poisson(r, s.Per*sky.traffic[i]*sky.rate[i]*orOne(extra))}}
		case verifier.FromTickets:
			obs = []verifier.Observation{{Span: verifier.Duration(time.Minute), Outcome: verifier.Measured,
				Count: poisson(r, s.Per/60*sky.rate[i]*max(extra, 1))}}
		default:
			obs = []verifier.Observation{counted(r, s.Per*sky.traffic[i], s.Base*sky.rate[i]*max(extra, 1))}
		}
		for j := range obs {
			end := time.Duration(i+1-before) * time.Minute
			obs[j].At = deployedAt.Add(end - time.Duration(len(obs)-1-j)*obs[j].Span.D())
		}
		if i < before {
			out.History = append(out.History, obs...)
		} else {
			out.Window = append(out.Window, obs...)
		}
	}
	if s.Kind == verifier.FromTickets {
		out.History, out.Window = gather(out.History, 5), gather(out.Window, 5)
	}
	return out
}

// counted draws a minute of requests of which a share rate is bad.
func counted(r *rand.Rand, traffic, rate float64) verifier.Observation {
	o := verifier.Observation{Span: verifier.Duration(time.Minute), Outcome: verifier.NoData}
	if o.Total = poisson(r, traffic); o.Total > 0 {
		o.Outcome = verifier.Measured
		o.Bad = min(o.Total, poisson(r, o.Total*min(rate, 1)))
	}
	return o
}

func (s Signal) latency(r *rand.Rand, sky weather, i int, slower float64) (verifier.Observation, float64) {
	shift := math.Log(sky.rate[i])/latencyDamping + math.Log(max(slower, 1))
	slow := 1 - normal.CDF((math.Log(latencyBucket/medianLatency)-shift)/latencySpread)
	o := counted(r, s.Per*sky.traffic[i], slow)
	z := normal.Quantile(0.95)
	// The sampling error of a quantile of n observations.
	sampled := math.Sqrt(0.95*0.05/max(o.Total, 1)) / normal.Prob(z) * r.NormFloat64()
	return o, medianLatency * math.Exp(shift+latencySpread*(z+sampled))
}

// probes draws a minute of probe runs, an observation each.
func (s Signal) probes(r *rand.Rand, rate, failing float64) []verifier.Observation {
	n := int(s.Per)
	obs := make([]verifier.Observation, n)
	for i := range obs {
		obs[i] = verifier.Observation{Span: verifier.Duration(time.Minute / time.Duration(n)), Outcome: verifier.Measured, Total: 1}
		if r.Float64() < max(s.Base*rate, failing) {
			obs[i].Bad = 1
		}
	}
	return obs
}

// gather adds up the counts of every n minutes.
func gather(obs []verifier.Observation, n int) []verifier.Observation {
	var out []verifier.Observation
	for i := n; i <= len(obs); i += n {
		sum := verifier.Observation{At: obs[i-1].At, Span: verifier.Duration(time.Duration(n) * time.Minute), Outcome: verifier.Measured}
		for _, o := range obs[i-n : i] {
			sum.Count += o.Count
		}
		out = append(out, sum)
	}
	return out
}
