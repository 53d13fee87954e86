package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
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
		require.NoError(t, printVerification(terminal.New(&out, true, os.Getenv), v))
		return out.String()
	}
	require.Regexp(t, `latency +pending .* share of requests slower than 273ms`, show())
	require.Regexp(t, `smoke +bad .* failed 3 times in a row; 3 are enough; status 500`, show())
	require.Contains(t, progress(v, time.Time{}), "latency pending")
	v.State = verifier.StateDecided
	require.Regexp(t, `latency +not proven `, show())
	require.Contains(t, progress(v, time.Time{}), "latency not proven")
}

// TestHeadlineSaysWhatCounts: a person's decision otherwise heads the record, as
// it does on the page.
func TestHeadlineSaysWhatCounts(t *testing.T) {
	v := verifier.Verification{State: verifier.StateDecided, Effective: verifier.Keep,
		Deployment: verifier.Deployment{Service: "checkout", Version: "2", Environment: "production"},
		Verdict:    &verifier.Verdict{Decision: verifier.Inconclusive, Summary: "nothing was measured"}}
	v.Effective = verifier.Inconclusive
	require.Equal(t, "INCONCLUSIVE  checkout 2 in production: nothing was measured", headline(v))
	v.Override, v.Effective = &verifier.Override{Decision: verifier.Revert, By: "dana", Reason: "orders are lost."}, verifier.Revert
	require.Equal(t, "REVERT  checkout 2 in production: dana decided it: orders are lost. The verdict had been inconclusive: nothing was measured", headline(v))
}

func TestWhyADeliveryIsNotDone(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 42, 0, 0, time.UTC)
	tried := func(state verifier.DeliveryState, reason string, a verifier.Attempt) verifier.Delivery {
		a.At = at
		return verifier.Delivery{State: state, Reason: reason, Attempts: []verifier.Attempt{{At: at.Add(-time.Minute), Error: "an older one"}, a}}
	}
	for want, d := range map[string]verifier.Delivery{
		"": tried(verifier.DeliveryDelivered, "", verifier.Attempt{Status: 200, Result: "delivered"}),
		"connection refused (2026-11-23 02:42:00 UTC)": tried(verifier.DeliveryRetryable, "", verifier.Attempt{Error: "connection refused"}),
		"503: busy (2026-11-23 02:42:00 UTC)":          tried(verifier.DeliveryRetryable, "", verifier.Attempt{Status: 503, Error: "busy"}),
		"refused by chat: status 404: no channel (2026-11-23 02:42:00 UTC)": tried(verifier.DeliveryDiscarded, "refused by chat: status 404: no channel",
			verifier.Attempt{Status: 404, Error: "status 404: no channel"}),
		"overtaken by a later one":          {State: verifier.DeliveryDiscarded, Reason: "overtaken by a later one"},
		"started (2026-11-23 02:42:00 UTC)": tried(verifier.DeliveryPending, "", verifier.Attempt{Result: verifier.AttemptStarted}),
	} {
		require.Equal(t, want, undelivered(d))
	}
}
