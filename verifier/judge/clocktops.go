package judge

import (
	"time"

	"github.com/postflight/postflight/verifier"
)

// How many times as far as an earlier day at the same clock time a deploy must
// go, for what a job does differs from day to day: in evidence, which is a
// logarithm, or in spans of a value, whose scale says already what differs.
const (
	clockFactorRate  = 2
	clockFactorValue = 1.15
)

// Reach returns how far before a deploy its history is asked for. It is the
// policy's History, and where that holds a day or more as long again as may
// stand for "just before": the same clock time a History ago needs a level
// before it to be compared with. The addition is twelve windows, at most a day.
func Reach(p verifier.Policy) time.Duration {
	history := p.History.D()
	if history < 24*time.Hour {
		return history
	}
	return history + min(12*p.Window.D(), 24*time.Hour)
}

// clockTops runs the placebos that lie a whole number of days before the
// deploy: what they had reached by each share of the window. A job that runs at
// the same time every day, or the same day every week, is among them, however
// seldom it is among all placebos. ran returns how far a placebo deploy at a bin
// had gone after every so many bins.
func (f *fit) clockTops(c *Calibration, ran func(c Calibration, at int) []float64) {
	for _, d := range daysBack {
		at := f.past.len() - f.day(d)
		if !f.past.covered(at, at+f.window) || f.past.measured(at-f.lookback, at) == 0 {
			continue
		}
		for i, v := range ran(*c, at) {
			if i == len(c.ClockTops) {
				c.ClockTops = append(c.ClockTops, 0)
			}
			c.ClockTops[i] = max(c.ClockTops[i], v)
		}
	}
	if len(c.ClockTops) > 0 {
		c.ClockTopsEvery = verifier.Duration(f.every()) * c.Past
	}
}

// every is how many bins lie between two looks at a placebo: a fifteenth of
// the window.
func (f *fit) every() int { return max(1, f.window/15) }

// clockTop returns what earlier days had reached by the end of a bin, and one
// look more, for a job's clock is not the second.
func (c *Calibration) clockTop(bin int) float64 {
	if len(c.ClockTops) == 0 || c.ClockTopsEvery <= 0 {
		return 0
	}
	i := int(time.Duration(bin+1)*c.Bin.D()/c.ClockTopsEvery.D()) + 1
	factor := float64(clockFactorRate)
	if c.Kind == verifier.Value {
		factor = clockFactorValue
	}
	return factor * c.ClockTops[min(i, len(c.ClockTops)-1)]
}

// usual is what the service's own past ever reached by now, in the unit of
// Calibration.Threshold: the score of question three is a multiple of it.
func (w *Watch) usual() float64 {
	least := 1.0
	if w.signal.Kind == verifier.Value {
		least = tiny
	}
	return max(w.c.Threshold, w.c.clockTop(w.now), least)
}

// clockHolds reports whether an earlier day is what makes the present usual.
func (w *Watch) clockHolds() bool { return w.c.clockTop(w.now) >= w.usual() }
