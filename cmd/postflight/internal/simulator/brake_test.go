package simulator

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestBrakeEngagedByHand: a person stops the automatic rollbacks of all services,
// over a restart too; what was requested and not sent yet is stopped with them.
// Verdicts go on, and once it is released the next one is acted on.
func TestBrakeEngagedByHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shop, cart, mail := Place{"checkout", "production"}, Place{"cart", "staging"}, Place{"mail", "testing"}
		w := New(t, Options{Seed: 7, Places: []Place{shop, cart, mail}, Releases: bad, Signals: errorsSignal})
		each([]Place{shop, cart, mail}, w.settled)
		w.brake("engage")
		w.Stop()
		w.Start()
		for _, p := range []Place{shop, cart} {
			v := w.verdict(w.Deploy(p, "1.2"))
			require.Equal(t, verifier.Revert, v.Verdict.Decision)
			require.Equal(t, verifier.ActionWithheld, v.Action.State)
			require.Equal(t, verifier.GuardBrake, v.Action.Guard)
			require.Contains(t, v.Action.Reason, `dana stopped all automatic actions at`)
			require.Contains(t, v.Action.Reason, `("a drill")`)
		}
		w.brake("release")
		v := w.verdict(w.Deploy(mail, "1.2"))
		require.Equal(t, verifier.Revert, v.Verdict.Decision)
		time.Sleep(2 * time.Minute)
		require.Equal(t, verifier.ActionConfirmed, w.Verification(v.ID).Action.State)
	})
}

// brake does something to it as a person does.
func (w *World) brake(what string) {
	status, answer := w.Post("/api/v1/brake/"+what, http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + personToken}}, []byte(`{"reason":"a drill"}`))
	if status != http.StatusOK {
		w.t.Errorf("brake %s: %d: %s", what, status, answer)
	}
}
