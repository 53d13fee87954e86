package judge

import (
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// heed returns what of leftOut is not learnt from, and how many deploys that
// people called wrong count as usual all the same: their word takes at most
// half of what was measured, and nothing once no more is left than it takes to
// say what is usual. The newest are heeded first. history is in order of time.
//
// Whoever may decide could otherwise empty the past of a service, and with it
// end its automatic reverts, without a freeze that anybody sees.
func heed(s verifier.Signal, p verifier.Policy, history []verifier.Observation, leftOut []verifier.Span, startedAt time.Time) (heeded []verifier.Span, spared int) {
	var said []verifier.Span
	for _, span := range leftOut {
		if span.Feedback {
			said = append(said, span)
		} else {
			heeded = append(heeded, span)
		}
	}
	if len(said) == 0 {
		return leftOut, 0
	}
	step, reach := stepOf(p), Reach(p)
	var at []time.Time // of what can be learnt from
	for _, o := range history {
		age := startedAt.Sub(o.At)
		if _, ok := amountOf(s.Kind, &o, step); ok && age >= 0 && (reach <= 0 || age < reach) && !inside(heeded, o.At) {
			at = append(at, o.At)
		}
	}
	enough := int(enoughWindows * p.Window.D() / usualSpan(history, startedAt, step))
	floor := min(len(at)-len(at)/2, enough)
	for _, span := range slices.Backward(said) {
		left := slices.DeleteFunc(slices.Clone(at), span.Contains)
		switch {
		case len(left) == len(at): // nothing was measured in it
		case len(left) < floor:
			spared++
			continue
		}
		at, heeded = left, append(heeded, span)
	}
	return heeded, spared
}
