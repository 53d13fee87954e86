package judge_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// harmed judges a service of 1,000 requests a minute and half a percent of
// errors that gets worse by the factor at the minute given, looked at nine
// minutes after the deploy.
func harmed(t *testing.T, factor float64, from int, perMinute float64) (verifier.Evidence, time.Time) {
	t.Helper()
	p := policy(time.Minute, time.Hour, 0, 15*time.Minute, errorsSignal())
	p.History = verifier.Duration(24 * time.Hour)
	r := rand.New(rand.NewPCG(3, 5))
	all := ratios(r, deployed.Add(-24*time.Hour), time.Minute, 1440+9, perMinute, func(i int) float64 {
		if i-1440 >= from {
			return 0.005 * factor
		}
		return 0.005
	})
	ev := evidence(t, p, map[string][]verifier.Observation{"errors": all[:1440]}, map[string][]verifier.Observation{"errors": all[1440:]})
	ev.Signals[0].Before = all[1380:1440]
	return ev, deployed.Add(9 * time.Minute)
}

func TestHarmThatWasThereBeforeTheDeployBeganBeforeIt(t *testing.T) {
	for from, before := range map[int]time.Duration{-2: 2 * time.Minute, -1: time.Minute, 0: 0, 2: -2 * time.Minute} {
		ev, now := harmed(t, 10, from, 1000)
		a, err := judge.Assess(ev, now)
		require.NoError(t, err)
		require.Equal(t, verifier.Revert, a.Decision, "from %d: %v", from, a.Reasons)
		require.NotNil(t, a.Findings[0].Onset)
		require.Equal(t, before, deployed.Sub(*a.Findings[0].Onset), "from %d: %s", from, a.Summary)
		if before > 0 {
			require.Contains(t, a.Summary, "before the deploy started")
		}
	}
}

func TestABlipBeforeTheDeployIsNotItsHarm(t *testing.T) {
	ev, now := harmed(t, 10, 1, 1000)
	blip := ev.Signals[0].Before
	blip[len(blip)-3].Bad = 200
	a, err := judge.Assess(ev, now)
	require.NoError(t, err)
	require.False(t, a.Findings[0].Onset.Before(deployed), "it was over before the deploy")
}

func TestANeighbourFares(t *testing.T) {
	harm := judge.Harm{Since: deployed.Add(3 * time.Minute), Fold: 10, Source: []verifier.SourceKind{verifier.FromRatio}}
	for name, c := range map[string]struct {
		factor, perMinute float64
		state             verifier.NeighbourState
	}{
		"the same harm":          {10, 1000, verifier.NeighbourWorse},
		"less of it":             {3, 1000, verifier.NeighbourWorse},
		"none":                   {1, 1000, verifier.NeighbourSteady},
		"not likewise":           {1.4, 1000, verifier.NeighbourSteady},
		"with little traffic":    {1, 2, verifier.NeighbourUnknown},
		"nothing to compare":     {1, 0, verifier.NeighbourUnknown},
		"harm in little traffic": {10, 100, verifier.NeighbourWorse},
	} {
		t.Run(name, func(t *testing.T) {
			ev, now := harmed(t, c.factor, 3, c.perMinute)
			fared, err := judge.Fare(ev, harm, now)
			require.NoError(t, err)
			require.Equal(t, c.state, fared.State, "%+v", fared)
			switch fared.State {
			case verifier.NeighbourWorse:
				require.Regexp(t, `^errors rose from 0\.\d+% to \d`, fared.Worst.Change())
				require.Equal(t, harm.Since, *fared.Worst.Onset)
			case verifier.NeighbourUnknown:
				require.NotEmpty(t, fared.Why)
			}
		})
	}
}

func TestHarmOf(t *testing.T) {
	ev, now := harmed(t, 10, 3, 1000)
	a, err := judge.Assess(ev, now)
	require.NoError(t, err)
	h := judge.HarmOf(ev.Policy, a.Findings, deployed)
	require.Greater(t, h.Fold, 5.0)
	require.LessOrEqual(t, h.Fold, 12.0)
	require.WithinDuration(t, deployed.Add(3*time.Minute), h.Since, time.Minute)
	require.Equal(t, []verifier.SourceKind{verifier.FromRatio}, h.Source)
	require.Equal(t, judge.Harm{Since: deployed, Fold: 1}, judge.HarmOf(ev.Policy, nil, deployed))
}
