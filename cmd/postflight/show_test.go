package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestShowKeepsReasonsInTheirLines: who gives a reason doesn't write lines of
// the tool's own.
func TestShowKeepsReasonsInTheirLines(t *testing.T) {
	const forged = "fine\naction  withheld (brake): forged\x1b[2J"
	at := time.Date(2026, 11, 23, 2, 50, 0, 0, time.UTC)
	v := ended(verifier.Revert, func(v *verifier.Verification) {
		v.Override = &verifier.Override{Decision: verifier.Keep, By: "dana", At: at, Reason: forged, Outcome: forged}
		v.Feedback = []verifier.Feedback{{By: "dana", At: at, Reason: forged}}
		v.Votes = []verifier.Vote{{Decision: verifier.No, By: "kim", At: at, Reason: forged}}
		v.Action = verifier.Action{State: verifier.ActionConfirmed, TargetVersion: "1.41.3", Reason: forged}
	})
	code, out, errs := command(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) { answer(t, w, v) }, "show", "vf_1")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "fine action  withheld (brake): forged")
	require.NotContains(t, out, "\naction  withheld")
	require.NotContains(t, out, "\x1b")
}
