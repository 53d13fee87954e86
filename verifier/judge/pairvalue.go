package judge

import (
	"math"
	"slices"
	"sort"
)

// valuesAgainst calibrates a value that is held against a control group: what
// is calibrated is our value less what the control group's change explains.
// Whether the difference or the ratio explains it is what predicts placebo
// deploys better.
func (f *fit) valuesAgainst(c *Calibration) {
	if f.past.len() == 0 {
		return
	}
	original := f.past
	best, chosen := math.Inf(1), ControlCalibration{}
	for _, choice := range f.explanations() {
		trial := *f
		trial.past = original.against(&f.control, choice)
		trial.rough, trial.lookback = roughness(&trial.past), f.lookbacks(0.5)[0]
		if e := trial.valueError(trial.origins(trial.lookback)); e < best || best == math.Inf(1) && chosen == (ControlCalibration{}) {
			best, chosen = e, choice
		}
	}
	f.past = original.against(&f.control, chosen)
	f.values(c)
	if !c.Known {
		return
	}
	// The level is ours as it was seen: that is where the control group's
	// change counts from.
	reach := int(c.Lookback / c.Past)
	at := f.past.len()
	x, n := original.over(at-reach, at)
	cx, cn := f.control.over(at-reach, at)
	if chosen.Ratio {
		if factor := cx / cn / chosen.Level; factor > leastFactor {
			c.rescale(factor)
		}
	} else {
		c.Level = x / n
	}
	chosen.Level, chosen.Before = cx/cn, cx/cn
	c.Before = x / n
	c.Control = &chosen
}

// leastFactor is the smallest share of its usual level that a control group's
// value is held to have, so that nothing is divided by nothing.
const leastFactor = 0.05

// explanations are the ways in which a control group's change may explain ours.
func (f *fit) explanations() []ControlCalibration {
	ours, control := f.past.middle(), f.control.middle()
	difference := ControlCalibration{Level: control, Scale: 1}
	if s := ours / control; s > 0.001 && s < 1000 {
		difference.Scale = s
	}
	out := []ControlCalibration{difference}
	if f.control.least() > 0 && f.past.least() >= 0 {
		out = append(out, ControlCalibration{Level: control, Ratio: true})
	}
	return out
}

// explained returns our value as it would be had the control group stayed at
// its level.
func (c *ControlCalibration) explained(ours, control float64) float64 {
	if c.Ratio {
		return ours / c.factor(control)
	}
	return ours - c.Scale*(control-c.Level)
}

// expected returns what a level of ours becomes with the control group's
// change; it undoes explained.
func (c *ControlCalibration) expected(level, control float64) float64 {
	if c.Ratio {
		return level * c.factor(control)
	}
	return level + c.Scale*(control-c.Level)
}

func (c *ControlCalibration) factor(control float64) float64 {
	return max(control/c.Level, leastFactor)
}

// rescale multiplies everything that is in the value's own unit.
func (c *Calibration) rescale(by float64) {
	c.Level *= by
	c.Roughness += math.Log(by)
	for _, s := range [][]float64{c.Season, c.ClockLow, c.ClockHigh} {
		for i := range s {
			s[i] *= by
		}
	}
	for i := range c.Spans {
		if c.Spans[i].Of != noiseShift {
			c.Spans[i].Scale *= by
		}
	}
}

// against returns the past as it would be had the control group stayed at its
// level.
func (p *past) against(control *past, c ControlCalibration) past {
	out := past{bin: p.bin, x: make([]float64, p.len()), n: slices.Clone(p.n)}
	for i := range p.x {
		if p.n[i] > 0 {
			out.x[i] = p.n[i] * c.explained(p.x[i]/p.n[i], control.x[i]/control.n[i])
		}
	}
	out.sum()
	return out
}

// middle returns the median of the measured bins, 0 of none.
func (p *past) middle() float64 {
	values := p.values()
	if len(values) == 0 {
		return 0
	}
	return quantile(values, 0.5)
}

// least returns the level that 1 % of the measured bins do not exceed.
func (p *past) least() float64 {
	return quantile(p.values(), 0.01)
}

// values returns the levels of the measured bins, sorted.
func (p *past) values() []float64 {
	var out []float64
	for i := range p.x {
		if p.n[i] > 0 {
			out = append(out, p.x[i]/p.n[i])
		}
	}
	sort.Float64s(out)
	return out
}

// own returns the evidence of our own level.
func (e *valueEvidence) own() *valueEvidence {
	if e.alone != nil {
		return e.alone
	}
	return e
}

// ownMatters reports whether our own level went the bad way by more than is
// tolerated from bin from on, whatever the control group did: one that gets
// better makes nobody guilty.
func (e *valueEvidence) ownMatters(from int) bool {
	if e.alone == nil {
		return true
	}
	own, ok := e.alone.shifts.raw.mean(from, e.bins())
	return ok && worsening(own, e.signal.Worse) > e.slack(e.alone.c.Level)
}

// over returns our own mean level over the bins from from on, and that of the
// control group, which is what explains the rest of it.
func (e *valueEvidence) over(from int) (own, control float64, ok bool) {
	own, ok = e.alone.shifts.raw.mean(from, e.bins())
	left, ok2 := e.shifts.raw.mean(from, e.bins())
	own, left = own+e.alone.shifts.level, left+e.shifts.level
	c := e.c.Control
	if c.Ratio {
		return own, c.Level * own / left, ok && ok2 && left != 0
	}
	return own, c.Level + (own-left)/c.Scale, ok && ok2
}
