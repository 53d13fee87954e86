package judge_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// besides gives every observation a control group of its own rate.
func besides(r *rand.Rand, obs []verifier.Observation, perStep float64, rate func(i int) float64) []verifier.Observation {
	for i := range obs {
		total := 1 + distuv.Poisson{Lambda: perStep, Src: r}.Rand()
		obs[i].Control = &verifier.Control{Total: total, Bad: distuv.Binomial{N: total, P: rate(i), Src: r}.Rand()}
	}
	return obs
}

var anyTraffic = []float64{1, 100, 5000}

// drawnBeside is a short verification with a control group; shared is what
// multiplies the rates of both groups after the deploy, ours what multiplies
// ours alone.
func drawnBeside(t *rapid.T, ours float64, traffics, controls []float64) (p verifier.Policy, history, window []verifier.Observation) {
	p = policy(time.Minute, 30*time.Minute, 2*time.Minute, 5*time.Minute, withControl(errorsSignal()))
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
	traffic := rapid.SampledFrom(traffics).Draw(t, "traffic")
	control := rapid.SampledFrom(controls).Draw(t, "control")
	before := rapid.SampledFrom([]float64{0.002, 0.02}).Draw(t, "before")
	shared := rapid.SampledFrom([]float64{0.2, 1, 10}).Draw(t, "shared")
	steps := rapid.SampledFrom([]int{60, 60, 60, 330}).Draw(t, "history")
	history = besides(r, ratios(r, deployed.Add(-time.Duration(steps)*time.Minute), time.Minute, steps, traffic, flat(before)), control, flat(before))
	window = besides(r, ratios(r, deployed, time.Minute, 30, traffic, flat(min(1, before*ours*shared))), control, flat(before*shared))
	return p, history, window
}

func TestWhatHitsBothGroupsNeverReverts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawnBeside(rt, 1, anyTraffic, anyTraffic)
		at, a := firstRevert(t, evidence(t, p, one(history), one(window)), 15*time.Minute)
		require.Zero(rt, at, a.Reasons)
	})
}

func TestControlGroupsAreRecomputedBitForBit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawnBeside(rt, rapid.SampledFrom([]float64{1, 5}).Draw(rt, "ours"), anyTraffic, anyTraffic)
		if rapid.Bool().Draw(rt, "value") {
			p.Signals = []verifier.Signal{withControl(cpuSignal())}
			p.Signals[0].Name = "errors"
			for _, obs := range [][]verifier.Observation{history, window} {
				for i := range obs {
					obs[i].Value, obs[i].Control.Value = obs[i].Total+obs[i].Bad, obs[i].Control.Total
				}
			}
		}
		ev := evidence(t, p, one(history), one(window))
		a, err := judge.Assess(ev, deployed.Add(30*time.Minute))
		require.NoError(rt, err)
		stored, err := json.Marshal(ev)
		require.NoError(rt, err)
		var read verifier.Evidence
		require.NoError(rt, json.Unmarshal(stored, &read))
		b, err := judge.Assess(read, deployed.Add(30*time.Minute))
		require.NoError(rt, err)
		require.Equal(rt, a, b)
		read.Signals[0].Observations = shuffled(rt, read.Signals[0].Observations)
		b, err = judge.Assess(read, deployed.Add(30*time.Minute))
		require.NoError(rt, err)
		require.Equal(rt, a, b, "the order of arrival")
	})
}

// More traffic of both groups at the same shares never takes the proof of plain
// harm away, where there is so much of it that no luck is multiplied into proof.
func TestMoreTrafficOfBothGroupsNeverLowersCertainty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, history, window := drawnBeside(rt, 40, []float64{1000, 5000}, []float64{5000})
		now := deployed.Add(30 * time.Minute)
		a, err := judge.Assess(evidence(t, p, one(history), one(window)), now)
		require.NoError(rt, err)
		for _, obs := range [][]verifier.Observation{history, window} {
			for i := range obs {
				obs[i].Bad, obs[i].Total = 7*obs[i].Bad, 7*obs[i].Total
				obs[i].Control = &verifier.Control{Bad: 7 * obs[i].Control.Bad, Total: 7 * obs[i].Control.Total}
			}
		}
		b, err := judge.Assess(evidence(t, p, one(history), one(window)), now)
		require.NoError(rt, err)
		if a.Decision == verifier.Revert {
			require.Equal(rt, verifier.Revert, b.Decision, b.Reasons)
		}
	})
}

func TestFindingTellsOfTheControlGroup(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	p := policy(time.Minute, time.Hour, 3*time.Minute, 15*time.Minute, withControl(errorsSignal()))
	history := besides(r, ratios(r, deployed.Add(-24*time.Hour), time.Minute, 1440, 1000, flat(0.004)), 1000, flat(0.005))
	window := besides(r, ratios(r, deployed, time.Minute, 60, 1000, flat(0.04)), 1000, flat(0.05))
	a, err := judge.Assess(evidence(t, p, one(history), one(window)), deployed.Add(30*time.Minute))
	require.NoError(t, err)
	f := a.Findings[0]
	require.True(t, f.Shared)
	require.False(t, a.Cleared)
	require.InDelta(t, 0.005, *f.Control.Before, 0.001)
	require.InDelta(t, 0.05, *f.Control.After, 0.005)
	require.InDelta(t, 0.04, *f.Expected, 0.01)
	require.Equal(t, verifier.SignalPending, f.State)
	require.Contains(t, a.Summary, "and so did the control group")
	require.Empty(t, a.Decision)
	for i := range window {
		window[i].Control = nil
	}
	a, err = judge.Assess(evidence(t, p, one(history), one(window)), deployed.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, verifier.Inconclusive, a.Decision)
	require.Equal(t, 60, a.Findings[0].Steps.NoData)
}
