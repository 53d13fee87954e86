package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// Time alone is no change: a watch prints what happened.
func TestAWatchedStatusTellsChangesOnly(t *testing.T) {
	now := docsBegin
	deploy := func(service string) verifier.Verification {
		return verifier.Verification{State: verifier.StateObserving, ClosesAt: docsBegin.Add(30 * time.Minute),
			Deployment: verifier.Deployment{Service: service, Environment: "production", Version: "1", FinishedAt: docsBegin}}
	}
	s := standing{Services: []verifier.Verification{deploy("cart"), deploy("checkout")}, Daemon: board.Status{Database: "sqlite"}}
	for _, machine := range []bool{false, true} {
		var out bytes.Buffer
		v := &statusView{machine: machine, out: terminal.New(&out, true, func(string) string { return "" }), errs: &out, rows: map[verifier.Location]string{}}
		show := func() string {
			t.Helper()
			out.Reset()
			now = now.Add(time.Minute)
			s.Daemon.At = now
			require.NoError(t, v.show(s))
			return out.String()
		}
		first := show()
		require.Contains(t, first, "checkout")
		require.Empty(t, show(), "it is a minute later, and nothing else")
		s.Services[1].State, s.Services[1].Effective = verifier.StateDecided, verifier.Keep
		changed := show()
		require.Contains(t, changed, "checkout")
		require.Equal(t, machine, strings.Contains(changed, "cart"), "a row for what changed, or the whole document")
		s.Daemon.Brake = board.Brake{Engaged: true, Held: &verifier.BrakeHold{By: "dana", Reason: "the gateway"}}
		require.Contains(t, show(), map[bool]string{false: "brake: ENGAGED (dana: the gateway)", true: `"engaged":true`}[machine])
		require.Empty(t, show())
		s.Services[1].State, s.Services[1].Effective, s.Daemon.Brake = verifier.StateObserving, "", board.Brake{}
	}
}
