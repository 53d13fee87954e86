package benchmark

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/judge/linechart"
)

func TestGrade(t *testing.T) {
	results := []Result{
		{Bad: true, Reverted: true, Minute: 5, Score: 4},
		{Bad: true, Reverted: true, Minute: 9, Score: 3},
		{Bad: true, Minute: 120, Score: 1},
		{Reverted: true, Minute: 2, Score: 2},
		{Minute: 120, Score: 1},
	}
	s := Grade(results)
	require.Equal(t, 3, s.Bad)
	require.Equal(t, 2, s.Good)
	require.InDelta(t, 0.5, s.FalseReverts(), 0)
	require.InDelta(t, 2.0/3, s.Precision(), 1e-12)
	require.InDelta(t, 2.0/3, s.Recall(), 1e-12)
	require.InDelta(t, 2.0/3, s.F1(), 1e-12)
	require.InDelta(t, 7, s.Median, 0)
	// Of six pairs four are in order, one is tied, one is not.
	require.InDelta(t, 4.5/6, s.AUC, 1e-12)
	require.Equal(t, []linechart.Point{{}, {Y: 1.0 / 3}, {Y: 2.0 / 3}, {X: 0.5, Y: 2.0 / 3}, {X: 1, Y: 1}}, roc(results))
	require.True(t, math.IsNaN(Grade(nil).Precision()))
}

func TestInterval(t *testing.T) {
	// The rule of three, exactly: 1 - 0.025^(1/n).
	low, high := Interval(0, 100)
	require.InDelta(t, 0, low, 0)
	require.InDelta(t, 1-math.Pow(0.025, 0.01), high, 1e-9)
	low, high = Interval(5, 10)
	require.InDelta(t, 0.1871, low, 1e-4)
	require.InDelta(t, 0.8129, high, 1e-4)
	low, high = Interval(3, 3)
	require.InDelta(t, math.Pow(0.025, 1.0/3), low, 1e-9)
	require.InDelta(t, 1, high, 0)
	low, high = Interval(0, 0)
	require.Equal(t, [2]float64{0, 1}, [2]float64{low, high})
}
