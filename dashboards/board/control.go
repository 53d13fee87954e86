package board

import (
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// controlLine is what a chart shows of a signal's control group.
type controlLine struct {
	before, after []point
	levels        string // "0.4% before, 0.5% after"; "" without a control group
}

// controlGroup reads a control group's line from the observations that it was
// measured in, in the columns of the signal's own line.
func controlGroup(e verifier.SignalEvidence, kind verifier.SignalKind, from, start, to time.Time, columnsBefore, columnsAfter int) controlLine {
	past, since := peersOf(e.Before), peersOf(e.Observations)
	if past == nil && since == nil {
		return controlLine{}
	}
	return controlLine{
		before: thin(past, kind, from, start, columnsBefore),
		after:  thin(since, kind, start, to, columnsAfter),
		levels: fmt.Sprintf("%s before, %s after", over(past, kind, from, start), over(since, kind, start, to)),
	}
}

// peersOf returns the control group's part as observations of its own, nil
// when no step has one.
func peersOf(obs []verifier.Observation) []verifier.Observation {
	if !slices.ContainsFunc(obs, func(o verifier.Observation) bool { return o.Control != nil }) {
		return nil
	}
	out := make([]verifier.Observation, len(obs))
	for i, o := range obs {
		out[i] = verifier.Observation{At: o.At, Span: o.Span, Outcome: verifier.NoData}
		if c := o.Control; c != nil {
			out[i].Outcome, out[i].Bad, out[i].Total, out[i].Value = verifier.Measured, c.Bad, c.Total, c.Value
		}
	}
	return out
}

// over prints the level over a whole stretch of time.
func over(obs []verifier.Observation, kind verifier.SignalKind, from, to time.Time) string {
	if all := thin(obs, kind, from, to, 1); len(all) == 1 && all[0].measured {
		return level(kind, all[0].level)
	}
	return "not known"
}
