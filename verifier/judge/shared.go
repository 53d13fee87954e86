package judge

import (
	"fmt"
	"math"

	"github.com/postflight/postflight/verifier"
)

// setAlone has the same signal watched without its control group beside w:
// absolute limits are about our own level, and what is bad there and not here
// is what the control group explains.
func (w *Watch) setAlone(alone *Watch) {
	w.alone, w.most, w.least = alone, alone.most, alone.least
	if w.values != nil && w.c.Control != nil {
		w.values.alone = alone.values
	}
}

// rateBeside says what the control group did over the time that a finding is
// about, what that makes expected (never less than before), and returns from where on harm matters.
func (w *Watch) rateBeside(f *verifier.Finding, top *run) (limit float64) {
	p := w.rates.against
	sums := p.all
	if len(p.since) > 0 && p.since[0].ours.n > 0 {
		sums = p.since[0]
	}
	if f.Chance.Yes && top != nil {
		sums = p.sumsOf(w.rates, top)
		f.After, f.Expected = pointer(sums.ours.x/sums.ours.n), pointer(w.c.Before*top.n/sums.ours.n)
	}
	f.Expected = pointer(max(*f.Expected, w.c.Before))
	f.Control = &verifier.ControlFinding{Before: pointer(w.c.Control.Before)}
	if sums.control.n > 0 {
		f.Control.After = pointer(sums.control.x / sums.control.n)
	}
	limit = w.tolerated(*f.Expected, 1)
	f.Matters.Limit = pointer(limit)
	return limit
}

// valueBeside says what the control group did over the time that a finding is
// about, and returns what that makes expected: never better than before, for a
// control group that gets better makes nobody guilty.
func (w *Watch) valueBeside(f *verifier.Finding, expected float64) float64 {
	e := w.values
	f.Control = &verifier.ControlFinding{Before: pointer(w.c.Control.Before)}
	if w.control.n > 0 {
		f.Control.After = pointer(w.control.x / w.control.n)
	}
	if own, control, ok := e.over(e.harm.from); ok && e.harm.score > 0 {
		expected = w.c.Control.expected(e.expected, control)
		f.After, f.Control.After = pointer(own), pointer(control)
	}
	switch w.signal.Worse {
	case verifier.WorseHigher:
		return max(expected, w.c.Level)
	case verifier.WorseLower:
		return min(expected, w.c.Level)
	}
	return expected
}

// findShared tells harm of ours that the control group shows likewise: the
// signal would be bad by itself, is not worse than the control group makes
// expected, and the control group went the same way by more than is tolerated.
// Then the deploy is not proven to be the cause, whatever limit is broken: asked
// is what the three questions said before any limit did.
func (w *Watch) findShared(f *verifier.Finding, asked verifier.Finding) {
	if w.alone == nil || f.Control == nil || f.State == verifier.SignalBad && (f.Rule == "" || w.beyondExpected(f)) {
		return
	}
	alone := w.alone.Finding()
	if alone.State != verifier.SignalBad || alone.Before == nil || alone.After == nil {
		return
	}
	control, n := w.controlOver(f)
	if !w.wentToo(control, n, math.Copysign(1, *alone.After-*alone.Before)) {
		if f.State != verifier.SignalBad && asked.Matters.Yes {
			f.Cleared = false
			w.blameless = fmt.Sprintf("%s from %s to %s, and what the control group did (%s to %s) is not enough to prove that it is this deploy",
				moved(alone), w.unit(*alone.Before), w.unit(*alone.After), w.unit(w.c.Control.Before), w.unit(control))
			f.Message = w.blameless
		}
		return
	}
	f.State, f.Rule, f.Cleared, f.Shared = verifier.SignalPending, "", false, true
	f.Matters, f.Chance = asked.Matters, asked.Chance
	f.After, f.Onset = alone.After, alone.Onset
	f.Control.After = pointer(control)
	w.blameless = fmt.Sprintf("%s from %s to %s, and so did the control group (%s to %s): not proven to be this deploy",
		moved(*f), w.unit(*f.Before), w.unit(*f.After), w.unit(w.c.Control.Before), w.unit(control))
	f.Message = w.blameless
}

// beyondExpected reports whether the level is worse than tolerated with what
// the control group makes expected.
func (w *Watch) beyondExpected(f *verifier.Finding) bool {
	if f.After == nil || f.Expected == nil {
		return true
	}
	if w.signal.Kind == verifier.Value {
		return worsening(*f.After-*f.Expected, w.signal.Worse) > w.values.slack(*f.Expected)
	}
	return *f.After > w.tolerated(*f.Expected, 1)
}

// wentToo reports whether the control group's level moved by more than is
// tolerated in the direction of sign; for a rate, measured at n opportunities,
// by more than chance: a log likelihood ratio of 3, as of 20 to 1.
func (w *Watch) wentToo(level, n, sign float64) bool {
	before := w.c.Control.Before
	slack := w.signal.Delta*math.Abs(before) + w.signal.Epsilon
	if sign*(level-before) <= slack {
		return false
	}
	if w.values != nil {
		return true
	}
	x, usual := level*n, n*w.c.Control.Level
	return x*math.Log(max(x, tiny)/usual)-(x-usual) >= 3
}

// controlOver returns the control group's level over the time in which the
// signal by itself is bad, and the opportunities it was measured at.
func (w *Watch) controlOver(f *verifier.Finding) (level, n float64) {
	level, n = *f.Control.Before, w.control.n
	if f.Control.After != nil {
		level = *f.Control.After
	}
	if w.values != nil {
		if alone := w.alone.values; alone.harm.score > 0 {
			if _, control, ok := w.values.over(alone.harm.from); ok {
				level = control
			}
		}
		return level, n
	}
	if w.rates == nil || w.alone.rates == nil {
		return level, n
	}
	if _, top := w.alone.rates.logE(); top != nil {
		if sums := w.rates.against.sumsOf(w.alone.rates, top); sums.control.n > 0 {
			level, n = sums.control.x/sums.control.n, sums.control.n
		}
	}
	return level, n
}

// meanwhile says in a clause what the control group did.
func (w *Watch) meanwhile(f verifier.Finding) string {
	if f.Control == nil || f.Control.Before == nil || f.Control.After == nil {
		return ""
	}
	before, after := *f.Control.Before, *f.Control.After
	slack := w.signal.Delta*math.Abs(before) + w.signal.Epsilon
	switch {
	case math.Abs(after-before) <= slack:
		return " while the control group stayed at " + w.unit(after)
	case after > before:
		return fmt.Sprintf(" while the control group rose from %s to %s", w.unit(before), w.unit(after))
	}
	return fmt.Sprintf(" while the control group fell from %s to %s", w.unit(before), w.unit(after))
}

// controlMoved writes a control group's levels.
func controlMoved(f verifier.Finding) string {
	return known(f.Kind, f.Control.Before) + " -> " + known(f.Kind, f.Control.After)
}
