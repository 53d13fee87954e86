package store

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func packable(r *rand.Rand) verifier.Observation {
	o := verifier.Observation{At: noon.Add(time.Duration(r.IntN(1e9)) * time.Microsecond), Span: verifier.Duration(r.IntN(2)) * verifier.Duration(time.Minute),
		Outcome: outcomes[r.IntN(len(outcomes))], Bad: float64(r.IntN(3)), Total: 1000 * r.Float64(), Count: float64(r.IntN(2)), Value: r.NormFloat64()}
	if r.IntN(3) == 0 {
		o.Control, o.Message = &verifier.Control{Bad: 1, Total: 0.1, Value: -2}, "no answer"
	}
	if r.IntN(5) == 0 {
		o.Voter = "dana"
	}
	return o
}

func TestPackedObservations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		var list []verifier.Observation
		for range n % 50 {
			list = append(list, packable(r))
		}
		b := packObservations(list)
		got, err := unpackObservations(b)
		require.NoError(t, err)
		require.Equal(t, list, got)
		for range 20 { // what is broken is told or read as something, and never a panic
			if len(b) > 0 {
				broken := append([]byte{}, b[:r.IntN(len(b))]...)
				if len(broken) > 0 {
					broken[r.IntN(len(broken))] = byte(r.IntN(256))
				}
				_, _ = unpackObservations(broken)
			}
		}
	}
	probe := verifier.Observation{At: noon, Outcome: verifier.Measured, Total: 1}
	require.Less(t, len(packObservations([]verifier.Observation{probe, probe, probe, probe})), 4*20)
	for _, v := range []float64{math.MaxFloat64, 5e-324, -0.1, math.Inf(-1)} {
		got, err := unpackObservations(packObservations([]verifier.Observation{{At: noon, Outcome: verifier.Failed, Value: v}}))
		require.NoError(t, err)
		require.Equal(t, v, got[0].Value)
	}
}
