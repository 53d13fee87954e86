package judge

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAgreeTakesTheSmallerShiftOfOneDirection(t *testing.T) {
	for _, c := range []struct{ before, clock, want float64 }{
		{3, 5, 3},  // harm: beyond the minutes before and the clock
		{5, 1, 1},  // a morning's ramp, mostly explained by the clock
		{5, -1, 0}, // a ramp that fell short of yesterday's
		{-4, -6, -4},
		{-1, 2, 0},
		{0, 7, 0}, // the echo of yesterday's incident
	} {
		require.Equal(t, c.want, agree(c.before, c.clock))
	}
}

func TestClockTellsWhatEarlierDaysDid(t *testing.T) {
	const day = 24 * 60
	f := fit{window: 60, lookback: 30, past: past{bin: 60e9}}
	for i := range 3*day + 60 {
		v := 10.0
		if m := i % day; m >= 600 && m < 660 {
			v += float64(5 * (1 + i/day)) // 5, 10 and 15 more from day to day
		}
		f.past.x, f.past.n = append(f.past.x, v), append(f.past.n, 1)
	}
	f.past.sum()

	mid, low, high := f.clock(2*day+600, 60)
	require.Len(t, mid, 12)
	require.Equal(t, []float64{7.5, 5, 10}, []float64{mid[5], low[5], high[5]})

	mid, low, high = f.clock(600, 60)
	require.Nil(t, mid)
	require.Nil(t, low)
	require.Nil(t, high)
}
