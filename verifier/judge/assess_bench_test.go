package judge_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// fourSignals is what a verification usually watches.
func fourSignals() []verifier.Signal {
	return []verifier.Signal{
		errorsSignal(),
		{Name: "latency", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Delta: 0.15, Epsilon: 2e-3, LatencySource: &verifier.LatencySource{}},
		{Name: "probe", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Epsilon: 0.02, ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: 3}},
		{Name: "tickets", Kind: verifier.Count, Role: verifier.Advisory, Delta: 0.5, TicketSource: &verifier.TicketSource{Feed: "desk"}},
	}
}

// watched is the evidence of a healthy hour with a step of that length, and a
// probe every 15 s.
func watched(t testing.TB, step time.Duration) verifier.Evidence {
	steps := int(time.Hour / step)
	p := policy(step, time.Hour, 3*time.Minute, 15*time.Minute, fourSignals()...)
	p.Interval = verifier.Duration(15 * time.Second)
	r := rand.New(rand.NewPCG(5, uint64(steps)))
	draw := func(name string, from time.Time, step time.Duration, n int) []verifier.Observation {
		rate := map[string]float64{"errors": 0.005, "latency": 0.03, "probe": 0.001, "tickets": 0.002}[name]
		perStep := map[string]float64{"probe": 1}[name]
		if perStep == 0 {
			perStep = 1000 * step.Minutes()
		}
		wobble := 0.0
		out := ratios(r, from, step, n, perStep, func(int) float64 {
			wobble = 0.99*wobble + 0.02*r.NormFloat64()
			return rate * (1 + max(-0.9, wobble))
		})
		for i := range out {
			o := &out[i]
			switch name {
			case "probe":
				o.Total, o.Bad = 1, min(o.Bad, 1)
			case "tickets":
				o.Count, o.Bad, o.Total = float64(r.IntN(40)/39), 0, 0
			}
		}
		return out
	}
	history, window := map[string][]verifier.Observation{}, map[string][]verifier.Observation{}
	for _, s := range p.Signals {
		history[s.Name] = draw(s.Name, deployed.Add(-7*24*time.Hour), time.Minute, 7*24*60)
		if s.ProbeSource != nil {
			window[s.Name] = draw(s.Name, deployed, p.Interval.D(), int(time.Hour/p.Interval.D()))
			continue
		}
		window[s.Name] = draw(s.Name, deployed, step, steps)
	}
	return evidence(t, p, history, window)
}

func BenchmarkAssess(b *testing.B) {
	for _, steps := range []int{60, 240} {
		b.Run(fmt.Sprint(steps), func(b *testing.B) {
			ev := watched(b, time.Hour/time.Duration(steps))
			b.ReportAllocs()
			for b.Loop() {
				_, err := judge.Assess(ev, ev.ClosesAt)
				require.NoError(b, err)
			}
			for _, s := range ev.Signals {
				b.ReportMetric(float64(len(s.Calibration)), s.Signal+"-B")
			}
		})
	}
}

// BenchmarkLook is Assess as the daemon looks: again and again. It is named by
// the steps that were seen.
func BenchmarkLook(b *testing.B) {
	for _, c := range []struct {
		step, after time.Duration
	}{{time.Minute, 30 * time.Minute}, {time.Minute, time.Hour}, {15 * time.Second, time.Hour}} {
		b.Run(fmt.Sprint(int(c.after/c.step)), func(b *testing.B) {
			ev := watched(b, c.step)
			var a judge.Assessor
			b.ReportAllocs()
			for b.Loop() {
				_, err := a.Assess(ev, deployed.Add(c.after))
				require.NoError(b, err)
			}
		})
	}
}
