package judge

import "math"

// basis is what a window of a value signal is held against.
type basis struct {
	level float64 // mean over the lookback
	rough float64 // mean log step over the lookback
}

func (f *fit) basis(at int) basis {
	x, n, reach := f.before(at, f.lookback)
	if n <= 0 {
		return basis{}
	}
	b := basis{level: x / n}
	b.rough, _ = f.rough.mean(at-reach, at)
	return b
}

const tiny = 1e-9

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
