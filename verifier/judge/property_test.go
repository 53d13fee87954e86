package judge_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// drawn is a short verification with random levels before and after.
func drawn(t *rapid.T) (verifier.Policy, []verifier.Observation, []verifier.Observation) {
	p := policy(time.Minute, 30*time.Minute, 2*time.Minute, 5*time.Minute, errorsSignal())
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
	traffic := rapid.SampledFrom([]float64{5, 200, 20000}).Draw(t, "traffic")
	before := rapid.SampledFrom([]float64{0, 0.002, 0.05}).Draw(t, "before")
	after := before + rapid.SampledFrom([]float64{0, 0, 0.001, 0.05, 0.6}).Draw(t, "more")
	steps := rapid.SampledFrom([]int{0, 60, 330}).Draw(t, "history")
	history := ratios(r, deployed.Add(-time.Duration(steps)*time.Minute), time.Minute, steps, traffic, flat(before+1e-9))
	return p, history, ratios(r, deployed, time.Minute, 30, traffic, flat(after+1e-9))
}

func one(obs []verifier.Observation) map[string][]verifier.Observation {
	return map[string][]verifier.Observation{"errors": obs}
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawn(rt)
		now := deployed.Add(time.Duration(rapid.IntRange(1, 31).Draw(rt, "minute")) * time.Minute)
		a, err := judge.Assess(evidence(t, p, one(history), one(window)), now)
		require.NoError(rt, err)
		b, err := judge.Assess(evidence(t, p, one(shuffled(rt, history)), one(shuffled(rt, window))), now)
		require.NoError(rt, err)
		require.Equal(rt, a, b)
	})
}

func shuffled(t *rapid.T, obs []verifier.Observation) []verifier.Observation {
	out := append([]verifier.Observation(nil), obs...)
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func TestRecomputingGivesTheSameVerdict(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawn(rt)
		ev := evidence(t, p, one(history), one(window))
		now := deployed.Add(30 * time.Minute)
		a, err := judge.Assess(ev, now)
		require.NoError(rt, err)
		stored, err := json.Marshal(ev)
		require.NoError(rt, err)
		var read verifier.Evidence
		require.NoError(rt, json.Unmarshal(stored, &read))
		var c judge.Calibration
		require.NoError(rt, json.Unmarshal(read.Signals[0].Calibration, &c))
		require.Equal(rt, judge.Calibrate(p.Signals[0], p, history, nil, deployed), c)
		b, err := judge.Assess(read, now)
		require.NoError(rt, err)
		require.Equal(rt, a, b)
	})
}

func TestNoDataChangesNothingButCoverage(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawn(rt)
		outcome := rapid.SampledFrom([]verifier.Outcome{verifier.NoData, verifier.Failed}).Draw(rt, "outcome")
		more := append([]verifier.Observation(nil), window...)
		for i := range rapid.IntRange(1, 20).Draw(rt, "missing") {
			more = append(more, verifier.Observation{At: deployed.Add(time.Duration(i)*73*time.Second + time.Second), Span: verifier.Duration(time.Minute), Outcome: outcome})
		}
		now := deployed.Add(30 * time.Minute)
		a, err := judge.Assess(evidence(t, p, one(history), one(window)), now)
		require.NoError(rt, err)
		b, err := judge.Assess(evidence(t, p, one(history), one(more)), now)
		require.NoError(rt, err)
		require.Equal(rt, a.Decision, b.Decision)
		b.Findings[0].Steps = a.Findings[0].Steps
		require.Equal(rt, a.Findings, b.Findings)
	})
}

// More traffic at the same shares, history and window alike, never takes a
// clear proof away. Sevenfold is beyond what rounding could hide. What chance
// made of the counts is multiplied too, and looks like noise beyond counting:
// that costs a proof at the edge, and all of it where five requests a minute
// become clumps of seven (docs/judging.md, What it can't know).
func TestMoreTrafficNeverLowersCertainty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawn(rt)
		scaled := func(obs []verifier.Observation) []verifier.Observation {
			out := append([]verifier.Observation(nil), obs...)
			for i := range out {
				out[i].Bad, out[i].Total = 7*out[i].Bad, 7*out[i].Total
			}
			return out
		}
		now := deployed.Add(30 * time.Minute)
		a, err := judge.Assess(evidence(t, p, one(history), one(window)), now)
		require.NoError(rt, err)
		b, err := judge.Assess(evidence(t, p, one(scaled(history)), one(scaled(window))), now)
		require.NoError(rt, err)
		chance := a.Findings[0].Chance
		if a.Decision == verifier.Revert && chance.EValue > 10*chance.Needed && window[0].Total > 100 {
			require.Equal(rt, verifier.Revert, b.Decision, b.Reasons)
		}
	})
}

func TestNoRevertWithoutAStepWorseThanTolerated(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawn(rt)
		ev := evidence(t, p, one(history), one(window))
		var c judge.Calibration
		require.NoError(rt, json.Unmarshal(ev.Signals[0].Calibration, &c))
		tolerated := 1.25*c.Level + 1e-4
		worst := 0.0
		for i, o := range window {
			if o.Total > 0 {
				worst = max(worst, o.Bad/o.Total)
			}
			if i%5 != 4 {
				continue
			}
			a, err := judge.Assess(ev, o.At)
			require.NoError(rt, err)
			if a.Decision == verifier.Revert {
				require.Greater(rt, worst, tolerated, "step %d", i)
			}
		}
	})
}

func TestMoreHistoryKeepsHealthyDeploysGood(t *testing.T) {
	for seed := range uint64(4) {
		for _, hours := range []int{1, 8, 48} {
			r := rand.New(rand.NewPCG(seed, 9))
			p := policy(time.Minute, time.Hour, 3*time.Minute, 15*time.Minute, errorsSignal())
			window := ratios(r, deployed, time.Minute, 60, 3000, flat(0.004))
			history := ratios(r, deployed.Add(-time.Duration(hours)*time.Hour), time.Minute, 60*hours, 3000, flat(0.004))
			_, a := firstRevert(t, evidence(t, p, one(history), one(window)), 10*time.Minute)
			require.Equal(t, verifier.Keep, a.Decision, "seed %d, %d h", seed, hours)
		}
	}
}

// Whatever the numbers are, the judge answers.
func FuzzAssess(f *testing.F) {
	f.Add([]byte("measured"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		s := errorsSignal()
		s.Kind = []verifier.SignalKind{verifier.Ratio, verifier.Count, verifier.Value}[kind%3]
		p := policy(time.Minute, 30*time.Minute, 0, 0, s)
		var history, window []verifier.Observation
		for i, b := range data {
			v := []float64{0, 1, -1, 1e300, 5, 0.1, 1e-300, 100}[b%8]
			w := []float64{0, 1, 1e300, 7, -3, 10, 1000, 1e9}[b/8%8]
			o := verifier.Observation{At: deployed.Add(time.Duration(i-len(data)/2) * 20 * time.Second), Outcome: verifier.Measured, Bad: v, Total: w, Count: v, Value: v - w}
			history, window = append(history, o), append(window, o)
		}
		a, err := judge.Assess(evidence(t, p, one(history), one(window)), deployed.Add(time.Hour))
		require.NoError(t, err)
		require.Len(t, a.Findings, 1)
		_, err = json.Marshal(a)
		require.NoError(t, err)
	})
}
