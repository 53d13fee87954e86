package configs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShare(t *testing.T) {
	for written, want := range map[string]share{"0.5%": 0.005, "0.005": 0.005, "1%": 0.01, "29%": 0.29, "0": 0, "150%": 1.5, "1 %": 0.01, "1e-4": 1e-4, "1e-2%": 1e-4} {
		got, err := parseShare(written)
		require.NoError(t, err, written)
		require.Equal(t, want, got, written)
	}
	for _, written := range []string{"", "%", "-1%", "NaN", "Inf", "1%%", "half"} {
		_, err := parseShare(written)
		require.Error(t, err, written)
	}
}

func TestSize(t *testing.T) {
	for written, want := range map[string]int64{"1024": 1024, "64KiB": 64 << 10, "25 MiB": 25 << 20} {
		got, err := parseSize(written)
		require.NoError(t, err, written)
		require.Equal(t, want, got, written)
	}
	for _, written := range []string{"", "-1", "1MB", "1.5MiB", "99999999999999999999", "MiB"} {
		_, err := parseSize(written)
		require.Error(t, err, written)
	}
}

func TestDurationText(t *testing.T) {
	for _, want := range []string{"0s", "1ms", "1m30s", "7d", "1d12h", "90d"} {
		d, err := parseDuration(want)
		require.NoError(t, err)
		require.Equal(t, want, text(d))
	}
	require.Equal(t, "2m", text(120*time.Second))
}

func TestSuggestion(t *testing.T) {
	known := []string{"signals", "step", "soak", "to"}
	for word, want := range map[string]string{
		"signal": "signals", "Signals": "signals", "setp": "step", "sok": "soak", "sings": "", "window": "", "": "", "tto": "to", "xy": "",
	} {
		require.Equal(t, want, nearest(word, known), word)
	}
	keys := []string{"name", "url", "max_rate", "max_concurrent", "timeout"}
	require.Equal(t, "max_rate", nearest("rate", keys), "a part, rather than name")
	require.Equal(t, "name", nearest("nam", keys))
}

func TestPrefix(t *testing.T) {
	for written, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "fd00::1": "fd00::1/128", "::/0": "::/0",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.1.2.3": "10.1.2.3/32", "::ffff:0:0/95": "",
	} {
		got, err := parsePrefix(written)
		if want == "" {
			require.Error(t, err, written)
			continue
		}
		require.NoError(t, err, written)
		require.Equal(t, want, got.String(), written)
	}
	for _, written := range []string{"", "10.0.0.0/33", "10.1.0.0/8", "fe80::1%eth0", "shop.example"} {
		_, err := parsePrefix(written)
		require.Error(t, err, written)
	}
}
