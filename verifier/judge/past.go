package judge

import (
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// binOf returns the length of a bin: at most a minute and a thirtieth of the
// window, and a whole number of steps.
func binOf(p verifier.Policy) time.Duration {
	step := stepOf(p)
	want := min(time.Minute, p.Window.D()/30)
	return max(1, want/step) * step
}

func stepOf(p verifier.Policy) time.Duration {
	if p.Step.D() <= 0 {
		return time.Minute
	}
	return p.Step.D()
}

// amount is what one observation adds to a bin: x events among n
// opportunities (ratio), x events in n hours (count), or the sum x of n values
// (value). A step that could not be measured adds nothing.
type amount struct{ x, n float64 }

// largest is beyond any measurement that means something, and below where sums
// stop counting single events; what is larger counts as not measured.
const largest = 1e15

// fewest opportunities of a step, and events that are remembered, that mean
// something: counters that were extrapolated may show a part of one, and less is
// what rounding or fading left of none.
const fewest = 1e-9

// amountOf reads an observation. ok is false where nothing was measured, which
// includes numbers that can't be: NaN, beyond largest, fewer than fewest,
// negative, more bad than total.
func amountOf(kind verifier.SignalKind, o *verifier.Observation, step time.Duration) (a amount, ok bool) {
	if o.Outcome != verifier.Measured {
		return amount{}, false
	}
	switch kind {
	case verifier.Ratio:
		// Extrapolated counters may put bad a little above total.
		ok = o.Bad >= 0 && o.Total >= fewest && o.Bad <= 1.1*o.Total
		a = amount{min(o.Bad, o.Total), o.Total}
	case verifier.Count:
		span := o.Span.D()
		if span <= 0 {
			span = step
		}
		a = amount{o.Count, span.Hours()}
		ok = a.x >= 0
	case verifier.Value:
		a = amount{o.Value, 1}
		ok = !math.IsNaN(a.x)
	}
	return a, ok && math.Abs(a.x) <= largest && a.n <= largest
}

// past is the history on a regular grid that ends at the deploy. Bins without
// a measurement hold n = 0.
type past struct {
	bin    time.Duration
	x, n   []float64 // oldest first
	sx, sn []float64 // running sums, one longer
	filled []int     // running number of measured bins, one longer
}

// newPast lays the history before end on a grid. Observations inside a span
// of leftOut are dropped. A history coarser than bin gets bins of its own
// usual span.
func newPast(kind verifier.SignalKind, history []verifier.Observation, leftOut []verifier.Span, end time.Time, keep, bin, step time.Duration) past {
	bin = max(bin, usualSpan(history, end, step)/step*step)
	first := 0
	type placed struct {
		back int
		amount
	}
	all := make([]placed, 0, len(history))
	for i := range history {
		o := &history[i]
		a, ok := amountOf(kind, o, step)
		age := end.Sub(o.At)
		if !ok || age < 0 || keep > 0 && age >= keep || inside(leftOut, o.At) {
			continue
		}
		back := int(age / bin)
		if back >= maxBins {
			continue
		}
		first = max(first, back+1)
		all = append(all, placed{back, a})
	}
	p := past{bin: bin, x: make([]float64, first), n: make([]float64, first)}
	for _, a := range all {
		p.x[first-1-a.back] += a.x
		p.n[first-1-a.back] += a.n
	}
	p.sum()
	return p
}

// maxBins bounds the memory of a calibration: three months of minutes.
const maxBins = 3 * 31 * 24 * 60

func (p *past) sum() {
	p.sx, p.sn = make([]float64, len(p.x)+1), make([]float64, len(p.x)+1)
	p.filled = make([]int, len(p.x)+1)
	for i := range p.x {
		p.sx[i+1], p.sn[i+1] = p.sx[i]+p.x[i], p.sn[i]+p.n[i]
		p.filled[i+1] = p.filled[i]
		if p.n[i] > 0 {
			p.filled[i+1]++
		}
	}
}

func inside(spans []verifier.Span, t time.Time) bool {
	for _, s := range spans {
		if s.Contains(t) {
			return true
		}
	}
	return false
}

// usualSpan returns the median span of the observations, which a source
// without fine history makes longer than the step.
func usualSpan(history []verifier.Observation, end time.Time, step time.Duration) time.Duration {
	counts := map[time.Duration]int{}
	for i := range history {
		o := &history[i]
		if o.Outcome == verifier.Measured && !o.At.After(end) {
			counts[o.Span.D()]++
		}
	}
	best, most := step, 0
	for span, n := range counts {
		if n > most || n == most && span < best {
			best, most = span, n
		}
	}
	return max(best, step)
}

func (p *past) len() int { return len(p.x) }

// events and exposure over the bins [from, to), clipped to what there is.
func (p *past) over(from, to int) (x, n float64) {
	from, to = p.clip(from), p.clip(to)
	switch {
	case to <= from:
		return 0, 0
	case to == from+1:
		return p.x[from], p.n[from] // as it was, beside bins however large
	}
	return p.sx[to] - p.sx[from], p.sn[to] - p.sn[from]
}

func (p *past) measured(from, to int) int {
	from, to = p.clip(from), p.clip(to)
	if to <= from {
		return 0
	}
	return p.filled[to] - p.filled[from]
}

func (p *past) clip(i int) int { return min(max(i, 0), len(p.x)) }

// covered reports whether at least two thirds of the bins [from, to) lie in
// the history and were measured.
func (p *past) covered(from, to int) bool {
	return from >= 0 && to <= len(p.x) && to > from && 3*p.measured(from, to) >= 2*(to-from)
}

// bins returns how many bins of the history a duration holds, at least 1.
func (p *past) bins(d time.Duration) int { return max(1, int(d/p.bin)) }
