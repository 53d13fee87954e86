package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestCountsThatHaveFadedAreShownAsFew(t *testing.T) {
	for x, want := range map[float64]string{0: "0/h", 2.3e-7: "<0.001/h", 0.0012: "0.0012/h", 2.5: "2.5/h"} {
		require.Equal(t, want, level(verifier.Count, &x))
	}
}

func TestSignalsAreShownInWords(t *testing.T) {
	share := 0.05
	v := verifier.Verification{
		State:   verifier.StateObserving,
		Verdict: &verifier.Verdict{Decision: verifier.Keep},
		Signals: []verifier.Finding{
			{Name: "latency", Kind: verifier.Ratio, State: verifier.SignalPending, After: &share, About: "share of requests slower than 273ms"},
			{Name: "smoke", Kind: verifier.Ratio, State: verifier.SignalBad, Rule: "failed 3 times in a row; 3 are enough", Message: "status 500"},
		},
	}
	show := func() string {
		var out bytes.Buffer
		require.NoError(t, printVerification(streams{out: &out}, v))
		return out.String()
	}
	require.Regexp(t, `latency +pending .* share of requests slower than 273ms`, show())
	require.Regexp(t, `smoke +bad .* failed 3 times in a row; 3 are enough; status 500`, show())
	require.Contains(t, progress(v, time.Time{}), "latency pending")
	v.State = verifier.StateDecided
	require.Regexp(t, `latency +not proven `, show())
	require.Contains(t, progress(v, time.Time{}), "latency not proven")
}
