package judge_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// A service fails from some minutes before a good deploy on (D12 of
// docs/safety.md): the harm must be dated before the deploy, whatever its size.
// And a bad deploy must not be excused by what chance did just before it.
func TestHarmIsDatedToWhereItBegan(t *testing.T) {
	p := policy(time.Minute, 15*time.Minute, 3*time.Minute, 5*time.Minute, errorsSignal())
	for _, perMinute := range []float64{120, 2400} {
		for _, ahead := range []time.Duration{0, 90 * time.Second, 2 * time.Minute, 4 * time.Minute} {
			t.Run(fmt.Sprintf("%g a minute, %s before", perMinute, ahead), func(t *testing.T) {
				reverts, early := 0, 0
				const seeds = 100
				for seed := range uint64(seeds) {
					r := rand.New(rand.NewPCG(seed, uint64(ahead)))
					size := 0.02 * math.Pow(10, r.Float64())
					if perMinute < 1000 {
						size *= 3
					}
					history := ratios(r, deployed.Add(-6*time.Hour), time.Minute, 360, perMinute, func(i int) float64 {
						begin := time.Duration(i-360) * time.Minute
						failing := min(max(begin+time.Minute+ahead, 0), time.Minute)
						return 0.004 + size*float64(failing)/float64(time.Minute)
					})
					ev := evidence(t, p, one(history), one(ratios(r, deployed, time.Minute, 15, perMinute, flat(0.004+size))))
					ev.Signals[0].Before = history[300:]
					_, a := firstRevert(t, ev, time.Minute)
					if a.Decision != verifier.Revert {
						continue
					}
					reverts++
					if onset := a.Findings[0].Onset; onset != nil && onset.Before(deployed) {
						early++
					}
				}
				if ahead < 4*time.Minute { // from there on it counts as the level before
					require.Greater(t, reverts, seeds*9/10, "the scenario is about harm that is found")
				}
				switch {
				case ahead == 0:
					require.LessOrEqual(t, early, seeds*3/100, "bad deploys excused")
				case perMinute > 1000:
					require.Equal(t, reverts, early, "of the reverts, dated before the deploy")
				default: // 3 to 25 events a minute: chance may hide a minute of it
					require.GreaterOrEqual(t, early*100, reverts*95, "of the reverts, dated before the deploy")
				}
			})
		}
	}
}

// A bad version that comes after a bad one is not excused by it.
func TestWorseAfterBadIsHarmOfItsOwn(t *testing.T) {
	p := policy(time.Minute, 15*time.Minute, 3*time.Minute, 5*time.Minute, errorsSignal())
	r := rand.New(rand.NewPCG(1, 1))
	history := ratios(r, deployed.Add(-6*time.Hour), time.Minute, 360, 2400, func(i int) float64 {
		if i >= 355 {
			return 0.05
		}
		return 0.004
	})
	ev := evidenceWithout(t, p, one(history), one(ratios(r, deployed, time.Minute, 15, 2400, flat(0.15))),
		[]verifier.Span{{From: deployed.Add(-5 * time.Minute), To: deployed}})
	ev.Signals[0].Before = history[300:]
	_, a := firstRevert(t, ev, time.Minute)
	require.Equal(t, verifier.Revert, a.Decision)
	require.False(t, a.Findings[0].Onset.Before(deployed), "%s", a.Findings[0].Onset)
}
