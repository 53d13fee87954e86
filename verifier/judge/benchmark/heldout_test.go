package benchmark

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/judge/recorded"
)

// quietSeries is a labelled change in a series of some days around 100.
func quietSeries(name string, days int) LabelledChange {
	r := rand.New(rand.NewPCG(1, 2))
	c := LabelledChange{Change: recorded.Change{Case: name, At: deployedAt, Labelled: true}}
	for i := range days * day {
		c.Points = append(c.Points, judge.Point{At: deployedAt.Add(time.Duration(i-days*day) * time.Minute), Value: 100 + r.NormFloat64()})
	}
	return c
}

func TestHeldOutMomentsLieAwayFromTheLabels(t *testing.T) {
	changes := []LabelledChange{quietSeries("000", 5), quietSeries("001", 3)}
	got := heldOut(changes, 7)
	require.Len(t, got, heldOutMoments, "three days are too short a series")
	require.Equal(t, got, heldOut(changes, 7), "the same seed draws the same moments")
	for _, c := range got {
		require.GreaterOrEqual(t, c.At.Sub(c.Points[0].At), 3*24*time.Hour)
		require.GreaterOrEqual(t, deployedAt.Sub(c.At), heldOutAway)
		require.False(t, c.Points[len(c.Points)-1].At.After(c.At.Add(labelledWindow*time.Minute)), "nothing later than the window is shown")
	}
}

func TestHeldOutHarmIsPutIn(t *testing.T) {
	c := heldOut([]LabelledChange{quietSeries("000", 5)}, 7)[0]
	harmed := injection{12, 30}.into(c, -1)
	require.True(t, harmed.Erroneous)
	for i, p := range harmed.Points {
		put := p.Value - c.Points[i].Value
		switch since := p.At.Sub(c.At); {
		case since < 0:
			require.Zero(t, put)
		case since >= 30*time.Minute:
			require.InDelta(t, -12*0.6745, put, 1.0) // of a normal's deviation
		default:
			require.LessOrEqual(t, put, 0.0)
		}
	}
}

func TestHeldOutTable(t *testing.T) {
	r := Report{Seed: 7, HeldOut: GradeHeldOut([]LabelledChange{quietSeries("000", 4)}, 7, 2, io.Discard)}
	require.Zero(t, Grade(r.HeldOut[0].Healthy).False)
	require.Equal(t, 1.0, Grade(r.HeldOut[0].Harmed[2]).Recall(), "a step of 12 deviations can't be missed")
	var b strings.Builder
	require.NoError(t, r.WriteTables(&b))
	require.Contains(t, b.String(), "| postflight | 0 % (0 % to 71 %) |")
}
