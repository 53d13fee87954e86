package judge

import (
	"math"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Point is one measurement of a recorded series.
type Point struct {
	At    time.Time
	Value float64
}

// SeriesOptions are the settings of JudgeSeries; zero values take defaults.
type SeriesOptions struct {
	Step   time.Duration  // resolution; 60s
	Window time.Duration  // judged time after the change; 120m
	Alpha  float64        // budget of false reverts, 0 < x < 1; 0.01
	Worse  verifier.Worse // direction of harm; both
	Delta  float64        // tolerated relative change; 0.05
}

// SeriesVerdict is what the judge says of one recorded change.
type SeriesVerdict struct {
	Decision  verifier.Decision
	DecidedAt time.Time
	Minutes   float64 // from the change to the decision; the window's length for keep
	// Score is the largest suspicion over the whole window, whatever was
	// decided: the logarithm of the share of placebos that would go as far, by
	// peak or by persistence, over that of alpha. A peak above 1 is beyond what
	// reverts; persistence alone counts up to 1. It compares across cases.
	Score   float64
	Finding verifier.Finding // at the decision
}

// JudgeSeries judges a recorded value series as if a deploy had happened at
// changedAt: points before it are the history, later ones arrive one by one
// until the window ends. Points may be in any order.
func JudgeSeries(points []Point, changedAt time.Time, opt SeriesOptions) SeriesVerdict {
	opt = opt.withDefaults()
	s := verifier.Signal{Name: "series", Kind: verifier.Value, Role: verifier.Decisive, Required: true,
		Worse: opt.Worse, Delta: opt.Delta, ValueSource: &verifier.ValueSource{}}
	p := verifier.Policy{Name: "series", Window: verifier.Duration(opt.Window), Interval: verifier.Duration(opt.Step),
		Step: verifier.Duration(opt.Step), FalseReverts: opt.Alpha, Signals: []verifier.Signal{s}}
	var history, window []verifier.Observation
	closes := changedAt.Add(opt.Window)
	for _, point := range points {
		o := verifier.Observation{At: point.At, Span: verifier.Duration(opt.Step), Outcome: verifier.Measured, Value: point.Value}
		switch {
		case point.At.Before(changedAt):
			history = append(history, o)
		case !point.At.After(closes):
			o.At = o.At.Add(1) // a point at the change itself is after it
			window = append(window, o)
		}
	}
	slices.SortStableFunc(window, func(a, b verifier.Observation) int { return a.At.Compare(b.At) })
	w := NewWatch(s, p, verifier.Plan{}, Calibrate(s, p, history, nil, changedAt), Times{changedAt, changedAt, closes.Add(1)})
	v := SeriesVerdict{Decision: verifier.Keep, DecidedAt: closes, Minutes: opt.Window.Minutes()}
	for _, o := range window {
		w.Add(o)
		f := w.Finding()
		v.Score = max(v.Score, w.values.suspicion(opt.Alpha))
		if f.State == verifier.SignalBad && v.Decision != verifier.Revert {
			v.Decision, v.DecidedAt, v.Finding = verifier.Revert, o.At.Add(-1), f
			v.Minutes = math.Round(o.At.Sub(changedAt).Minutes()*100) / 100
		}
	}
	if v.Decision == verifier.Keep {
		v.Finding = w.Finding()
		if 2*w.due < w.stepsDue() || !w.c.Usual {
			v.Decision = verifier.Inconclusive
		}
	}
	return v
}

func (o SeriesOptions) withDefaults() SeriesOptions {
	if o.Step <= 0 {
		o.Step = time.Minute
	}
	if o.Window <= 0 {
		o.Window = 2 * time.Hour
	}
	if o.Alpha <= 0 || o.Alpha >= 1 {
		o.Alpha = 0.01
	}
	if o.Worse == "" {
		o.Worse = verifier.WorseBoth
	}
	if o.Delta <= 0 {
		o.Delta = 0.05
	}
	return o
}
