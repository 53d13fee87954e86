package app

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake/review"
)

// buildReviewers makes what answers the deployment protection rules of each
// source that has a gate.
func (cur *current) buildReviewers(rule egress) error {
	cur.reviewers = map[string]*review.GitHub{}
	for _, s := range cur.config.Sources {
		if s.Gate == nil {
			continue
		}
		key, err := configs.ParseAppKey(s.Gate.PrivateKey.Reveal())
		if err != nil {
			return fmt.Errorf("source %q: gate.private_key_file %w", s.Name, err)
		}
		transport, _ := cur.transports(rule)
		g, err := review.New(review.Settings{Source: s.Name, AppID: s.Gate.App, Key: key, URL: s.Gate.URL,
			AtOnce: s.Gate.Reject == "at_once", Within: s.Gate.Within}, transport, time.Now)
		if err != nil {
			return err
		}
		cur.reviewers[s.Name] = g
	}
	return nil
}

// answerRequests tells pipelines that wait for the gate what it says, until ctx
// ends.
func (a *App) answerRequests(ctx context.Context) {
	review.NewAnswerer(review.Options{
		Store: a.store, Ask: a.gatekeeper().Ask, Now: time.Now, Log: a.o.Log,
		Teller: func(source string) (review.Teller, bool) {
			g, ok := a.current.Load().reviewers[source]
			return g, ok
		},
		Any: func() bool { return len(a.current.Load().reviewers) > 0 },
		URL: func(service, version string) string {
			return a.externalURL() + "/record?" + url.Values{"service": {service}, "version": {version}}.Encode()
		},
		Told: func(source, result string) { a.metrics.gateRequests.WithLabelValues(source, result).Inc() },
	}).Run(ctx)
}

// RequestGate keeps a pipeline that waits for the gate's answer.
func (a accepter) RequestGate(ctx context.Context, r verifier.GateRequest) (verifier.GateRequest, bool, error) {
	r.ReceivedAt = r.ReceivedAt.UTC().Truncate(time.Microsecond) // as it is stored
	stored, known, err := a.store.RequestGate(ctx, r)
	if err == nil && !known {
		a.log.Info("a pipeline asks the gate", "request", stored.ID, "from", r.Source, "service", r.Service, "environment", r.Environment, "version", r.Version, "actor", r.Actor)
	}
	return stored, known, err
}
