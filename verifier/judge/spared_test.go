package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestFeedbackLeavesAPast: whatever people call wrong, enough is left to say what
// is usual; what was reverted is left out all the same.
func TestFeedbackLeavesAPast(t *testing.T) {
	start := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	p := verifier.Policy{Window: verifier.Duration(time.Hour), Step: verifier.Duration(time.Minute), History: verifier.Duration(7 * 24 * time.Hour)}
	s := verifier.Signal{Name: "errors", Kind: verifier.Ratio}
	past := func(hours int) (out []verifier.Observation) {
		for i := range hours * 60 {
			out = append(out, verifier.Observation{At: start.Add(-time.Duration(hours*60-i-1) * time.Minute), Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Bad: 1, Total: 100})
		}
		return out
	}
	// hour spans one hour so many hours before the deploy.
	hour := func(before int, feedback bool) verifier.Span {
		at := start.Add(-time.Duration(before) * time.Hour)
		return verifier.Span{From: at, To: at.Add(time.Hour), Feedback: feedback}
	}
	for name, c := range map[string]struct {
		hours          int
		leftOut        []verifier.Span
		points, spared int
	}{
		"nobody said anything":       {24, nil, 24 * 60, 0},
		"a few":                      {24, []verifier.Span{hour(9, true), hour(5, true)}, 22 * 60, 0},
		"all of a day":               {24, every(24, hour, true), 10 * 60, 10},
		"reverts are left out":       {24, every(24, hour, false), 0, 0},
		"a short past":               {6, every(6, hour, true), 3 * 60, 3},
		"a revert beside":            {24, append([]verifier.Span{hour(20, false)}, every(18, hour, true)...), 10 * 60, 5},
		"where nothing was measured": {4, append([]verifier.Span{hour(9, true)}, hour(2, true)), 3 * 60, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := Calibrate(s, p, past(c.hours), c.leftOut, start)
			require.Equal(t, c.spared, got.Spared)
			require.Equal(t, c.points, got.Points)
		})
	}
}

func every(hours int, hour func(int, bool) verifier.Span, feedback bool) (out []verifier.Span) {
	for before := hours; before > 0; before-- {
		out = append(out, hour(before, feedback))
	}
	return out
}
