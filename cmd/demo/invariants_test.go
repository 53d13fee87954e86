package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/cmd/internal/invariant"
	"github.com/postflight/postflight/verifier/safety"
)

// checkInvariants ends the daemon and holds what the test left behind against
// the invariants of docs/safety.md.
func checkInvariants(t *testing.T, w *world.World) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	run := invariant.Run{Secrets: world.Secrets(), Limits: safety.Limits{BrakeReverts: w.Options().Brake}}
	var shown []invariant.Output
	if w.Daemon.Running() {
		held, err := w.Daemon.Memory()
		require.NoError(t, err)
		run.Samples = invariant.Seen([]invariant.Sample{{At: time.Now(), Resident: held.Peak}})
		for _, path := range []string{"/", "/metrics", "/api/v1/verifications?limit=100"} {
			text, err := w.Page(ctx, path)
			require.NoError(t, err)
			shown = append(shown, invariant.Output{Where: path, Text: []byte(text)})
		}
	}
	require.NoError(t, w.Daemon.Stop())
	log, err := w.Daemon.WholeLog()
	require.NoError(t, err)
	run.Outputs = invariant.Seen(append(shown, invariant.Output{Where: "log", Text: log}))
	var lives []invariant.Life
	for _, l := range w.Daemon.Lives() {
		lives = append(lives, invariant.Life(l))
	}
	run.Lives = invariant.Seen(lives)
	run.Rollbacks = invariant.Seen(seen(w.Pipeline.Arrivals(pipeline.RollbackPath)))
	run.Messages = invariant.Seen(seen(w.Pipeline.Arrivals(pipeline.VerdictPath)))
	run.Notifications = invariant.Seen(notified(w.Pipeline.Sent()))
	report := invariant.Check(t, w.Database(), run)
	t.Logf("invariants checked: %s", strings.Join(report.Checked, " "))
}

func seen(arrivals []pipeline.Arrival) (out []invariant.Call) {
	for _, a := range arrivals {
		out = append(out, invariant.Call{At: a.At, Header: a.Header, Body: a.Body, Status: a.Status})
	}
	return out
}

// notified reads what was sent to postflight as its sources mean it.
func notified(sent []pipeline.Sent) (out []invariant.Notification) {
	for _, s := range sent {
		header := http.Header{}
		for name, value := range s.Header {
			header.Set(name, value)
		}
		n := invariant.Notification{At: s.SentAt.Add(s.Took), Source: "pipeline", DeliveryID: header.Get("Idempotency-Key"),
			Status: s.Status, VerificationID: s.VerificationID}
		var body struct {
			Service, Environment, Version string
			Deployment                    struct {
				SHA, Environment string
				Payload          struct{ Service string }
			}
		}
		if json.Unmarshal(s.Sent, &body) != nil {
			continue
		}
		n.Service, n.Environment, n.Version = body.Service, body.Environment, body.Version
		switch {
		case header.Get("X-GitHub-Delivery") != "":
			d := body.Deployment
			n.Source, n.DeliveryID = "github", header.Get("X-GitHub-Delivery")
			n.Service, n.Environment, n.Version = d.Payload.Service, d.Environment, d.SHA
		case header.Get("webhook-id") != "":
			n.Source, n.DeliveryID = "signed", header.Get("webhook-id")
		}
		out = append(out, n)
	}
	return out
}
