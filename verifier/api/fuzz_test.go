package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// FuzzBody reads whatever may be sent as a decision: what is let through is one
// JSON document that every reader understands alike.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"reason":"a"}`, `{"decision":"keep","reason":"ü"}`, "[]", "null", "{}{}", `{"a":[[[[1e999]]]]}`, `"\u0000"`, "\xef\xbb\xbf{}", `{"a":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkBody(body) == nil {
			require.True(t, json.Valid(body))
		}
	})
}

// FuzzWait reads whatever may be sent as a time to wait or to freeze for.
func FuzzWait(f *testing.F) {
	for _, seed := range []string{"", "30s", "-1s", "1h", "9999999999h", "NaN", "1e3s", ".5m", "2026-11-30T08:00:00Z", "7d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseWait(text)
		require.True(t, err == nil && d >= 0 && d <= longest || verifier.KindOf(err) == verifier.Invalid)
		for _, of := range [][2]string{{text, ""}, {"", text}} {
			end, err := freezeEnd(of[0], of[1], now)
			require.True(t, err == nil && (end.IsZero() || end.After(now)) || verifier.KindOf(err) == verifier.Invalid, "%s", end.Format(time.RFC3339))
		}
	})
}
