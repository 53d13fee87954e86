package judge

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSuspicionIsOneWhereAlphaOfThePlacebosGo(t *testing.T) {
	tail := Tail{Ordinary: 2, Rare: 5}
	require.InDelta(t, 1, tail.suspicion(5, 0.01), 1e-12)
	require.InDelta(t, 1, tail.suspicion(5, 0.001), 1e-12)
	require.InDelta(t, 0.301, tail.suspicion(2, 0.01), 1e-3, "log 0.25 / log 0.01")
	require.Zero(t, tail.suspicion(0, 0.01))
	last := -1.0
	for v := 0.0; v < 20; v += 0.1 {
		s := tail.suspicion(v, 0.01)
		require.Greater(t, s, last)
		last = s
	}
}

func TestSuspicionOfATailWithoutWidthIsFinite(t *testing.T) {
	require.Zero(t, Tail{}.suspicion(0, 0.01))
	require.Less(t, Tail{}.suspicion(1e6, 0.01), 1e18)
}

func TestPersistenceAloneNeverPassesOne(t *testing.T) {
	e := &valueEvidence{c: Calibration{Usual: true, Threshold: 2, Peaks: 1, Persistence: Tail{1, 2}}}
	e.lasting.add(100)
	require.InDelta(t, 1, e.suspicion(0.01), 1e-12)
	e.top = 3
	require.Greater(t, e.suspicion(0.01), 1.0)
	e.c.Usual = false
	require.Zero(t, e.suspicion(0.01))
}

// A service that falls every day by this much is not found wanting, one that
// falls further than on any of them is.
func TestBeyondDaysLeavesOutWhatEarlierDaysDid(t *testing.T) {
	fallen := func(by float64) float64 {
		s := newShifts(10, basis{level: 100})
		for range 5 {
			s.push(bin{value: 100 - by, expected: 100, ok: true, low: -20, high: 5, clock: true})
		}
		v, ok := s.mean(beyondDays, 0, 5)
		require.True(t, ok)
		return v
	}
	require.Zero(t, fallen(15))
	require.InDelta(t, -10, fallen(30), 1e-9)
	require.InDelta(t, 5, fallen(-10), 1e-9, "a rise counts from the furthest rise")
	s := newShifts(10, basis{level: 100})
	s.push(bin{value: 1, expected: 100, ok: true})
	_, ok := s.mean(beyondDays, 0, 1)
	require.False(t, ok, "no earlier day is known")
}
