package judge

import (
	"math"
	"sort"
)

// basis is what a window of a value signal is held against.
type basis struct {
	level float64 // mean over the lookback
	noise float64 // standard deviation over the lookback, at least what is usual
	rough float64 // mean log step over the lookback
}

func (f *fit) basis(at int) basis {
	x, n, reach := f.before(at, f.lookback)
	if n <= 0 {
		return basis{noise: max(f.noiseFloor, tiny)}
	}
	b := basis{level: x / n}
	squares := 0.0
	for i := at - reach; i < at; i++ {
		if f.past.n[i] > 0 {
			d := f.past.x[i]/f.past.n[i] - b.level
			squares += d * d
		}
	}
	b.noise = max(math.Sqrt(squares/float64(f.past.measured(at-reach, at))), f.noiseFloor, tiny)
	b.rough, _ = f.rough.mean(at-reach, at)
	return b
}

const tiny = 1e-9

// usualNoise is the noise below which a quiet hour counts as luck: the 30th
// percentile over placebos, at least a fiftieth of the 95th.
func (f *fit) usualNoise(origins []int) float64 {
	var all []float64
	for _, at := range origins {
		all = append(all, f.basis(at).noise)
	}
	sort.Float64s(all)
	return max(quantile(all, 0.3), 0.02*quantile(all, 0.95), tiny)
}

// roughness sums the logarithm of the step from each bin to the next, which
// shows a change of noise where the mean stays.
func roughness(p *past) deviations {
	d := newDeviations(p.len())
	last, known := 0.0, false
	for i := range p.len() {
		if p.n[i] <= 0 {
			d.push(0, false)
			continue
		}
		v := p.x[i] / p.n[i]
		d.push(logStep(last, v), known)
		last, known = v, true
	}
	return d
}

func logStep(from, to float64) float64 {
	return math.Log(math.Abs(to-from) + 1e-3*math.Abs(to) + tiny)
}
