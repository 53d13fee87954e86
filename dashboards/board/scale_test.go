package board

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		want   []float64
	}{
		{0, 0.066, []float64{0, 0.02, 0.04, 0.06, 0.08}},
		{0, 4, []float64{0, 1, 2, 3, 4}},
		{1200, 1285, []float64{1200, 1250, 1300}},
		{-3, 3, []float64{-4, -2, 0, 2, 4}},
		{7, 7, []float64{2, 4, 6, 8, 10, 12}},
		{0, 0, []float64{-0.5, 0, 0.5}},
	} {
		require.InDeltaSlice(t, c.want, ticks(c.lo, c.hi, 4), 1e-9, "%v to %v", c.lo, c.hi)
	}
}

func TestTicksHoldTheirRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := rapid.Float64Range(-1e9, 1e9).Draw(t, "lo")
		hi := lo + rapid.Float64Range(1e-3, 1e9).Draw(t, "extent")
		got := ticks(lo, hi, 4)
		slack := (hi - lo) * 1e-6
		require.LessOrEqual(t, got[0], lo+slack)
		require.GreaterOrEqual(t, got[len(got)-1], hi-slack)
		require.GreaterOrEqual(t, len(got), 2)
		require.LessOrEqual(t, len(got), 8)
	})
}

func TestScale(t *testing.T) {
	s := scale{0, 10, 200, 100}
	require.Equal(t, 200.0, s.at(0))
	require.Equal(t, 150.0, s.at(5))
	require.Equal(t, 100.0, s.at(10))
	require.Equal(t, 200.0, scale{3, 3, 200, 100}.at(3))
}

func TestTimeTicks(t *testing.T) {
	from := time.Date(2026, 11, 23, 2, 18, 7, 0, time.UTC)
	var got []string
	for _, at := range timeTicks(from, from.Add(50*time.Minute), 6) {
		got = append(got, timeLabel(at, 10*time.Minute))
	}
	require.Equal(t, []string{"02:20", "02:30", "02:40", "02:50", "03:00"}, got)
	require.Equal(t, "02:18:10", timeLabel(timeTicks(from, from.Add(20*time.Second), 6)[0], 5*time.Second))
	require.Equal(t, "11-24", timeLabel(timeTicks(from, from.Add(96*time.Hour), 6)[0], 24*time.Hour))
}

func TestCoordinate(t *testing.T) {
	require.Equal(t, "12.3", coordinate(12.345))
	require.Equal(t, "12", coordinate(12))
}

func at(seconds int) time.Time { return time.Unix(int64(seconds), 0) }

func obs(seconds int, outcome verifier.Outcome, bad, total float64) verifier.Observation {
	return verifier.Observation{At: at(seconds), Span: verifier.Duration(10 * time.Second), Outcome: outcome, Bad: bad, Total: total, Count: bad, Value: bad}
}

func TestThinSumsEventsOverOpportunities(t *testing.T) {
	in := []verifier.Observation{
		obs(0, verifier.Measured, 9, 9), // outside: from is exclusive
		obs(10, verifier.Measured, 1, 10), obs(20, verifier.Measured, 3, 30),
		obs(30, verifier.NoData, 0, 0), obs(40, verifier.Failed, 0, 0),
		obs(50, verifier.Measured, 5, 10), obs(60, verifier.NoData, 0, 0),
		obs(70, verifier.Measured, 0, 0), // no traffic is no level
		obs(90, verifier.Measured, 9, 9), // outside
	}
	require.Equal(t, []point{
		{at(20), 0.1, true}, {at(40), 0, false}, {at(60), 0.5, true}, {at(70), 0, false},
	}, thin(in, verifier.Ratio, at(0), at(80), 4))
	require.Equal(t, 4.0/20*3600, thin(in, verifier.Count, at(0), at(80), 4)[0].level)
	require.Equal(t, 2.0, thin(in, verifier.Value, at(0), at(80), 4)[0].level)
}

func TestPathBreaksWhereNothingWasMeasured(t *testing.T) {
	points := []point{{at(10), 1, true}, {at(20), 2, true}, {at(30), 0, false}, {at(40), 1, true}, {at(90), 3, true}}
	y := scale{0, 10, 0, 100}
	got := path(points, 25*time.Second, func(t time.Time) float64 { return float64(t.Unix()) }, y)
	require.Equal(t, "M10 10h0L20 20M40 10h0M90 30h0", got)
	require.Equal(t, []gap{{at(20), at(30)}, {at(40), at(90)}}, gaps(points, 25*time.Second))
	require.Empty(t, gaps(nil, time.Second))
}

func TestValueAxisHoldsLimitAndIgnoresWhatIsNoNumber(t *testing.T) {
	limit := 0.05
	f := verifier.Finding{Kind: verifier.Ratio, Matters: verifier.Matters{Limit: &limit}}
	s, marks := valueAxis(f, []point{{at(1), 0.01, true}, {at(2), math.NaN(), true}})
	require.Zero(t, s.lo)
	require.GreaterOrEqual(t, s.hi, limit)
	require.Len(t, marks, 4)
	s, _ = valueAxis(verifier.Finding{Kind: verifier.Ratio})
	require.Equal(t, 0.01, s.hi)
}
