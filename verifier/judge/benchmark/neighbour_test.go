package benchmark

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// asDeployed is what the engine would ask of a stream, with its past of a day.
func asDeployed(t *testing.T, s Stream, warmup time.Duration) verifier.Evidence {
	t.Helper()
	second := s.Signal // a policy seldom has one signal; they share the budget
	second.Name = "other"
	p := verifier.Policy{Window: verifier.Duration(time.Hour), Interval: verifier.Duration(time.Minute), Step: verifier.Duration(time.Minute),
		Warmup: verifier.Duration(warmup), FalseReverts: 0.01, History: verifier.Duration(24 * time.Hour), Signals: []verifier.Signal{s.Signal, second}}
	c, err := json.Marshal(judge.Calibrate(s.Signal, p, s.History, nil, deployedAt))
	require.NoError(t, err)
	return verifier.Evidence{Policy: p, StartedAt: deployedAt, FinishedAt: deployedAt, ClosesAt: deployedAt.Add(time.Hour),
		Signals: []verifier.SignalEvidence{{Signal: s.Signal.Name, Calibration: c, Observations: s.Window}}}
}

func after(minutes int) time.Time { return deployedAt.Add(time.Duration(minutes) * time.Minute) }

// TestNeighbours measures what attribution rests on: how often a healthy
// neighbour counts as worse, and how often one that is harmed by the same
// outage does at the moment when the deploy's own signals first say revert.
func TestNeighbours(t *testing.T) {
	errors := Signal{Kind: verifier.FromRatio, Per: 1000, Base: 0.005}
	calm := Real
	calm.ColdStart = 0 // a neighbour is not restarted
	var asked, falsely, reverts, found int
	for seed := range uint64(30) {
		healthy := asDeployed(t, errors.stream(source(seed, "healthy"), calm, 1440, 60, 0, 0), 0)
		for _, m := range []int{5, 15, 25, 35, 45, 55} {
			for _, back := range []int{2, 4, 8} {
				fared, err := judge.Fare(healthy, judge.Harm{Since: after(m - back), Fold: 4, Source: []verifier.SourceKind{verifier.FromRatio}}, after(m))
				require.NoError(t, err)
				asked++
				if fared.State == verifier.NeighbourWorse {
					falsely++
				}
			}
		}
		own := asDeployed(t, errors.stream(source(seed, "own"), Real, 1440, 60, 4, 3), 3*time.Minute)
		for m := 2; m <= 60; m++ {
			a, err := judge.Assess(own, after(m))
			require.NoError(t, err)
			if a.Decision != verifier.Revert {
				continue
			}
			reverts++
			harmed := asDeployed(t, errors.stream(source(seed, "harmed"), calm, 1440, 60, 4, 3), 0)
			fared, err := judge.Fare(harmed, judge.HarmOf(own.Policy, a.Findings, deployedAt), after(m))
			require.NoError(t, err)
			if fared.State == verifier.NeighbourWorse {
				found++
			}
			break
		}
	}
	t.Logf("healthy and counted worse: %d of %d; harmed and counted worse: %d of %d", falsely, asked, found, reverts)
	require.Greater(t, reverts, 25)
	require.LessOrEqual(t, float64(falsely)/float64(asked), 0.02)
	require.GreaterOrEqual(t, float64(found)/float64(reverts), 0.9)
}
