package promql

import (
	"fmt"

	"github.com/postflight/postflight/verifier"
)

// noTotal says what may be behind a counter without samples in a step.
const noTotal = "no samples of the total: no such series, or the step is shorter than two scrapes"

func valueOf(p point) verifier.Observation {
	return verifier.Observation{Outcome: p.outcome, Value: p.value, Message: p.reason}
}

// share makes ratio observations of two points.
type share struct {
	// badMayVanish says that no sample of the bad events means none happened:
	// a counter of errors doesn't exist before the first error. It is false
	// for histograms, whose buckets always exist while there is traffic.
	badMayVanish bool
}

func (s share) of(bad, total point) verifier.Observation {
	not := func(outcome verifier.Outcome, reason string) verifier.Observation {
		return verifier.Observation{Outcome: outcome, Message: reason}
	}
	switch {
	case total.outcome == verifier.Failed:
		return not(verifier.Failed, "total: "+total.reason)
	case bad.outcome == verifier.Failed:
		return not(verifier.Failed, "bad: "+bad.reason)
	case total.empty:
		return not(verifier.NoData, noTotal)
	case total.outcome == verifier.NoData:
		return not(verifier.NoData, "total: "+total.reason)
	case total.value < 0:
		return not(verifier.Failed, fmt.Sprintf("total is %g: is it a counter?", total.value))
	case total.value == 0:
		return not(verifier.NoData, "no traffic")
	case bad.empty && s.badMayVanish:
		return verifier.Observation{Outcome: verifier.Measured, Total: total.value}
	case bad.outcome == verifier.NoData:
		return not(verifier.NoData, "bad: "+bad.reason)
	}
	return clamp(bad.value, total.value)
}

// clamp evens out what extrapolation does to two counters that are scraped at
// one time but count at two, and refuses what it can't explain.
func clamp(bad, total float64) verifier.Observation {
	slack := 5 + total
	if bad < -slack/10 || bad > total+slack {
		return verifier.Observation{Outcome: verifier.Failed, Message: fmt.Sprintf("%g bad of %g: the two don't count the same events", bad, total)}
	}
	return verifier.Observation{Outcome: verifier.Measured, Bad: min(max(bad, 0), total), Total: total}
}
