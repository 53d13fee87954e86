package judge

import (
	"math"
	"sort"

	"github.com/postflight/postflight/verifier"
)

// values calibrates a value signal: the scales of its statistics over each
// span among placebos, and what the largest of them reached over whole windows.
func (f *fit) values(c *Calibration) {
	f.rough = roughness(&f.past)
	f.chooseValuePredictor()
	at := f.past.len()
	_, n, reach := f.before(at, f.lookback)
	if n <= 0 {
		return
	}
	origins := f.origins(f.lookback)
	f.noiseFloor = f.usualNoise(origins)
	now := f.basis(at)
	c.Known, c.Level, c.Before, c.Events = true, now.level, now.level, float64(f.past.measured(at-reach, at))
	c.Noise, c.Roughness = now.noise, now.rough
	c.Lookback = verifier.Duration(reach) * c.Past
	if f.seasonal {
		c.SeasonBlock = c.Past
		c.Season = f.valueSeason(at, 3*f.window)
	}
	f.valuePlacebos(c, origins)
	c.Detectable = detectableShift(*c, f.signal.Delta)
}

// detectableShift returns the smallest ratio to the level that stands out in a
// whole window; 0 when that is not known.
func detectableShift(c Calibration, delta float64) float64 {
	if !c.Usual || c.Level == 0 {
		return 0
	}
	least := math.Inf(1)
	for _, s := range c.Spans {
		if s.Of == meanShift {
			least = min(least, s.Scale*c.Threshold/math.Abs(c.Level))
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return 1 + math.Round(100*max(delta, least))/100
}

func (f *fit) chooseValuePredictor() {
	best := math.Inf(1)
	choices := f.lookbacks(0.25, 0.5)
	f.lookback = choices[0]
	origins := f.origins(choices[len(choices)-1])
	if len(origins) < 4 {
		return
	}
	for _, l := range choices {
		for _, seasonal := range []bool{false, true} {
			trial := *f
			trial.lookback, trial.seasonal = l, seasonal
			if seasonal && !trial.hasSeason(origins) {
				continue
			}
			e := trial.valueError(origins)
			if seasonal {
				e *= seasonMustGain
			}
			if e < best*0.98 {
				best, f.lookback, f.seasonal = e, l, seasonal
			}
		}
	}
}

// seasonMustGain is how much better earlier days must make the prediction: they
// bring their own incidents along.
const seasonMustGain = 1.5

// valueError is the mean absolute error of a twelfth, a quarter and the whole
// of placebo windows.
func (f *fit) valueError(origins []int) float64 {
	sum, n := 0.0, 0.0
	for _, at := range origins {
		p := f.placebo(at)
		for _, part := range []int{12, 4, 1} {
			if s, ok := p.value.mean(0, max(1, f.window/part)); ok {
				sum, n = sum+math.Abs(s), n+1
			}
		}
	}
	if n == 0 {
		return math.Inf(1)
	}
	return sum / n
}

// valueSeason returns, for each of the bins from at on, the median over
// earlier days of how far that bin lay from the level before the same time.
func (f *fit) valueSeason(at, bins int) []float64 {
	out := make([]float64, bins)
	smooth := max(1, f.window/12)
	for i := 0; i < bins; i += smooth {
		var shifts []float64
		for _, d := range daysBack {
			then := at - f.day(d)
			if !f.past.covered(then-f.lookback, then) || !f.past.covered(then+i, then+i+smooth) {
				continue
			}
			x0, n0 := f.past.over(then-f.lookback, then)
			x1, n1 := f.past.over(then+i, then+i+smooth)
			shifts = append(shifts, x1/n1-x0/n0)
		}
		m := median(shifts)
		for j := i; j < min(i+smooth, bins); j++ {
			out[j] = m
		}
	}
	return out
}

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

// placebo lays a window window out as the statistics see it.
func (f *fit) placebo(at int) shifts {
	b := f.basis(at)
	s := newShifts(f.window, b)
	var season []float64
	if f.seasonal {
		season = f.valueSeason(at, f.window)
	}
	for i := range f.window {
		if f.past.n[at+i] <= 0 {
			s.push(0, 0, false)
			continue
		}
		expected := b.level
		if season != nil {
			expected += season[i]
		}
		s.push(f.past.x[at+i]/f.past.n[at+i], expected, true)
	}
	return s
}

func (f *fit) valuePlacebos(c *Calibration, origins []int) {
	c.Placebos = len(origins)
	c.Usual = c.Independent >= enoughWindows && len(origins) >= enoughWindows
	if !c.Usual {
		return
	}
	all := make([]shifts, len(origins))
	for i, at := range origins {
		all[i] = f.placebo(at)
	}
	c.Spans = f.spans(all, c.Level)
	tops := make([]float64, len(all))
	for i := range all {
		for to := f.warmup + minSpan; to <= f.window; to++ {
			tops[i] = max(tops[i], all[i].largest(c.Spans, f.warmup, to, f.window, f.signal.Worse).score)
		}
		c.TopPlacebo = max(c.TopPlacebo, tops[i])
	}
	c.Threshold = max(robustThreshold(tops, c.Independent, budget(f.policy)), 1e-3)
}

// spans measures the scale of every statistic over every span.
func (f *fit) spans(all []shifts, level float64) []Span {
	var out []Span
	shortest := minSpan
	if h := held(&f.past); h > 1 {
		shortest = max(shortest, 2*h)
	}
	for _, of := range []Statistic{meanShift, localShift, jump, noiseShift} {
		if of == noiseShift && f.signal.Worse != verifier.WorseBoth && f.signal.Worse != "" {
			continue
		}
		for _, w := range spanLengths {
			if w < shortest && w != spanLengths[len(spanLengths)-1] || w > f.window-f.warmup {
				continue
			}
			at := f.warmup
			if of == jump {
				if at += w; w > longestJump || at+w > f.window {
					continue
				}
			}
			s := Span{Of: of, Bins: w}
			var seen []float64
			for i := range all {
				if v, ok := all[i].mean(of, at, at+w); ok {
					seen = append(seen, worsening(v, f.signal.Worse))
				}
			}
			sort.Float64s(seen)
			s.Scale = max(quantile(seen, 0.95), leastScale(of, level, f.noiseFloor))
			out = append(out, s)
		}
	}
	return out
}

// leastScale keeps a constant history from making a proof of every ripple.
func leastScale(of Statistic, level, noise float64) float64 {
	switch of {
	case localShift:
		return 1e-3 * max(math.Abs(level), tiny) / max(noise, tiny)
	case noiseShift:
		return 0.05
	}
	return max(1e-3*math.Abs(level), 1e-12)
}

// held returns for how many bins a source usually repeats each measurement: 5
// where a series of five minutes is read every minute. Such bins are one
// measurement.
func held(p *past) int {
	same, n := 0.0, 0.0
	for i := 1; i < p.len(); i++ {
		if p.n[i] > 0 && p.n[i-1] > 0 {
			n++
			if p.x[i]/p.n[i] == p.x[i-1]/p.n[i-1] {
				same++
			}
		}
	}
	if n == 0 || same/n < 0.7 || same/n > 0.9 {
		return 1
	}
	return int(math.Round(1 / (1 - same/n)))
}
