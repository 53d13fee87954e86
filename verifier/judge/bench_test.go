package judge_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

func cpuSignal() verifier.Signal {
	return verifier.Signal{Name: "cpu", Kind: verifier.Value, Role: verifier.Decisive, Delta: 0.05, Worse: verifier.WorseBoth,
		ValueSource: &verifier.ValueSource{}}
}

// week is seven days of one-minute points that drift, so that placebos have
// something to say.
func week(kind verifier.SignalKind) []verifier.Observation {
	r := rand.New(rand.NewPCG(1, 2))
	drift := 0.0
	out := ratios(r, deployed.Add(-7*24*time.Hour), time.Minute, 7*24*60, 1000, func(int) float64 {
		drift = 0.99*drift + 0.02*r.NormFloat64()
		return 0.005 * (1 + max(-0.9, drift))
	})
	if kind == verifier.Value {
		for i := range out {
			out[i].Value = 50 + out[i].Bad + r.NormFloat64()
		}
	}
	return out
}

func BenchmarkCalibrate(b *testing.B) {
	for _, s := range []verifier.Signal{errorsSignal(), cpuSignal()} {
		b.Run(string(s.Kind), func(b *testing.B) {
			p := policy(time.Minute, time.Hour, 3*time.Minute, 15*time.Minute, s)
			history := week(s.Kind)
			for b.Loop() {
				judge.Calibrate(s, p, history, nil, deployed)
			}
		})
	}
}

func BenchmarkTick(b *testing.B) {
	for _, s := range []verifier.Signal{errorsSignal(), cpuSignal()} {
		b.Run(string(s.Kind), func(b *testing.B) {
			p := policy(time.Minute, time.Hour, 3*time.Minute, 15*time.Minute, s)
			c := judge.Calibrate(s, p, week(s.Kind), nil, deployed)
			times := judge.Times{StartedAt: deployed, FinishedAt: deployed, ClosesAt: deployed.Add(10000 * time.Hour)}
			w := judge.NewWatch(s, p, verifier.Plan{}, c, times)
			o := verifier.Observation{At: deployed, Outcome: verifier.Measured, Bad: 5, Total: 1000, Value: 55}
			b.ReportAllocs()
			for b.Loop() {
				o.At = o.At.Add(time.Minute)
				w.Add(o)
				w.Finding()
			}
		})
	}
}
