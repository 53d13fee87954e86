package judge

import (
	"math"

	"github.com/postflight/postflight/verifier"
)

// Statistic names what of a value signal is compared with its own past.
type Statistic string

// The statistics. Each is a mean over a span of bins since the deploy.
const (
	meanShift  Statistic = "shift" // distance from what was expected
	noiseShift Statistic = "noise" // change of the mean log step from bin to bin

	// jump is the distance from the same number of bins just before the span,
	// or, where that is smaller, how far it exceeds the jump that the highest (for
	// a fall, the lowest) of earlier days make at this clock time.
	jump Statistic = "jump"

	// beyondDays is the distance from the level just before or, where that is
	// smaller, from the furthest that any earlier day went from its own by this
	// clock time.
	beyondDays Statistic = "beyond"
)

// weight says how much a statistic counts beside the plain shift.
func (s Statistic) weight() float64 {
	switch s {
	case beyondDays:
		return 0.8
	case noiseShift:
		return 0.9
	}
	return 1
}

// spanLengths are the spans, in bins, over which a value is looked at.
var spanLengths = []int{3, 4, 5, 7, 10, 15, 20, 30, 60, 120, 240}

// longestJump is the longest span that is held against the span before it.
const longestJump = 30

// minSpan is the shortest of them: less than three bins are a blip.
const minSpan = 3

// deviations are running sums over bins. They remember as many bins as they
// were made for, so their memory is bounded.
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
	i, j := from, to
	if d.bins >= len(d.sum) {
		i, j = from%len(d.sum), to%len(d.sum)
	}
	n := d.n[j] - d.n[i]
	if 3*n < 2*(to-from) || n == 0 {
		return 0, false
	}
	return (d.sum[j] - d.sum[i]) / float64(n), true
}

// jump returns the mean over [from, to) less that over as many bins before.
func (d *deviations) jump(from, to int) (float64, bool) {
	before, ok := d.mean(2*from-to, from)
	after, ok2 := d.mean(from, to)
	return after - before, ok && ok2
}

func (d *deviations) push(v float64, ok bool) {
	i, j := d.bins%len(d.sum), (d.bins+1)%len(d.sum)
	d.sum[j], d.n[j] = d.sum[i], d.n[i]
	if ok {
		d.sum[j], d.n[j] = d.sum[j]+v, d.n[j]+1
	}
	d.bins++
}

// shifts follows a value signal against a basis.
type shifts struct {
	basis
	value, step deviations // from what was expected, from bin to bin
	raw         deviations // from the level just before
	low, high   deviations // from the least and most of earlier days
	last        float64
	known       bool
	clock       bool // earlier days are known
}

func newShifts(remember int, b basis) shifts {
	s := shifts{basis: b}
	all := []*deviations{&s.value, &s.step, &s.raw, &s.low, &s.high}
	sums, counts := make([]float64, len(all)*(remember+1)), make([]int, len(all)*(remember+1))
	for i, d := range all {
		from, to := i*(remember+1), (i+1)*(remember+1)
		d.sum, d.n = sums[from:to:to], counts[from:to:to]
	}
	return s
}

// bin is one bin of a value signal; ok is false where it was not measured.
type bin struct {
	value, expected float64
	ok              bool
	low, high       float64 // least and most that earlier days added at this clock time
	clock           bool    // low and high are known
}

func (s *shifts) push(b bin) {
	s.value.push(b.value-b.expected, b.ok)
	s.raw.push(b.value-s.level, b.ok)
	s.low.push(b.value-s.level-b.low, b.ok && b.clock)
	s.high.push(b.value-s.level-b.high, b.ok && b.clock)
	if !b.ok {
		s.step.push(0, false)
		return
	}
	s.clock = s.clock || b.clock
	s.step.push(logStep(s.last, b.value)-s.rough, s.known)
	s.last, s.known = b.value, true
}

func (s *shifts) mean(of Statistic, from, to int) (float64, bool) {
	switch of {
	case noiseShift:
		return s.step.mean(from, to)
	case jump:
		v, ok := s.raw.jump(from, to)
		if !s.clock {
			return v, ok
		}
		w, ok2 := s.beyond(v).jump(from, to)
		return agree(v, w), ok && ok2
	case beyondDays:
		v, ok := s.raw.mean(from, to)
		w, ok2 := s.beyond(v).mean(from, to)
		return agree(v, w), ok && ok2
	}
	return s.value.mean(from, to)
}

// beyond returns the deviations from the day that went furthest in a shift's
// direction.
func (s *shifts) beyond(shift float64) *deviations {
	if shift < 0 {
		return &s.low
	}
	return &s.high
}

// peak is the most unusual thing about a window at one moment.
type peak struct {
	score float64
	late  float64 // what score was divided by for coming late
	of    Statistic
	from  int     // first bin of its span
	shift float64 // mean shift over its span, in the signal's own unit
	noise float64 // change of the mean log step over its span
}

// standsOut is how far a peak stands out, however late. A series that fell
// silent or became noisy is left to peaks: noise comes in long stretches.
func (p peak) standsOut() float64 {
	if p.of == noiseShift {
		return 0
	}
	return p.score * p.late
}

// each visits what every span says at bin to of a window that is looked at from
// bin from on. Harm that a deploy does is mostly there at once: a span that
// began later counts a sixth less, and the later the middle of a span the less
// it counts, down to a seventh at the window's end. Placebos are treated alike,
// so this spends the budget of false reverts early and not twice.
func (s *shifts) each(spans []Span, from, to, window int, worse verifier.Worse, visit func(peak)) {
	for _, sp := range spans {
		start := to - sp.Bins
		if start < from || sp.Of == jump && start-sp.Bins < from {
			continue
		}
		m, ok := s.mean(sp.Of, start, to)
		if !ok {
			continue
		}
		late := lateness(to-from, sp.Bins, window)
		v := scored(worsening(m, worse), sp.Scale, sp.Of.weight(), late, start > from && sp.Of != jump)
		visit(peak{score: v, late: late, of: sp.Of, from: start})
	}
}

func (s *shifts) detail(p *peak, to int) {
	p.shift, _ = s.value.mean(p.from, to)
	p.noise, _ = s.step.mean(p.from, to)
}

// sustained returns the mean shift over [from, to) without the two bins that
// say most for the direction of shift, so that a blip proves nothing.
func (s *shifts) sustained(from, to int, shift float64) float64 {
	sign := math.Copysign(1, shift)
	var first, second, sum, n float64
	for i := from; i < to; i++ {
		v, ok := s.value.mean(i, i+1)
		if !ok {
			continue
		}
		v *= sign
		sum, n = sum+v, n+1
		switch {
		case v > first:
			first, second = v, first
		case v > second:
			second = v
		}
	}
	if n < minSpan {
		return 0
	}
	return (sum - first - second) / (n - 2)
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
