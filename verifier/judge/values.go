package judge

import (
	"math"
	"sort"

	"github.com/postflight/postflight/verifier"
)

// spanLengths are the spans over which a value's mean shift is looked at.
var spanLengths = []int{1, 3, 5, 10, 20, 30, 60, 120, 240}

// values calibrates a value signal: the scale of its mean shift over each span
// among placebos, and what the largest of them reached over whole windows.
func (f *fit) values(c *Calibration) {
	f.chooseValuePredictor()
	at := f.past.len()
	x, n, reach := f.before(at, f.lookback)
	if n <= 0 {
		return
	}
	c.Known, c.Level, c.Events = true, x/n, float64(f.past.measured(at-reach, at))
	c.Lookback = verifier.Duration(reach) * c.Past
	if f.seasonal {
		c.SeasonBlock = c.Past
		c.Season = f.valueSeason(at, 3*f.window)
	}
	f.valuePlacebos(c, f.origins(f.lookback))
	if c.Usual && len(c.Spans) > 0 && c.Level != 0 {
		s := c.Spans[len(c.Spans)-1]
		c.Detectable = 1 + math.Round(100*max(f.signal.Delta, s.Scale*c.Threshold/math.Abs(c.Level)))/100
	}
}

func (f *fit) chooseValuePredictor() {
	best := math.Inf(1)
	choices := f.lookbacks(1.0/12, 0.25, 0.5, 1, 3)
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
			if e := trial.valueError(origins); e < best*0.98 {
				best, f.lookback, f.seasonal = e, l, seasonal
			}
		}
	}
}

// valueError is the mean absolute error of a twelfth, a quarter and the whole
// of placebo windows.
func (f *fit) valueError(origins []int) float64 {
	sum, n := 0.0, 0.0
	for _, at := range origins {
		d := f.deviations(at)
		for _, part := range []int{12, 4, 1} {
			if s, ok := d.mean(0, max(1, f.window/part)); ok {
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

// deviations are running sums of how far bins lie from what was expected. They
// remember as many bins as they were made for, so their memory is bounded.
type deviations struct {
	sum  []float64
	n    []int
	bins int // pushed so far
}

func newDeviations(remember int) deviations {
	return deviations{sum: make([]float64, remember+1), n: make([]int, remember+1)}
}

// mean returns the mean deviation over the bins [from, to). ok is false where
// fewer than two thirds of them were measured, or they are forgotten.
func (d *deviations) mean(from, to int) (mean float64, ok bool) {
	if from < 0 || d.bins-from >= len(d.sum) {
		return 0, false
	}
	i, j := from%len(d.sum), to%len(d.sum)
	n := d.n[j] - d.n[i]
	if 3*n < 2*(to-from) || n == 0 {
		return 0, false
	}
	return (d.sum[j] - d.sum[i]) / float64(n), true
}

func (d *deviations) push(v float64, ok bool) {
	i, j := d.bins%len(d.sum), (d.bins+1)%len(d.sum)
	d.sum[j], d.n[j] = d.sum[i], d.n[i]
	if ok {
		d.sum[j], d.n[j] = d.sum[j]+v, d.n[j]+1
	}
	d.bins++
}

func (f *fit) deviations(at int) deviations {
	x0, n0, _ := f.before(at, f.lookback)
	level := 0.0
	if n0 > 0 {
		level = x0 / n0
	}
	var season []float64
	if f.seasonal {
		season = f.valueSeason(at, f.window)
	}
	d := newDeviations(f.window)
	for i := range f.window {
		n := f.past.n[at+i]
		if n <= 0 {
			d.push(0, false)
			continue
		}
		v := f.past.x[at+i]/n - level
		if season != nil {
			v -= season[i]
		}
		d.push(v, true)
	}
	return d
}

func (f *fit) valuePlacebos(c *Calibration, origins []int) {
	c.Placebos = len(origins)
	c.Usual = c.Independent >= enoughWindows && len(origins) >= enoughWindows
	if !c.Usual {
		return
	}
	all := make([]deviations, len(origins))
	for i, at := range origins {
		all[i] = f.deviations(at)
	}
	for _, w := range spanLengths {
		if w > f.window-f.warmup {
			break
		}
		c.Spans = append(c.Spans, Span{Bins: w, Scale: f.spanScale(all, w, c.Level)})
	}
	tops := make([]float64, len(all))
	for i := range all {
		for to := f.warmup + 1; to <= f.window; to++ {
			s, _, _ := largestShift(c.Spans, &all[i], f.warmup, to, f.signal.Worse)
			tops[i] = max(tops[i], s)
		}
		c.TopPlacebo = max(c.TopPlacebo, tops[i])
	}
	c.Threshold = max(tailThreshold(tops, c.Independent, budget(f.policy)), 1)
}

func (f *fit) spanScale(all []deviations, w int, level float64) float64 {
	var shifts []float64
	for i := range all {
		if s, ok := all[i].mean(f.warmup, f.warmup+w); ok {
			shifts = append(shifts, math.Abs(s))
		}
	}
	sort.Float64s(shifts)
	return max(quantile(shifts, 0.98), 1e-3*math.Abs(level), 1e-12)
}

// largestShift returns the largest mean shift over the spans that end at bin
// to and begin no earlier than from, in units of each span's own scale, and
// that shift in the signal's own unit and the length of its span.
func largestShift(spans []Span, d *deviations, from, to int, worse verifier.Worse) (score, shift float64, length int) {
	for _, s := range spans {
		if to-s.Bins < from {
			break
		}
		m, ok := d.mean(to-s.Bins, to)
		if !ok {
			continue
		}
		if v := worsening(m, worse) / s.Scale; v > score {
			score, shift, length = v, m, s.Bins
		}
	}
	return score, shift, length
}

// worsening returns how far a shift goes in the bad direction, at least 0.
func worsening(shift float64, worse verifier.Worse) float64 {
	switch worse {
	case verifier.WorseHigher:
		return max(shift, 0)
	case verifier.WorseLower:
		return max(-shift, 0)
	}
	return math.Abs(shift)
}
