package judge

import (
	"math"

	"github.com/postflight/postflight/verifier"
)

// valueEvidence follows a value signal: how far its mean has shifted from what
// was expected, over spans that end now. Its memory does not grow with the
// window.
type valueEvidence struct {
	signal verifier.Signal
	c      Calibration
	past   deviations
	warm   int // bins before the end of warm-up

	score, shift float64 // of the last bin: what is usual is asked of these
	length       int     // bins of the span that says most
	top          float64 // largest score so far
	expected     float64 // of the last bin
}

func newValueEvidence(s verifier.Signal, c Calibration) *valueEvidence {
	longest := 1
	for _, sp := range c.Spans {
		longest = max(longest, sp.Bins)
	}
	return &valueEvidence{signal: s, c: c, past: newDeviations(longest), expected: c.Level}
}

// add takes the next bin; ok is false where it was not measured.
func (e *valueEvidence) add(value, expected float64, ok, warm bool) {
	e.past.push(value-expected, ok)
	if !warm {
		e.warm = e.past.bins
		return
	}
	if !ok {
		return
	}
	e.expected = expected
	e.score, e.shift, e.length = largestShift(e.c.Spans, &e.past, e.warm, e.past.bins, e.signal.Worse)
	e.top = max(e.top, e.score)
}

// broken reports whether an absolute limit is broken with confidence: by the
// mean over five bins or more, by as much as the service's own noise over such
// a span ever explains. Without placebos the last ten bins must all break it.
func (e *valueEvidence) broken(limit float64, sign float64, run int) bool {
	if !e.c.Usual {
		return run >= 10
	}
	for _, s := range e.c.Spans {
		if s.Bins < 5 || e.past.bins-s.Bins < e.warm {
			continue
		}
		m, ok := e.past.mean(e.past.bins-s.Bins, e.past.bins)
		if ok && run >= 3 && sign*(e.expected+m-limit) > e.c.Threshold*s.Scale {
			return true
		}
	}
	return false
}

// calm reports whether a shift of the size that would be called bad is ruled
// out well enough to let pipelines go on: every span's shift is below half of
// what placebos reach, or below half of what matters.
func (e *valueEvidence) calm() bool {
	if !e.c.Usual || e.past.bins-e.warm < 5 {
		return false
	}
	return e.score < e.c.Threshold/2 || math.Abs(e.shift) < 0.5*(e.signal.Delta*math.Abs(e.expected)+e.signal.Epsilon)
}
