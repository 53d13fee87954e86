package app

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
	"github.com/postflight/postflight/verifier/safety"
)

// overruler stores what people decide about verifications, and counts and logs
// what became of it.
type overruler struct {
	store   Storage
	metrics *metrics
	log     *slog.Logger
	limits  func() safety.Limits
	pageURL func(id string) string
}

// Override records a person's decision; see safety.Override.
func (r overruler) Override(ctx context.Context, id string, o verifier.Override) (verifier.Verification, string, error) {
	o.At = o.At.UTC().Truncate(time.Microsecond) // as it is stored
	var before, after verifier.Verification
	var outcome string
	err := r.store.Override(ctx, id, o.At, func(v verifier.Verification, p verifier.Policy, f verifier.Facts) (verifier.Overruling, error) {
		c, err := safety.Override(v, p, f, o, r.limits(), r.pageURL(id))
		before, after, outcome = v, c.Verification, c.Outcome
		return c, err
	})
	if err == nil {
		err = failpoint.Reach(ctx, failpoint.OverrideAfterCommit)
	}
	if err != nil {
		return verifier.Verification{}, "", err
	}
	if before.Verdict == nil && after.Verdict != nil {
		r.metrics.Decided(after)
	}
	if !reflect.DeepEqual(before.Action, after.Action) {
		r.metrics.ActionMoved(after)
	}
	d := after.Deployment
	r.log.Info("override", "verification", id, "service", d.Service, "environment", d.Environment, "version", d.Version,
		"decision", string(o.Decision), "by", o.By, "reason", o.Reason, "action", string(after.Action.State), "guard", string(after.Action.Guard))
	v, err := r.store.Verification(ctx, id)
	return v, outcome, err
}
