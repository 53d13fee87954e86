package judge_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

var deployed = time.Date(2026, 11, 23, 2, 41, 0, 0, time.UTC)

func policy(step, window, warmup, soak time.Duration, signals ...verifier.Signal) verifier.Policy {
	return verifier.Policy{
		Name: "test", Window: verifier.Duration(window), Interval: verifier.Duration(step), Step: verifier.Duration(step),
		Warmup: verifier.Duration(warmup), Soak: verifier.Duration(soak), FalseReverts: 0.01,
		History: verifier.Duration(7 * 24 * time.Hour), Signals: signals,
	}
}

func errorsSignal() verifier.Signal {
	return verifier.Signal{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Delta: 0.25, Epsilon: 1e-4,
		RatioSource: &verifier.RatioSource{}}
}

// ratios draws observations of a step each in (from, from+n*step].
func ratios(r *rand.Rand, from time.Time, step time.Duration, n int, perStep float64, rate func(i int) float64) []verifier.Observation {
	out := make([]verifier.Observation, n)
	for i := range out {
		total := distuv.Poisson{Lambda: perStep, Src: r}.Rand()
		bad := 0.0
		if total > 0 {
			bad = distuv.Binomial{N: total, P: rate(i), Src: r}.Rand()
		}
		out[i] = verifier.Observation{At: from.Add(time.Duration(i+1) * step), Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: bad, Total: total}
	}
	return out
}

func flat(v float64) func(int) float64 { return func(int) float64 { return v } }

func evidence(t testing.TB, p verifier.Policy, history, window map[string][]verifier.Observation) verifier.Evidence {
	return evidenceWithout(t, p, history, window, nil)
}

func evidenceWithout(t testing.TB, p verifier.Policy, history, window map[string][]verifier.Observation, leftOut []verifier.Span) verifier.Evidence {
	ev := verifier.Evidence{Policy: p, StartedAt: deployed, FinishedAt: deployed, ClosesAt: deployed.Add(p.Window.D())}
	for _, s := range p.Signals {
		c, err := json.Marshal(judge.Calibrate(s, p, history[s.Name], leftOut, deployed))
		require.NoError(t, err)
		ev.Signals = append(ev.Signals, verifier.SignalEvidence{Signal: s.Name, Calibration: c, Observations: window[s.Name]})
	}
	return ev
}

// firstRevert looks every step and returns when the verdict was revert, 0 for
// never, and the last assessment.
func firstRevert(t testing.TB, ev verifier.Evidence, step time.Duration) (time.Duration, verifier.Assessment) {
	var a verifier.Assessment
	for d := step; d <= ev.ClosesAt.Sub(deployed); d += step {
		var err error
		a, err = judge.Assess(ev, deployed.Add(d))
		require.NoError(t, err)
		if a.Decision == verifier.Revert {
			return d, a
		}
	}
	return 0, a
}

func TestThirtyStepsOfASecond(t *testing.T) {
	for name, c := range map[string]struct {
		before, after float64
		signal        verifier.Signal
	}{
		"errors": {0.005, 0.08, errorsSignal()},
		"latency": {0.05, 0.40, verifier.Signal{Name: "latency", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true,
			Delta: 0.15, Epsilon: 2e-3, LatencySource: &verifier.LatencySource{}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := policy(time.Second, 30*time.Second, 3*time.Second, 8*time.Second, c.signal)
			for seed := range uint64(10) {
				r := rand.New(rand.NewPCG(seed, 1))
				history := map[string][]verifier.Observation{name: ratios(r, deployed.Add(-30*time.Minute), time.Second, 1800, 60, flat(c.before))}
				good := map[string][]verifier.Observation{name: ratios(r, deployed, time.Second, 30, 60, flat(c.before))}
				bad := map[string][]verifier.Observation{name: ratios(r, deployed, time.Second, 30, 60, flat(c.after))}
				_, a := firstRevert(t, evidence(t, p, history, good), time.Second)
				require.Equal(t, verifier.Keep, a.Decision)
				at, a := firstRevert(t, evidence(t, p, history, bad), time.Second)
				require.Equal(t, verifier.Revert, a.Decision)
				require.LessOrEqual(t, at, 11*time.Second, a.Reasons)
			}
		})
	}
}
