package board

import (
	"math"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// fewestUsual is how many points of the past it takes to say what is usual.
const fewestUsual = 10

// usualRange returns the 5th and the 95th percentile of a signal's past, as two
// points, each over a column as wide as the chart's own, so that line and band
// compare; nil where there is too little past. The past is what is kept for
// charts: the last two windows before the deploy.
func usualRange(e verifier.SignalEvidence, kind verifier.SignalKind, start time.Time, width time.Duration) []point {
	if len(e.Before) == 0 {
		return nil
	}
	from := e.Before[0].At.Add(-1)
	columns := int(start.Sub(from) / width)
	if columns < fewestUsual {
		return nil
	}
	var levels []float64
	for _, p := range thin(e.Before, kind, from, start, columns) {
		if p.measured && !math.IsNaN(p.level) && !math.IsInf(p.level, 0) {
			levels = append(levels, p.level)
		}
	}
	if len(levels) < fewestUsual {
		return nil
	}
	slices.Sort(levels)
	at := func(q float64) point {
		return point{at: start, measured: true, level: levels[int(math.Round(q*float64(len(levels)-1)))]}
	}
	return []point{at(0.05), at(0.95)}
}
