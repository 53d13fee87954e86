package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestWhatAPastIsWorth describes pasts that can't give a good verdict.
func TestWhatAPastIsWorth(t *testing.T) {
	errors := verifier.Signal{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, Delta: 0.25, Epsilon: 1e-4, RatioSource: &verifier.RatioSource{}}
	p := verifier.Policy{Name: "web", Window: verifier.Duration(30 * time.Minute), Step: verifier.Duration(time.Minute), Interval: verifier.Duration(15 * time.Second),
		Soak: verifier.Duration(5 * time.Minute), FalseReverts: 0.01, History: verifier.Duration(2 * 24 * time.Hour), Signals: []verifier.Signal{errors}}
	until := time.Now().Truncate(time.Minute)
	past := func(minutes int, at func(i int) verifier.Observation) []verifier.Observation {
		var out []verifier.Observation
		for i := range minutes {
			o := at(i)
			o.At, o.Span = until.Add(time.Duration(i-minutes+1)*time.Minute), p.Step
			out = append(out, o)
		}
		return out
	}
	busy := func(i int) verifier.Observation {
		return verifier.Observation{Outcome: verifier.Measured, Total: 6000, Bad: 30 + float64(i%7)}
	}
	described := func(past []verifier.Observation) SignalAnswer {
		return (&current{}).described(t.Context(), p, errors, past, until)
	}

	good := described(past(2*24*60, busy))
	require.NoError(t, good.Err)
	require.Empty(t, good.Doubts)
	require.Contains(t, good.Said, "now 0.5", "0.5 to 0.6 %%")
	require.Contains(t, good.Said, "; 47 hours of history")
	require.Contains(t, good.Said, "; the smallest harm that a window can prove is 1.")

	require.ErrorContains(t, described(nil).Err, "has no history: no sample in")
	two := past(60, func(int) verifier.Observation {
		return verifier.Observation{Outcome: verifier.Failed, Message: "the query yields 2 series where one was asked for"}
	})
	require.ErrorContains(t, described(two).Err, "has no history: no sample in 2d6h: the query yields 2 series")
	require.ErrorContains(t, described(append(past(2*24*60, busy)[:2000], two...)).Err, "can't be measured now: the query yields 2 series")

	young := described(past(120, busy))
	require.NoError(t, young.Err)
	require.Contains(t, young.Doubts[0], "there are only")

	coarse := described(past(2*24*60, func(i int) verifier.Observation {
		if i%2 == 1 {
			return verifier.Observation{Outcome: verifier.NoData, Message: "no sample"}
		}
		return busy(i)
	}))
	require.Len(t, coarse.Doubts, 1)
	require.Contains(t, coarse.Doubts[0], "50% of the steps since then hold nothing")

	gone := described(past(2*24*60, busy)[:2*24*60-10])
	require.Contains(t, gone.Doubts[0], "nothing was measured since")

	thin := described(past(2*24*60, func(i int) verifier.Observation {
		return verifier.Observation{Outcome: verifier.Measured, Total: 1, Bad: float64(1 - min(i%100, 1))}
	}))
	require.Len(t, thin.Doubts, 1)
	require.Contains(t, thin.Doubts[0], "could be told from chance in 30m: there is too little traffic")
}
