package simulator

import (
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/internal/invariant"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier/safety"
)

// kept is what the world remembers for the checker, beside what its fakes do.
type kept struct {
	notifications []invariant.Notification
	lives         []invariant.Life
}

// notified remembers what a source told and what it was answered.
func (w *World) notified(a announcement, status int, answer Answer) {
	source, delivery := a.sent()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept.notifications = append(w.kept.notifications, invariant.Notification{
		At: time.Now(), Source: source, DeliveryID: delivery, Service: a.Service, Environment: a.Environment, Version: a.Version,
		Status: status, VerificationID: answer.VerificationID,
	})
}

// lives remembers that the daemon came to life, or that it ended.
func (w *World) lives(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if yes {
		w.kept.lives = append(w.kept.lives, invariant.Life{Started: time.Now()})
		return
	}
	w.kept.lives[len(w.kept.lives)-1].Ended = time.Now()
}

// check holds what the run left behind against the invariants of
// docs/safety.md. The daemon has ended.
func (w *World) check() {
	w.t.Helper()
	c, err := configs.Load(filepath.Join(w.dir, "postflight.yml"), os.LookupEnv)
	require.NoError(w.t, err)
	caps, brake := c.Safety.Caps, c.Safety.Brake
	invariant.Check(w.t, w.Database(), invariant.Run{
		Ended: w.kept.lives[len(w.kept.lives)-1].Ended, Poll: poll + w.options.Late,
		Limits:        safety.Limits{PerHour: caps.PerHour, PerDay: caps.PerDay, BrakeReverts: brake.Reverts, BrakeWithin: brake.Within},
		Notifications: invariant.Seen(w.kept.notifications), Lives: invariant.Seen(w.kept.lives),
		Rollbacks: invariant.Seen(seen(w.Pipeline.Calls())), Messages: invariant.Seen(seen(w.Messages())),
		Secrets: []string{pipelineToken, personToken, githubSecret, hookSecret},
		Outputs: invariant.Seen([]invariant.Output{{Where: "log", Text: w.log.Bytes()}}),
	})
}

func seen(calls []Call) (out []invariant.Call) {
	for _, c := range calls {
		out = append(out, invariant.Call{At: c.At, Header: c.Header, Body: c.Body, Status: c.Status})
	}
	return out
}
