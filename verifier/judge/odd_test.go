package judge_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// Sums of floats depend on the order of what they add: a calibration must not
// depend on the order in which a history of several steps a bin arrived.
func TestOrderOfHistoryDoesNotMatterWithinABin(t *testing.T) {
	for _, s := range []verifier.Signal{errorsSignal(), withControl(errorsSignal()), cpuSignal(), withControl(cpuSignal())} {
		t.Run(fmt.Sprintf("%s, control %v", s.Kind, s.HasControl()), func(t *testing.T) {
			p := policy(10*time.Second, 30*time.Minute, 0, 0, s)
			rapid.Check(t, func(rt *rapid.T) {
				r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 4))
				history := besides(r, ratios(r, deployed.Add(-time.Hour), 10*time.Second, 360, 50, flat(0.1)), 50, flat(0.1))
				for i := range history {
					o := &history[i]
					o.Bad, o.Total, o.Value = o.Bad*r.Float64(), o.Total+r.Float64(), 100*r.Float64()
					o.Control.Bad, o.Control.Total, o.Control.Value = o.Control.Bad*r.Float64(), o.Control.Total+r.Float64(), 100*r.Float64()
				}
				require.Equal(rt, judge.Calibrate(s, p, history, nil, deployed), judge.Calibrate(s, p, shuffled(rt, history), nil, deployed))
			})
		})
	}
}

// Huge steps, and steps of next to nothing, beside ordinary ones make
// neither panics nor numbers that can't be stored.
func TestTotalsOfAnySizeBesideEachOther(t *testing.T) {
	p := policy(time.Minute, 30*time.Minute, 0, 0, withControl(errorsSignal()))
	totals := []float64{1e-300, 1e-12, 0.01, 1, 1000, 1e12, 1e15}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		draw := func() (bad, total float64) {
			total = totals[r.IntN(len(totals))]
			return total * r.Float64(), total
		}
		history := ratios(r, deployed.Add(-3*time.Hour), time.Minute, 180, 10, flat(0.1))
		for i := range history {
			o := &history[i]
			o.Control = &verifier.Control{}
			o.Bad, o.Total = draw()
			o.Control.Bad, o.Control.Total = draw()
		}
		_, err := json.Marshal(judge.Calibrate(p.Signals[0], p, history, nil, deployed))
		require.NoError(t, err, "seed %d", seed)
	}
}
