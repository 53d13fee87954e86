package board

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.4: "0.4", 0.51: "0.51", 6.1: "6.1", 6.123: "6.12", 99.96: "100", 999.4: "999", 999.5: "1,000",
		1263.4: "1,263", 81200: "81,200", 1234567: "1,234,567", -1234.5: "-1,235", 0.000123: "0.000123",
		0.00001: "1e-05", 2.5e12: "2.5e+12", math.Inf(1): "not a number", 100: "100", -0.25: "-0.25",
	} {
		require.Equal(t, want, number(x), "%v", x)
	}
	require.Equal(t, "not a number", number(math.NaN()))
}

func TestLevelHasTheUnitOfItsKind(t *testing.T) {
	require.Equal(t, "0.51%", level(verifier.Ratio, 0.0051))
	require.Equal(t, "2.5/h", level(verifier.Count, 2.5))
	require.Equal(t, "0/h", level(verifier.Count, 0))
	require.Equal(t, "0.001/h", level(verifier.Count, 0.001))
	require.Equal(t, "<0.001/h", level(verifier.Count, 2.3e-7))
	require.Equal(t, "1,250", level(verifier.Value, 1250))
}

func TestChange(t *testing.T) {
	x := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		expected, after *float64
		want            string
	}{
		{x(0.004), x(0.061), "15.2× expected"}, {x(182), x(190), "+4%"}, {x(100), x(80), "−20%"}, {x(100), x(100.1), "no change"},
		{x(0), x(0), "no change"}, {x(0), x(1), "up from 0"}, {nil, x(1), ""}, {x(1), nil, ""},
	} {
		require.Equal(t, c.want, change(c.expected, c.after))
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 34 * time.Millisecond: "34ms", 45 * time.Second: "45s", 545 * time.Second: "9m05s",
		3*time.Hour + 4*time.Minute: "3h04m", 51 * time.Hour: "2d03h", 59*time.Second + 600*time.Millisecond: "1m00s",
		-90 * time.Second: "-1m30s",
	} {
		require.Equal(t, want, words(d))
	}
}

func TestMomentIsUTCAndCountsFromTheDeploy(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	at := time.Date(2026, 11, 23, 4, 50, 12, 0, zone)
	m := momentAt(at).since(at, at.Add(-545*time.Second))
	require.Equal(t, moment{"2026-11-23T02:50:12Z", "2026-11-23 02:50:12 UTC", "9m05s after the deploy"}, m)
	require.Equal(t, "2m27s before the deploy finished", momentAt(at).since(at, at.Add(147*time.Second)).Offset)
	require.Empty(t, momentAt(at).since(at, at).Offset)
}

func TestList(t *testing.T) {
	require.Equal(t, "", list(nil))
	require.Equal(t, "a", list([]string{"a"}))
	require.Equal(t, "a, b and c", list([]string{"a", "b", "c"}))
	require.Equal(t, "a, b, c, d, e and 2 more", list([]string{"a", "b", "c", "d", "e", "f", "g"}))
}

func TestEveryGuardHasARule(t *testing.T) {
	for _, g := range []verifier.Guard{verifier.GuardLoop, verifier.GuardCaps, verifier.GuardBrake, verifier.GuardFence,
		verifier.GuardTarget, verifier.GuardIrreversible, verifier.GuardAttribution, verifier.GuardAmbiguity,
		verifier.GuardExpiry, verifier.GuardMode, verifier.GuardWindow, verifier.GuardPerson} {
		require.NotEmpty(t, guardRules[g], g)
	}
}
