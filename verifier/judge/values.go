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
	f.choosePredictor(f.lookbacks(0.25, 0.5), func(trial fit, origins []int) float64 {
		e := trial.valueError(origins)
		if trial.seasonal {
			e *= seasonMustGain
		}
		return e
	})
	at := f.past.len()
	_, n, reach := f.before(at, f.lookback)
	if n <= 0 {
		return
	}
	origins := f.origins(f.lookback)
	now := f.basis(at)
	c.Known, c.Level, c.Before, c.Events = true, now.level, now.level, float64(f.past.measured(at-reach, at))
	c.Roughness = now.rough
	c.Lookback = verifier.Duration(reach) * c.Past
	c.SeasonBlock = verifier.Duration(f.clockBlock()) * c.Past
	var mid []float64
	mid, c.ClockLow, c.ClockHigh = f.clock(at, 3*f.window)
	if f.seasonal {
		c.Season = mid
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

// seasonMustGain is how much better earlier days must make the prediction: they
// bring their own incidents along.
const seasonMustGain = 1.5

// valueError is the mean absolute error of a twelfth, a quarter and the whole
// of placebo windows.
func (f *fit) valueError(origins []int) float64 {
	sum, n := 0.0, 0.0
	for _, at := range origins {
		away := f.away(at)
		for _, part := range []int{12, 4, 1} {
			if s, ok := away.mean(0, max(1, f.window/part)); ok {
				sum, n = sum+math.Abs(s), n+1
			}
		}
	}
	if n == 0 {
		return math.Inf(1)
	}
	return sum / n
}

// away returns how far a placebo window lay from what was expected.
func (f *fit) away(at int) deviations {
	d := newDeviations(f.window)
	level := f.basis(at).level
	var mid []float64
	if f.seasonal {
		mid, _, _ = f.clock(at, f.window)
	}
	for i := range f.window {
		n := f.past.n[at+i]
		if n <= 0 {
			d.push(0, false)
			continue
		}
		expected := level
		if mid != nil {
			expected += mid[i/f.clockBlock()]
		}
		d.push(f.past.x[at+i]/n-expected, true)
	}
	return d
}

// placebo lays a window window out as the statistics see it.
func (f *fit) placebo(at int) shifts {
	s := newShifts(f.window, f.basis(at))
	mid, low, high := f.clock(at, f.window)
	for i := range f.window {
		if f.past.n[at+i] <= 0 {
			s.push(bin{})
			continue
		}
		b := bin{value: f.past.x[at+i] / f.past.n[at+i], expected: s.level, ok: true}
		if block := i / f.clockBlock(); mid != nil {
			b.low, b.high, b.clock = low[block], high[block], true
			if f.seasonal {
				b.expected += mid[block]
			}
		}
		s.push(b)
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
	tops, lasting := make([]float64, len(all)), make([]float64, len(all))
	whole := f.whole(c.Spans)
	for i := range all {
		ran, mean := whole.placebo(&all[i])
		tops[i], lasting[i] = ran[len(ran)-1], mean
		c.TopPlacebo = max(c.TopPlacebo, tops[i])
	}
	tail := func(values []float64) Tail {
		rare := robustThreshold(values, c.Independent, budget(f.policy))
		sort.Float64s(values)
		return Tail{quantile(values, 1-ordinaryShare), rare}
	}
	peaks := tail(tops)
	c.Peaks, c.Threshold, c.Persistence = peaks.Ordinary, max(peaks.Rare, 1e-3), tail(lasting)
	f.clockTops(c, func(_ Calibration, at int) []float64 {
		s := f.placebo(at)
		ran, _ := whole.placebo(&s)
		return ran
	})
}

// spans measures the scale of every statistic over every span.
func (f *fit) spans(all []shifts, level float64) []Span {
	var out []Span
	shortest := minSpan
	if h := held(&f.past); h > 1 {
		shortest = max(shortest, 2*h)
	}
	for _, of := range []Statistic{meanShift, jump, beyondDays, noiseShift} {
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
			if len(seen) < enoughWindows {
				continue
			}
			sort.Float64s(seen)
			s.Scale = max(quantile(seen, 0.95), leastScale(of, level))
			out = append(out, s)
		}
	}
	return out
}

// leastScale keeps a constant history from making a proof of every ripple.
func leastScale(of Statistic, level float64) float64 {
	if of == noiseShift {
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
