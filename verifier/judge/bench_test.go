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

// besideWeek gives every step of a week a control group that drifts along.
func besideWeek(s verifier.Signal) (verifier.Signal, []verifier.Observation) {
	r := rand.New(rand.NewPCG(3, 4))
	history := week(s.Kind)
	for i := range history {
		o := &history[i]
		o.Control = &verifier.Control{Bad: o.Bad, Total: o.Total, Value: o.Value + r.NormFloat64()}
	}
	return withControl(s), history
}

func BenchmarkCalibrateAgainst(b *testing.B) {
	for _, s := range []verifier.Signal{errorsSignal(), cpuSignal()} {
		b.Run(string(s.Kind), func(b *testing.B) {
			s, history := besideWeek(s)
			p := policy(time.Minute, time.Hour, 3*time.Minute, 15*time.Minute, s)
			for b.Loop() {
				judge.Calibrate(s, p, history, nil, deployed)
			}
		})
	}
}

func BenchmarkTickAgainst(b *testing.B) {
	for _, s := range []verifier.Signal{errorsSignal(), cpuSignal()} {
		b.Run(string(s.Kind), func(b *testing.B) {
			s, history := besideWeek(s)
			p := policy(time.Minute, time.Hour, 3*time.Minute, 15*time.Minute, s)
			times := judge.Times{StartedAt: deployed, FinishedAt: deployed, ClosesAt: deployed.Add(10000 * time.Hour)}
			w := judge.NewWatch(s, p, verifier.Plan{}, judge.Calibrate(s, p, history, nil, deployed), times)
			o := verifier.Observation{At: deployed, Outcome: verifier.Measured, Bad: 5, Total: 1000, Value: 55, Control: &verifier.Control{Bad: 5, Total: 1000, Value: 50}}
			b.ReportAllocs()
			for b.Loop() {
				o.At = o.At.Add(time.Minute)
				w.Add(o)
				w.Finding()
			}
		})
	}
}

func withControl(s verifier.Signal) verifier.Signal {
	switch {
	case s.ValueSource != nil:
		s.ValueSource = &verifier.ValueSource{Control: "control"}
	case s.LatencySource != nil:
		s.LatencySource = &verifier.LatencySource{Control: "control"}
	default:
		s.RatioSource = &verifier.RatioSource{Control: &verifier.RatioControl{Bad: "control_bad", Total: "control_total"}}
	}
	return s
}
