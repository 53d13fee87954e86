package board

import (
	"math"
	"strconv"
	"time"
)

// scale maps values from lo..hi to positions from..to in the chart's own
// units. A scale without extent maps everything to from.
type scale struct {
	lo, hi, from, to float64
}

func (s scale) at(v float64) float64 {
	if s.hi == s.lo {
		return s.from
	}
	return s.from + (v-s.lo)/(s.hi-s.lo)*(s.to-s.from)
}

// ticks returns the round values (1, 2 or 5 times a power of ten apart) from
// the first at or below lo to the first at or above hi, in about n steps: the
// axis begins and ends on a tick. lo and hi must be finite.
func ticks(lo, hi float64, n int) []float64 {
	if hi <= lo {
		pad := math.Max(math.Abs(lo)/2, 0.5)
		lo, hi = lo-pad, hi+pad
	}
	step := roundStep((hi - lo) / float64(n))
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	out := make([]float64, 0, n+3)
	for i := first; i <= last; i++ {
		out = append(out, i*step)
	}
	return out
}

// roundStep returns the smallest of 1, 2 or 5 times a power of ten that is at
// least raw, which is above 0.
func roundStep(raw float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= raw*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// timeSteps are the distances that read well on a clock.
var timeSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
}

// timeTicks returns the round times in [from, to], at most n apart from
// stretches of more than n weeks, which get one a week.
func timeTicks(from, to time.Time, n int) []time.Time {
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if to.Sub(from)/s < time.Duration(n) {
			step = s
			break
		}
	}
	first := from.UTC().Truncate(step)
	if first.Before(from) {
		first = first.Add(step)
	}
	var out []time.Time
	for t := first; !t.After(to); t = t.Add(step) {
		out = append(out, t)
	}
	return out
}

// timeLabel prints a tick as short as its neighbours allow.
func timeLabel(t time.Time, step time.Duration) string {
	switch {
	case step < time.Minute:
		return t.UTC().Format("15:04:05")
	case step < 24*time.Hour:
		return t.UTC().Format("15:04")
	}
	return t.UTC().Format("01-02")
}

// coordinate prints a position with a tenth of a unit: finer can't be seen.
func coordinate(x float64) string {
	return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64)
}
