package verifier

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAccuracy(t *testing.T) {
	took := func(d Decision, minutes int) Verification {
		v := judgedAs(d)
		v.Deployment.FinishedAt = v.Verdict.DecidedAt.Add(-time.Duration(minutes) * time.Minute)
		return v
	}
	var a Accuracy
	a.Add(took(Keep, 60), nil)
	require.Empty(t, a.Verdicts)
	_, of := a.Precision()
	require.Zero(t, of)
	_, known := a.MinutesToRevert()
	require.False(t, known)

	a.Add(took(Keep, 60), []Rating{Right, Right})
	a.Add(took(Keep, 60), []Rating{Wrong})
	a.Add(took(Revert, 50), []Rating{Wrong, Right})
	a.Add(took(Revert, 8), []Rating{Right})
	a.Add(took(Revert, 4), []Rating{Right})
	a.Add(took(Revert, 12), []Rating{Right})
	a.Add(took(Revert, 9), []Rating{Right})
	a.Add(took(Inconclusive, 60), []Rating{Wrong})
	persons := took(Keep, 1)
	persons.Verdict.By = "dana"
	a.Add(persons, []Rating{Wrong})
	require.Equal(t, map[Decision]Rated{Keep: {Right: 1, Wrong: 1}, Revert: {Right: 4, Disputed: 1}, Inconclusive: {Wrong: 1}}, a.Verdicts)
	share, of := a.Precision()
	require.InDelta(t, 0.8, share, 1e-9, "one that anybody calls wrong was not right")
	require.Equal(t, 5, of)
	share, of = a.Recall()
	require.InDelta(t, 0.8, share, 1e-9)
	require.Equal(t, 5, of)
	minutes, known := a.MinutesToRevert()
	require.True(t, known)
	require.InDelta(t, 8.5, minutes, 1e-9)
}
