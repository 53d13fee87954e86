package app

import (
	"cmp"
	"context"
	"errors"
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

// Override records a person's decision; see safety.Override. Another standing
// than the one that the decision rests on is a Conflict; "" rests on none.
func (r overruler) Override(ctx context.Context, id string, o verifier.Override, standing string) (verifier.Verification, string, error) {
	o.At = o.At.UTC().Truncate(time.Microsecond) // as it is stored
	var before, after verifier.Verification
	var outcome string
	err := r.store.Override(ctx, id, o.At, func(v verifier.Verification, p verifier.Policy, f verifier.Facts) (verifier.Overruling, error) {
		if now := v.Standing(); standing != "" && standing != now {
			return verifier.Overruling{}, verifier.Errorf(verifier.Conflict,
				"%s has changed meanwhile, and nothing was stored: it was %q and is %q. Look again, and decide anew", id, standing, now)
		}
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

// errForeseen undoes what was only to be foreseen.
var errForeseen = errors.New("foreseen")

// Foresee returns what a decision would change if it were taken now, and the
// verification as it stands.
func (r overruler) Foresee(ctx context.Context, id string, o verifier.Override) (stands verifier.Verification, outcome string, err error) {
	o.At = o.At.UTC().Truncate(time.Microsecond)
	err = r.store.Override(ctx, id, o.At, func(v verifier.Verification, p verifier.Policy, f verifier.Facts) (verifier.Overruling, error) {
		c, err := safety.Override(v, p, f, o, r.limits(), r.pageURL(id))
		stands, outcome = v, c.Outcome
		return c, cmp.Or(err, errForeseen)
	})
	if errors.Is(err, errForeseen) {
		err = nil
	}
	return stands, outcome, err
}
