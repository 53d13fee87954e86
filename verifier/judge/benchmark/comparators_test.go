package benchmark

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestRankSum(t *testing.T) {
	// 1 2 | 2 3 together: ranks 1, 2.5, 2.5, 4; the first sample has 3.5.
	ranks, ties := rankSum([]float64{1, 2}, []float64{2, 3}, 0)
	require.InDelta(t, 3.5, ranks, 0)
	require.InDelta(t, 6, ties, 0, "one pair of ties: 2^3-2")
	// Shifted by 1 the first is 0 1: ranks 1 and 2.
	ranks, ties = rankSum([]float64{1, 2}, []float64{2, 3}, 1)
	require.InDelta(t, 3, ranks, 0)
	require.InDelta(t, 0, ties, 0)
}

func TestMannWhitney(t *testing.T) {
	// 4 5 6 beside 1 2 3: rank sum 15, U = 9 of 9; sigma = sqrt(9/12*7);
	// with the continuity correction (9 - 4.5 - 0.5) / sigma.
	z := mannWhitney([]float64{4, 5, 6}, []float64{1, 2, 3}, 0)
	require.InDelta(t, 4/math.Sqrt(5.25), z, 1e-12)
	require.InDelta(t, 0, mannWhitney([]float64{1, 1}, []float64{1, 1}, 0), 0)
	require.InDelta(t, -z, mannWhitney([]float64{1, 2, 3}, []float64{4, 5, 6}, 0), 1e-12)
}

func TestShiftInterval(t *testing.T) {
	var x, y []float64
	for i := range 30 {
		y = append(y, float64(i))
		x = append(x, float64(i)+10)
	}
	low, estimate, high := shiftInterval(x, y, 0.98)
	// The shift is the median of the pairwise differences.
	require.InDelta(t, 10, estimate, 0.01)
	require.InDelta(t, 4, low, 0.01, "the 98 % interval of thirty pairs")
	require.InDelta(t, 16, high, 0.01)
}

func TestKayenta(t *testing.T) {
	ramp := func(from, step float64) []float64 {
		var out []float64
		for i := range 30 {
			out = append(out, from+step*float64(i))
		}
		return out
	}
	for name, c := range map[string]struct {
		control, experiment []float64
		want                int
	}{
		"the same":             {ramp(1, .1), ramp(1, .1), 0},
		"higher":               {ramp(1, .1), ramp(5, .1), 1},
		"lower":                {ramp(5, .1), ramp(1, .1), -1},
		"one value":            {ramp(2, 0), ramp(2, 0), 0},
		"constant, then more":  {ramp(2, 0), ramp(3, 0), 1},
		"constant, then less":  {ramp(3, 0), ramp(2, 0), -1},
		"no data":              {nil, ramp(2, 0), 0},
		"mostly no errors yet": {append(ramp(0, 0), 5), append(ramp(0, 0), 5, 5), 0},
	} {
		require.Equal(t, c.want, kayenta(c.control, c.experiment), name)
	}
}

// counters is a deploy with an hour before it and an hour after it, so many
// bad of each minute's thousand.
func counters(before, after float64) Deploy {
	d := Deploy{Policy: verifier.Policy{Window: verifier.Duration(time.Hour)}, Streams: make([]Stream, 1)}
	for i := range 120 {
		o := verifier.Observation{At: deployedAt.Add(time.Duration(i-59) * time.Minute), Outcome: verifier.Measured, Total: 1000, Bad: before}
		if i < 60 {
			d.Streams[0].History = append(d.Streams[0].History, o)
			continue
		}
		o.Bad = after
		d.Streams[0].Window = append(d.Streams[0].Window, o)
	}
	return d
}

func TestFixedLimits(t *testing.T) {
	require.Equal(t, revertAt(10), overLimit(0.01, 1, 10)(counters(5, 11)), "the tenth failed check")
	require.Equal(t, revertAt(20), overLimit(0.01, 5, 4)(counters(5, 11)), "more than three failed checks of five minutes")
	require.Equal(t, Outcome{}, overLimit(0.01, 1, 10)(counters(5, 10)), "at the limit is within")
	silent := counters(5, 0)
	for i := range silent.Streams[0].Window {
		silent.Streams[0].Window[i].Total = 0
	}
	require.Equal(t, revertAt(10), overLimit(0.01, 1, 10)(silent), "no traffic counts as failed")
	slow := Deploy{Streams: []Stream{{P95: append(make([]float64, 60), 0.6, 0.4, 0.6)}}}
	require.Equal(t, revertAt(3), slowerThan(0.5, 2)(slow))
	require.Equal(t, Outcome{}, slowerThan(0.5, 3)(slow))
}

func TestZTest(t *testing.T) {
	// 50 of 1000 beside 80 of 1000: pooled 0.065.
	require.InDelta(t, 0.03/math.Sqrt(0.065*0.935*0.002), twoProportions(50, 1000, 80, 1000), 1e-12)
	require.InDelta(t, 0, twoProportions(0, 1000, 0, 1000), 0)
	require.Equal(t, revertAt(4), zTest(counters(5, 20)), "the first minute after warm-up")
	require.Equal(t, Outcome{}, zTest(counters(5, 5)))
}

func TestEValue(t *testing.T) {
	// 3 of 10 after, 1 of 10 before, a ratio of 2: 2^3 * (20/30)^4.
	require.InDelta(t, 8*math.Pow(2.0/3, 4), eValue(2, 1, 10, 3, 10), 1e-12)
	require.InDelta(t, 1, eValue(2, 1, 10, 0, 0), 0)
	// It is a bet on a binomial with N/(N+Nb): its mean there is 1.
	sum := 0.0
	for x, ways := range []float64{1, 4, 6, 4, 1} {
		sum += ways / 16 * eValue(3, float64(4-x), 10, float64(x), 10)
	}
	require.InDelta(t, 1, sum, 1e-12)
	require.Equal(t, Outcome{}, conditionalBinomial(0.25)(counters(5, 6)))
	require.Equal(t, revertAt(4), conditionalBinomial(0)(counters(5, 50)))
}

func TestKayentaOverTime(t *testing.T) {
	spread := counters(5, 5)
	for i := range 60 {
		spread.Streams[0].History[i].Bad += float64(i % 3)
		spread.Streams[0].Window[i].Bad += float64(i%3) + 10
	}
	require.Equal(t, revertAt(10), kayentaEvery(10)(spread))
	require.Equal(t, revertAt(60), kayentaEvery(60)(spread))
	// One failed metric of four scores 75: it fails the last run alone.
	healthy := counters(5, 5).Streams[0]
	four := Deploy{Policy: spread.Policy, Streams: []Stream{spread.Streams[0], healthy, healthy, healthy}}
	require.Equal(t, revertAt(60), kayentaEvery(10)(four))
}

func TestProbesOfAMinuteAreOneSample(t *testing.T) {
	s := Signal{Kind: verifier.FromProbe, Per: 12, Base: 0}.stream(source(1, "probes"), Ideal, 60, 60, 1, 0)
	before, after := s.samples()
	require.Len(t, before, 60)
	require.Len(t, after, 60)
	require.InDelta(t, 0, mean(before), 0)
	require.InDelta(t, 100, mean(after), 0)
}
