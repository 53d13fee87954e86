package benchmark

import (
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// ours judges a deploy as the engine does: it calibrates on the history, then
// looks every interval at what has arrived until the window ends.
func ours(d Deploy) Outcome {
	closes := deployedAt.Add(d.Policy.Window.D())
	times := judge.Times{StartedAt: deployedAt, FinishedAt: deployedAt, ClosesAt: closes}
	watches := make([]*judge.Watch, len(d.Streams))
	next := make([]int, len(d.Streams))
	for i, s := range d.Streams {
		watches[i] = judge.NewWatch(s.Signal, d.Policy, verifier.Plan{}, judge.Calibrate(s.Signal, d.Policy, s.History, nil, deployedAt), times)
	}
	var out Outcome
	interval := d.Policy.Interval.D()
	for now := deployedAt.Add(interval); !now.After(closes); now = now.Add(interval) {
		cleared := !now.Before(deployedAt.Add(d.Policy.Soak.D()))
		for i, s := range d.Streams {
			for next[i] < len(s.Window) && !s.Window[next[i]].At.After(now) {
				watches[i].Add(s.Window[next[i]])
				next[i]++
			}
			f := watches[i].Finding()
			if f.State == verifier.SignalBad {
				return Outcome{Reverted: true, Minute: now.Sub(deployedAt).Minutes(), Cleared: out.Cleared, ClearedAt: out.ClearedAt}
			}
			cleared = cleared && f.Cleared
		}
		if cleared && !out.Cleared {
			out.Cleared, out.ClearedAt = true, float64(now.Sub(deployedAt)/time.Minute)
		}
	}
	return out
}
