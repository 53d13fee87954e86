package main

import (
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// cell is one row of a table: a kind of traffic and how it goes wrong.
type cell struct {
	world     string
	perMinute float64
	base      float64
	signal    verifier.Signal
	ratios    []float64 // regressions, after the healthy deploys
	onset     int       // minute at which they start
	window    time.Duration
}

func errorRate() verifier.Signal {
	return verifier.Signal{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true,
		Delta: 0.25, Epsilon: 1e-4, RatioSource: &verifier.RatioSource{}}
}

func latencyShare() verifier.Signal {
	return verifier.Signal{Name: "latency", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true,
		Delta: 0.15, Epsilon: 2e-3, LatencySource: &verifier.LatencySource{}}
}

// cells are the tables of decision.md 3.1 to 3.3. The latency rows move the
// share above a bucket near p95 as a log-normal latency of spread 0.6 does when
// it becomes 20 % and 50 % slower.
func cells() []cell {
	var out []cell
	for _, w := range []string{"ideal", "real"} {
		for _, n := range []float64{10, 100, 1000, 10000, 100000} {
			out = append(out, cell{world: w, perMinute: n, base: 0.005, signal: errorRate(), ratios: []float64{1.5, 2, 5}})
		}
	}
	for _, w := range []string{"1", "2", "3"} {
		for _, n := range []float64{300, 5000, 100000} {
			out = append(out, cell{world: w, perMinute: n, base: 0.005, signal: errorRate(), ratios: []float64{2, 5}})
		}
	}
	for _, n := range []float64{100, 1000, 10000} {
		out = append(out, cell{world: "real", perMinute: n, base: 0.05, signal: latencyShare(), ratios: []float64{1.81, 3.3}})
	}
	out = append(out,
		cell{world: "real", perMinute: 5000, base: 0.005, signal: errorRate(), ratios: []float64{2, 3, 5}, onset: 30},
		cell{world: "real", perMinute: 5000, base: 0.005, signal: errorRate(), ratios: []float64{20}})
	return out
}

// counters judges healthy and bad deploys of every cell minute by minute.
func counters(out io.Writer, healthy, bad int) {
	fmt.Fprintln(out, "signal  world  per minute   false reverts  cleared@   then found @ median minute")
	for _, c := range cells() {
		if c.window == 0 {
			c.window = time.Hour
		}
		reverts, _, cleared, clearedAt := c.run(1, healthy)
		fmt.Fprintf(out, "%-8s%-6s%11.0f   %6.2f %%      %3.0f@%-3.0f", c.signal.Name, c.world, c.perMinute,
			100*float64(reverts)/float64(healthy), 100*float64(cleared)/float64(healthy), clearedAt)
		for _, r := range c.ratios {
			found, at, _, _ := c.run(r, bad)
			fmt.Fprintf(out, "  %gx %3.0f@%-3.0f", r, 100*float64(found)/float64(bad), at)
		}
		if c.onset > 0 {
			fmt.Fprintf(out, "  (from minute %d)", c.onset)
		}
		fmt.Fprintln(out)
	}
}

func (c cell) run(ratio float64, deploys int) (reverts int, at float64, cleared int, clearedAt float64) {
	p := verifier.Policy{Name: c.world, Window: verifier.Duration(c.window), Interval: verifier.Duration(time.Minute),
		Step: verifier.Duration(time.Minute), Warmup: verifier.Duration(3 * time.Minute), Soak: verifier.Duration(15 * time.Minute),
		FalseReverts: 0.01, History: verifier.Duration(7 * 24 * time.Hour), Signals: []verifier.Signal{c.signal}}
	var times, clears []float64
	for i := range deploys {
		seed := uint64(i)*1000 + uint64(ratio*10) + uint64(c.perMinute)*1e6
		d := simulate(worlds[c.world], seed, c.perMinute, c.base, ratio, c.onset, 24*60, int(c.window/time.Minute))
		calibration := judge.Calibrate(c.signal, p, d.history, nil, deployedAt)
		w := judge.NewWatch(c.signal, p, verifier.Plan{}, calibration, judge.Times{StartedAt: deployedAt, FinishedAt: deployedAt, ClosesAt: deployedAt.Add(c.window)})
		clear := 0.0
		for minute, o := range d.window {
			w.Add(o)
			f := w.Finding()
			if f.State == verifier.SignalBad {
				times = append(times, float64(minute+1))
				break
			}
			if clear == 0 && f.Cleared && minute+1 >= 15 {
				clear = float64(minute + 1)
			}
		}
		if clear > 0 {
			clears = append(clears, clear)
		}
	}
	return len(times), middle(times), len(clears), middle(clears)
}

func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sort.Float64s(v)
	return v[len(v)/2]
}
