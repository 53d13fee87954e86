package judge

import (
	"math"
	"time"

	"github.com/postflight/postflight/verifier"
)

// fit learns from a history. All lengths are in bins of the history.
type fit struct {
	signal  verifier.Signal
	policy  verifier.Policy
	past    past
	control past // the control group's, on the same grid; empty without one
	window  int
	warmup  int

	lookback int
	seasonal bool

	raw     past           // ratios and counts: with its bursts; past is without them
	recalls map[int]recall // ratios and counts: by lookback

	room  *room      // ratios and counts: for one placebo at a time
	rough deviations // value signals
}

// daysBack are the earlier days whose same clock time says what season adds.
var daysBack = []int{1, 2, 3, 7}

// choosePredictor takes the lookback, with or without the season, whose error
// over placebo windows is the smallest; one that was tried before is given up
// only for a gain of 2 %.
func (f *fit) choosePredictor(choices []int, errorOf func(trial fit, origins []int) float64) {
	best := math.Inf(1)
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
			if e := errorOf(trial, origins); e < best*0.98 {
				best, f.lookback, f.seasonal = e, l, seasonal
			}
		}
	}
}

// hasSeason reports whether most origins have at least one earlier day.
func (f *fit) hasSeason(origins []int) bool {
	n := 0
	for _, at := range origins {
		if f.past.covered(at-f.day(1)-f.lookback, at-f.day(1)+f.window) {
			n++
		}
	}
	return 2*n >= len(origins)
}

// before returns the events and exposure of the lookback that ends at bin at,
// and how far back it reached: longer than asked for where too little of it
// was measured.
func (f *fit) before(at, lookback int) (x, n float64, reach int) {
	for l := lookback; ; l *= 2 {
		if f.past.measured(at-l, at) >= min(lookback, 3) && 2*f.past.measured(at-l, at) >= min(lookback, l) || l >= at {
			x, n = f.past.over(at-l, at)
			return x, n, min(l, at)
		}
	}
}

// origins returns the bins at which placebo deploys start, evenly spread, such
// that something lies before each and a whole window after it.
func (f *fit) origins(from int) []int {
	last := f.past.len() - f.window
	if last <= from {
		return nil
	}
	stride := max(1, f.window/60, (last-from+maxPlacebos-1)/maxPlacebos)
	var out []int
	for at := last; at >= from; at -= stride {
		if f.past.covered(at, at+f.window) && f.past.measured(at-f.lookbackOr(f.window), at) > 0 {
			out = append(out, at)
		}
	}
	return out
}

func (f *fit) lookbackOr(otherwise int) int {
	if f.lookback > 0 {
		return f.lookback
	}
	return otherwise
}

// lookbacks are the stretches that may stand for "just before", in windows.
func (f *fit) lookbacks(shares ...float64) []int {
	var out []int
	for _, s := range shares {
		l := max(5, int(math.Round(s*float64(f.window))))
		if l <= f.past.len() && (len(out) == 0 || l > out[len(out)-1]) {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		out = []int{max(1, f.past.len())}
	}
	return out
}

// day returns the bins in d days.
func (f *fit) day(d int) int {
	return int(math.Round(float64(d) * 24 * float64(time.Hour) / float64(f.past.bin)))
}
