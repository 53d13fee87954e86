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

// trafficOf tells a counter that doesn't move, which is no traffic, from one
// that isn't there.
func trafficOf(p point) verifier.Observation {
	switch {
	case p.empty:
		p.reason = noTotal
	case p.outcome == verifier.Measured && p.value < 0:
		p = point{outcome: verifier.Failed, reason: negativeTotal(p.value)}
	}
	return valueOf(p)
}

func negativeTotal(v float64) string { return fmt.Sprintf("total is %g: is it a counter?", v) }

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
		return not(verifier.Failed, negativeTotal(total.value))
	case total.value == 0:
		return not(verifier.NoData, "no traffic")
	case bad.empty && s.badMayVanish:
		return verifier.Observation{Outcome: verifier.Measured, Total: total.value}
	case bad.outcome == verifier.NoData:
		return not(verifier.NoData, "bad: "+bad.reason)
	}
	return clamp(bad.value, total.value)
}

// slack is how far bad may lie outside of 0 to total before the two can't count
// the same events, in events. increase() extrapolates series that are scraped
// together by the same factor, also with two samples a step, so bad events that
// are among the total stay within it. What is left is a scrape that reads one
// counter a moment after the other (a few events), requests that are counted
// at their beginning in the one and at their end in the other, and scrapes of
// two targets at different times: a tenth of the traffic.
func slack(total float64) float64 { return 2 + total/10 }

// clamp evens out what slack explains, and refuses the rest.
func clamp(bad, total float64) verifier.Observation {
	if bad < -slack(total) || bad > total+slack(total) {
		return verifier.Observation{Outcome: verifier.Failed, Message: fmt.Sprintf(
			"%g bad of %g: the two don't count the same events; total must count every event that bad counts, once", bad, total)}
	}
	return verifier.Observation{Outcome: verifier.Measured, Bad: min(max(bad, 0), total), Total: total}
}
