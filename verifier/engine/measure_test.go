package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var t0 = time.Date(2026, 11, 23, 2, 40, 0, 0, time.UTC)

// at returns t0 plus a number of seconds.
func at(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

func measuredAt(seconds ...float64) []verifier.Observation {
	var out []verifier.Observation
	for _, s := range seconds {
		out = append(out, verifier.Observation{At: at(s), Outcome: verifier.Measured})
	}
	return out
}

func ratio() verifier.Signal {
	return verifier.Signal{Name: "errors", Kind: verifier.Ratio, RatioSource: &verifier.RatioSource{}}
}

func probe() verifier.Signal {
	return verifier.Signal{Name: "smoke", Kind: verifier.Ratio, ProbeSource: &verifier.ProbeSource{}}
}

// check is a verification of a deploy that started 10 s and finished 40 s
// after t0, with steps of 30 s and a window of 10 min.
func check() verifier.Check {
	return verifier.Check{
		DueAt: at(100),
		Policy: verifier.Policy{Step: verifier.Duration(30 * time.Second), Interval: verifier.Duration(15 * time.Second),
			Window: verifier.Duration(10 * time.Minute)},
		Verification: verifier.Verification{
			Deployment: verifier.Deployment{StartedAt: at(10), FinishedAt: at(40)}, ClosesAt: at(640),
		},
	}
}

func TestUnmeasuredStretch(t *testing.T) {
	for name, c := range map[string]struct {
		signal   verifier.Signal
		stored   []verifier.Observation
		now      float64
		from, to float64
	}{
		"the first step begins after the deploy started":      {ratio(), nil, 95, 30, 90},
		"a step is asked for once it has settled":             {ratio(), nil, 94, 30, 60},
		"from the last measured step":                         {ratio(), measuredAt(60, 90), 125, 90, 120},
		"failed steps are asked for again":                    {ratio(), append(measuredAt(60), verifier.Observation{At: at(90), Outcome: verifier.Failed}), 125, 60, 120},
		"nothing beyond the end of the window":                {ratio(), measuredAt(600), 5000, 600, 630},
		"a probe is run now":                                  {probe(), nil, 95, 10, 95},
		"a probe is run once more as the window ends":         {probe(), nil, 655, 10, 645},
		"a probe is not run after the window":                 {probe(), nil, 5000, 645, 645},
		"nothing complete yet leaves nothing to ask, to<from": {ratio(), nil, 31, 30, 0},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := unmeasured(check(), c.signal, verifier.SignalEvidence{Observations: c.stored}, at(c.now))
			require.Equal(t, at(c.from), from)
			require.Equal(t, at(c.to), to)
		})
	}
}

func TestFailedStepsNameEachStep(t *testing.T) {
	steps := failedSteps(ratio(), 30*time.Second, at(30), at(120), "prometheus is down")
	require.Len(t, steps, 3)
	for i, o := range steps {
		require.Equal(t, at(float64(60+30*i)), o.At)
		require.Equal(t, verifier.Failed, o.Outcome)
		require.Equal(t, "prometheus is down", o.Message)
	}
	require.Len(t, failedSteps(probe(), 30*time.Second, at(30), at(120), "x"), 1)
}

func TestNextLookKeepsItsPhase(t *testing.T) {
	c := check()
	require.Equal(t, at(115), nextLook(c, at(101)))
	require.Equal(t, at(160), nextLook(c, at(150)), "missed looks are not made up for")
	require.Equal(t, at(130), nextLook(c, at(115)), "a look that took a whole interval")
	c.DueAt = at(635)
	require.Equal(t, at(645), nextLook(c, at(636)), "the end of the window is looked at when its last step has settled")
	c.DueAt = at(645)
	require.Equal(t, at(660), nextLook(c, at(-3000)), "not again and again by a clock that is behind the store's")
}

func TestMergeReplacesAStepAndSorts(t *testing.T) {
	stored := []verifier.Observation{
		{At: at(30), Outcome: verifier.Measured, Bad: 1},
		{At: at(60), Outcome: verifier.Failed},
		{At: at(90), Outcome: verifier.Measured, Bad: 3},
	}
	got := merge(stored, []verifier.Observation{{At: at(120), Outcome: verifier.Measured, Bad: 4}, {At: at(60), Outcome: verifier.Measured, Bad: 2}})
	require.Len(t, got, 4)
	for i, o := range got {
		require.Equal(t, at(float64(30*(i+1))), o.At)
		require.Equal(t, verifier.Measured, o.Outcome)
		require.InDelta(t, float64(i+1), o.Bad, 0)
	}
	require.Equal(t, verifier.Failed, stored[1].Outcome, "what is stored stays as it is")

	require.Equal(t, stored, merge(stored, nil))
	next := verifier.Observation{At: at(120), Outcome: verifier.Measured, Bad: 4}
	got = merge(stored[:2], []verifier.Observation{next})
	require.Equal(t, []verifier.Observation{stored[0], stored[1], next}, got)
	require.InDelta(t, 3, stored[2].Bad, 0, "what lies behind stays as it is")
	require.Equal(t, []verifier.Observation{next}, merge(nil, []verifier.Observation{next}))
}

func TestTailIsBoundedInTimeAndNumber(t *testing.T) {
	var history []verifier.Observation
	for i := range 2000 {
		history = append(history, verifier.Observation{At: at(float64(i))})
	}
	require.Len(t, tail(history, at(0)), beforePoints)
	require.Len(t, tail(history, at(1990)), 10)
	require.Empty(t, tail(nil, at(0)))
}

func TestSettleIsHalfAStepAndFiveSecondsAtMost(t *testing.T) {
	require.Equal(t, 500*time.Millisecond, settle(time.Second))
	require.Equal(t, 5*time.Second, settle(5*time.Minute))
}

// What is stored of a source that is away is not stored again, until it is
// another.
func TestNewsAreWhatIsNotStored(t *testing.T) {
	failed := func(seconds float64, why string) verifier.Observation {
		return verifier.Observation{At: at(seconds), Outcome: verifier.Failed, Message: why}
	}
	stored := append(measuredAt(30), failed(60, "away"), failed(90, "away"))
	fresh := append(measuredAt(30, 60), failed(90, "away"), failed(120, "away"))
	require.Equal(t, []verifier.Observation{fresh[0], fresh[1], fresh[3]}, news(stored, fresh), "a measured one may be another")
	require.Equal(t, []verifier.Observation{failed(90, "slow")}, news(stored, []verifier.Observation{failed(90, "slow")}))
	require.Equal(t, fresh, news(nil, fresh))
}
