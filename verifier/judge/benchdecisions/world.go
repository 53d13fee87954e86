package main

import (
	"math"
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/postflight/postflight/verifier"
)

// deployedAt is when every simulated deploy happens.
var deployedAt = time.Date(2026, 11, 23, 2, 41, 0, 0, time.UTC)

// world says how a simulated service's counters behave (decision.md 3 and 3.2).
type world struct {
	diurnal   float64 // swing of the traffic over a day
	breath    float64 // swing of the rate over a day
	slow      float64 // standard deviation of the log rate's drift over slowOver
	slowOver  float64 // minutes
	fast      float64 // the same over ten minutes
	kappa     float64 // relative variance of a minute beyond Poisson
	bursts    float64 // bursts in 24 h, times 3 to 8 for 1 to 3 minutes
	coldStart float64 // factor right after a deploy, decaying with two minutes
}

var worlds = map[string]world{
	"ideal": {},
	"real":  {diurnal: 0.6, breath: 0.15, slow: 0.12, slowOver: 240, fast: 0.12, kappa: 0.05, bursts: 2, coldStart: 3},
	"1":     {diurnal: 0.6, breath: 0.15, slow: 0.24, slowOver: 240, fast: 0.24, kappa: 0.15, bursts: 4, coldStart: 3},
	"2":     {diurnal: 0.6, breath: 0.6, slow: 0.12, slowOver: 240, fast: 0.12, kappa: 0.05, bursts: 6, coldStart: 5},
	"3":     {diurnal: 0.6, breath: 0.15, slow: 0.4, slowOver: 60, fast: 0.12, kappa: 0.5, bursts: 2, coldStart: 3},
}

// deploy is one simulated deploy: a day of history and the window after it.
type deploy struct {
	history, window []verifier.Observation
}

// simulate draws a deploy with perMinute opportunities of which a share base is
// bad, times ratio from bin onset after the deploy.
func simulate(w world, seed uint64, perMinute, base, ratio float64, onset, history, window int) deploy {
	r := rand.New(rand.NewPCG(seed, 20261123))
	noise := distuv.Normal{Mu: 0, Sigma: 1, Src: r}
	phase := 2 * math.Pi * r.Float64()
	slow, fast := w.slow*noise.Rand(), w.fast*noise.Rand()
	burst, left := 1.0, 0
	var d deploy
	for i := -history; i < window; i++ {
		if w.slowOver > 0 {
			slow = step(slow, w.slow, w.slowOver, noise.Rand())
			fast = step(fast, w.fast, 10, noise.Rand())
		}
		if left--; left < 0 {
			burst = 1
			if r.Float64() < w.bursts/1440 {
				burst, left = 3+5*r.Float64(), r.IntN(3)
			}
		}
		day := 2*math.Pi*float64(i)/1440 + phase
		rate := base * (1 + w.breath*math.Sin(day+1)) * math.Exp(slow+fast) * burst
		if i >= 0 && w.coldStart > 1 {
			rate *= 1 + (w.coldStart-1)*math.Exp(-float64(i)/2)
		}
		if i >= onset {
			rate *= ratio
		}
		o := draw(r, perMinute*(1+w.diurnal*math.Sin(day)), rate, w.kappa)
		o.At = deployedAt.Add(time.Duration(i+1) * time.Minute)
		if i < 0 {
			d.history = append(d.history, o)
		} else {
			d.window = append(d.window, o)
		}
	}
	return d
}

// step moves an Ornstein-Uhlenbeck process on by a minute.
func step(v, sd, over, z float64) float64 {
	a := math.Exp(-1 / over)
	return v*a + sd*math.Sqrt(1-a*a)*z
}

func draw(r *rand.Rand, traffic, rate, kappa float64) verifier.Observation {
	total := distuv.Poisson{Lambda: traffic, Src: r}.Rand()
	o := verifier.Observation{Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Total: total}
	if total == 0 {
		o.Outcome = verifier.NoData
		return o
	}
	if kappa > 0 {
		rate *= distuv.Gamma{Alpha: 1 / kappa, Beta: 1 / kappa, Src: r}.Rand()
	}
	o.Bad = min(total, distuv.Poisson{Lambda: total * min(rate, 1), Src: r}.Rand())
	return o
}
