package judge

import (
	"fmt"
	"math"

	"github.com/postflight/postflight/verifier"
)

// valueEvidence follows a value signal against its calibration. Its memory
// does not grow with the window.
type valueEvidence struct {
	signal verifier.Signal
	c      Calibration
	window int // bins
	shifts shifts
	warm   int // bins before the end of warm-up

	peak     peak    // at the last bin
	top      float64 // largest score of any bin
	lasting  persistence
	harm     peak    // the largest at the last bin that is unusual and matters
	expected float64 // of the last bin

	alone *valueEvidence // of the same signal without its control group
}

func newValueEvidence(s verifier.Signal, c Calibration, window int) *valueEvidence {
	longest := 2 * longestJump
	for _, sp := range c.Spans {
		longest = max(longest, sp.Bins)
	}
	return &valueEvidence{signal: s, c: c, window: window, expected: c.Level,
		shifts: newShifts(longest, basis{level: c.Level, rough: c.Roughness})}
}

func (e *valueEvidence) bins() int { return e.shifts.value.bins }

// add takes the next bin.
func (e *valueEvidence) add(b bin, warm bool) {
	e.shifts.push(b)
	if !warm {
		e.warm = e.bins()
		return
	}
	if !b.ok {
		return
	}
	e.expected = b.expected
	e.peak, e.harm = peak{}, peak{}
	standsOut, usual := 0.0, e.usual()
	e.shifts.each(e.c.Spans, e.warm, e.bins(), e.window, e.signal.Worse, func(p peak) {
		standsOut = max(standsOut, p.standsOut())
		if p.score <= e.peak.score && p.score <= max(e.harm.score, usual) {
			return
		}
		e.shifts.detail(&p, e.bins())
		if p.score > e.peak.score {
			e.peak = p
		}
		if p.score > max(e.harm.score, usual) && e.matters(p) {
			e.harm = p
		}
	})
	e.top = max(e.top, e.peak.score)
	if e.bins() >= e.warm+minSpan {
		e.lasting.add(standsOut)
	}
}

// usual is what the service's own past ever reached by now.
func (e *valueEvidence) usual() float64 { return max(e.c.Threshold, e.c.clockTop(e.bins()-1), tiny) }

// slack is the tolerated distance from a level that is expected.
func (e *valueEvidence) slack(expected float64) float64 {
	return e.signal.Delta*math.Abs(expected) + e.signal.Epsilon
}

// matters reports whether a peak is harm of a size that matters: a shift
// beyond the tolerance even without its two worst bins, or noise that changed by
// half or more.
func (e *valueEvidence) matters(p peak) bool {
	if p.score <= 0 {
		return false
	}
	if p.of == noiseShift {
		return math.Abs(p.noise) > math.Log(1.5)
	}
	rest := e.shifts.sustained(p.from, e.bins(), p.shift)
	return worsening(p.shift, e.signal.Worse) > e.slack(e.expected) && rest > e.slack(e.expected) && e.ownMatters(p.from)
}

// broken reports whether an absolute limit is broken with confidence: by the
// mean over five bins or more, by as much as the service's own noise over such
// a span ever explains. Without placebos the last ten bins must all break it.
func (e *valueEvidence) broken(limit, sign float64, run int) bool {
	if !e.c.Usual {
		return run >= 10
	}
	for _, s := range e.c.Spans {
		if s.Of != meanShift || s.Bins < 5 || e.bins()-s.Bins < e.warm {
			continue
		}
		m, ok := e.shifts.value.mean(e.bins()-s.Bins, e.bins())
		if ok && run >= minSpan && sign*(e.expected+m-limit) > e.c.Threshold*s.Scale {
			return true
		}
	}
	return false
}

// calm reports whether harm is ruled out well enough to let pipelines go on:
// after five bins, nothing reaches half of what is unusual, or half of what
// matters.
func (e *valueEvidence) calm() bool {
	if !e.c.Usual || e.bins()-e.warm < 5 {
		return false
	}
	if e.alone != nil && e.alone.calm() {
		return true // our own level did nothing, whatever the control group does
	}
	return e.peak.score < e.c.Threshold/2 || e.peak.of != noiseShift && math.Abs(e.peak.shift) < e.slack(e.expected)/2
}

// findValue answers for values, which have no question of chance.
func (w *Watch) findValue(f *verifier.Finding) {
	e := w.values
	after := w.total
	if after.n == 0 {
		after = w.early
	}
	if after.n > 0 {
		f.After = pointer(after.x / after.n)
	}
	switch {
	case !w.c.Known:
		f.State = verifier.SignalUnknown
		return
	case after.n == 0:
		if w.steps.NoData+w.steps.Error > 0 {
			f.State = verifier.SignalUnknown
		}
		return
	}
	w.valueLimit(f)
	if w.c.Usual {
		f.Usual.Score = round(e.peak.score / w.usual())
		f.Usual.Yes = f.Usual.Score > 1
	}
	if f.Usual.Yes && e.harm.score > 0 {
		f.Usual.Score = round(e.harm.score / w.usual())
		f.Matters.Yes, f.State = true, verifier.SignalBad
		f.Onset = w.moment(e.harm.from)
		if e.harm.of == noiseShift {
			f.Message = fmt.Sprintf("its noise changed %s-fold", digits(math.Exp(e.harm.noise)))
		}
		return
	}
	if f.Cleared = e.calm(); f.Cleared {
		f.State = verifier.SignalGood
	}
}

// valueLimit says what was expected over the time that After is about, and how
// far from it harm begins: the whole time since warm-up, or the span that is
// bad.
func (w *Watch) valueLimit(f *verifier.Finding) {
	e := w.values
	expected := w.c.Level
	if w.total.n > 0 {
		expected += w.weighted / w.total.n
	}
	if e.harm.score > 0 {
		expected = e.expected
		f.After = pointer(expected + e.harm.shift)
	}
	if e.alone != nil {
		expected = w.valueBeside(f, expected)
	}
	slack := e.slack(expected)
	limit := expected + slack
	if w.signal.Worse == verifier.WorseLower || w.signal.Worse != verifier.WorseHigher && *f.After < expected {
		limit = expected - slack
		f.Matters.Yes = *f.After < limit
	} else {
		f.Matters.Yes = *f.After > limit
	}
	f.Expected, f.Matters.Limit = pointer(expected), pointer(limit)
	f.Matters.Yes = f.Matters.Yes || e.matters(e.peak)
}
