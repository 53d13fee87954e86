package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/postflight/postflight/verifier"
)

// rater stores what people say of verdicts, and counts and logs it.
type rater struct {
	store   Storage
	metrics *metrics
	log     *slog.Logger
}

// Rate records what a person says of a verdict.
func (r rater) Rate(ctx context.Context, id string, f verifier.Feedback) (verifier.Verification, error) {
	f.At = f.At.UTC().Truncate(time.Microsecond) // as it is stored
	fresh, err := r.store.Rate(ctx, id, f)
	if err != nil {
		return verifier.Verification{}, err
	}
	v, err := r.store.Verification(ctx, id)
	if err != nil || !fresh {
		return v, err
	}
	r.metrics.Rated(v.Verdict.Decision, f.Decision)
	r.log.Info("feedback", "verification", id, "service", v.Deployment.Service, "environment", v.Deployment.Environment,
		"version", v.Deployment.Version, "verdict", string(v.Verdict.Decision), "feedback", string(f.Decision), "by", f.By, "reason", f.Reason)
	return v, nil
}
