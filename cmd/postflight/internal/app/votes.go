package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/postflight/postflight/verifier"
)

// ballotbox stores people's votes, and counts and logs them.
type ballotbox struct {
	store   Storage
	metrics *metrics
	log     *slog.Logger
}

// Cast records a vote of an access entry with those roles.
func (b ballotbox) Cast(ctx context.Context, id string, vote verifier.Vote, roles []string) (verifier.Verification, string, error) {
	vote.At = vote.At.UTC().Truncate(time.Microsecond) // as it is stored
	outcome, fresh, err := b.store.Cast(ctx, id, vote, roles)
	if err != nil {
		return verifier.Verification{}, "", err
	}
	v, err := b.store.Verification(ctx, id)
	if err != nil || !fresh {
		return v, outcome, err
	}
	b.metrics.votes.WithLabelValues(string(vote.Decision)).Inc()
	b.log.Info("vote", "verification", id, "service", v.Deployment.Service, "environment", v.Deployment.Environment,
		"version", v.Deployment.Version, "vote", string(vote.Decision), "by", vote.By, "reason", vote.Reason)
	return v, outcome, nil
}
