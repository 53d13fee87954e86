package crash

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A leak of two goroutines a minute shows, and what the warm-up did doesn't.
func TestSlopes(t *testing.T) {
	start := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	var all []holding
	for i := range 120 { // one each half a minute
		h := holding{at: start.Add(time.Duration(i) * 30 * time.Second), resident: 64 << 20, goroutines: 100 + float64(i), descriptors: 30, perVerdict: 2048}
		if i < 20 {
			h.resident = float64(i) * (10 << 20)
		}
		all = append(all, h)
	}
	got := slopes(all)
	require.Len(t, got, 4)
	require.InDelta(t, 64, got[0].Mean, 0.001)
	require.InDelta(t, 0, got[0].PerHour, 0.001)
	require.Equal(t, 100, got[0].Samples)
	require.InDelta(t, 120, got[1].PerHour, 0.001)
	require.InDelta(t, 169.5, got[1].Mean, 0.001)
	require.Contains(t, got[1].String(), "goroutines: 169.5  on average, +120.00 an hour (+70.8 %)")
	require.Nil(t, slopes(all[:30]), "too few")
}
