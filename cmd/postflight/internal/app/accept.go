package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
)

// accepter stores notifications, and counts and logs what became of them.
type accepter struct {
	store   Storage
	metrics *metrics
	log     *slog.Logger
}

// Accept stores a notification; see store.Store.Accept.
func (a accepter) Accept(ctx context.Context, n verifier.Notification, policies []verifier.Policy, now time.Time) (verifier.Acceptance, bool, error) {
	if err := failpoint.Reach(ctx, failpoint.IntakeBeforeTx); err != nil {
		return verifier.Acceptance{}, false, err
	}
	acceptance, duplicate, err := a.store.Accept(ctx, n, policies, now)
	if err == nil {
		err = failpoint.Reach(ctx, failpoint.IntakeAfterCommitBeforeReply)
	}
	if err != nil || duplicate {
		return acceptance, duplicate, err
	}
	d := acceptance.Deployment
	args := []any{"from", d.Source, "service", d.Service, "environment", d.Environment, "version", d.Version, "status", string(d.Status)}
	if d.Rollback {
		args = append(args, "rollback", d.RollbackWhy)
	}
	if v := acceptance.Verification; v != nil {
		args = append(args, "verification", v.ID, "policy", v.Policy, "mode", string(v.Mode))
	}
	if v := acceptance.Superseded; v != nil {
		args = append(args, "superseded", v.ID)
	}
	a.log.Info("deploy announced", args...)
	if v := acceptance.Confirmed; v != nil {
		a.metrics.ActionMoved(*v)
		a.log.Info("rollback moved on", "verification", v.ID, "revert", v.Action.RevertID, "action", string(v.Action.State))
	}
	return acceptance, duplicate, nil
}

// unsendable names the receivers that can't be told of a deploy, for what its
// source left out.
func (a *App) unsendable(accepted verifier.Acceptance) []string {
	v := accepted.Verification
	body, err := json.Marshal(verifier.NewEvent(verifier.EventOpened, *v, accepted.Policy, v.OpenedAt))
	if err != nil {
		return nil // there is nothing to say: the deploy is stored
	}
	var out []string
	for _, name := range accepted.Policy.Receivers {
		receiver, _ := a.receiver(verifier.MessageDelivery, name)
		if s, ok := receiver.(alerting.Skipper); ok {
			if why := s.Skips(verifier.Delivery{VerificationID: v.ID, Receiver: name, Event: verifier.EventOpened, Body: body}); why != "" {
				out = append(out, fmt.Sprintf("receiver %q is told nothing of this deploy: %s", name, why))
			}
		}
	}
	return out
}

// AlertHistory reads alerts for alerts signals; see store.Store.AlertHistory.
func (a *App) AlertHistory(ctx context.Context, source, service, environment string, since, until time.Time) (verifier.AlertHistory, error) {
	return a.store.AlertHistory(ctx, source, service, environment, since, until)
}
