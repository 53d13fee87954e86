package app

import (
	"context"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
	"github.com/postflight/postflight/verifier/store"
)

const pruneEvery = time.Hour

// prune deletes what has been kept for long enough, hourly.
func (a *App) prune(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := a.pruneOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.o.Log.Error("delete what was kept for long enough", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *App) pruneOnce(ctx context.Context, now time.Time) error {
	r, err := a.retention(ctx, now)
	if err != nil {
		return err
	}
	pruned, err := a.store.Prune(ctx, now, r)
	a.metrics.deleted(pruned, err == nil, now)
	if pruned != (store.Pruned{}) {
		a.o.Log.Info("deleted what was kept for long enough", "evidence", pruned.Evidence,
			"verifications", pruned.Verifications, "delivery_ids", pruned.DeliveryIDs, "tickets", pruned.Tickets, "alerts", pruned.Alerts,
			"gate_decisions", pruned.GateDecisions, "gate_requests", pruned.GateRequests)
	}
	return err
}

// retention is what is configured; what froze a place, or engaged the brake,
// stays until a person releases it.
func (a *App) retention(ctx context.Context, now time.Time) (store.Retention, error) {
	cur := a.current.Load()
	c := cur.config.Storage.Retention
	r := store.Retention{Evidence: c.Observations, Verifications: c.Verifications, DeliveryIDs: c.DeliveryIDs,
		Keep: map[verifier.Location]bool{}}
	counts, err := a.store.Counts(ctx, now)
	if err != nil {
		return r, err
	}
	for _, f := range safety.Frozen(counts.Freezing, now, cur.limits) {
		r.Keep[f.Location()] = true
	}
	counts.Brake.Held = nil // who engaged it by hand is in the audit trail, which stays whole
	r.KeepAll = safety.BrakeEngaged(counts.Brake, cur.limits)
	return r, nil
}
