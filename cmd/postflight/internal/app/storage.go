package app

import (
	"context"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/probes/alerts"
	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/api"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/intake"
	"github.com/postflight/postflight/verifier/intake/review"
	"github.com/postflight/postflight/verifier/store"
)

// Storage is everything that the daemon asks of its store once that is open:
// what each package declares that it needs, in one. Tests put faults between.
//
//go:generate go test . -run TestFaultyStoreIsCurrent -update
type Storage interface {
	intake.Accepter
	intake.AlertNoter
	intake.GateNoter
	review.Store
	intake.TicketKeeper
	tickets.Shelf
	alerts.Book
	engine.Store
	alerting.Store
	api.Reader
	api.Operator
	api.Decider
	Override(ctx context.Context, id string, now time.Time, decide verifier.OverrideFunc) error
	Rate(ctx context.Context, id string, f verifier.Feedback) (fresh bool, err error)
	Cast(ctx context.Context, id string, vote verifier.Vote, roles []string) (outcome string, fresh bool, err error)
	Accuracy(ctx context.Context, since time.Time) (verifier.Accuracy, error)
	Gate(ctx context.Context, ask verifier.GateAsk, now time.Time, decide func(verifier.GateState) verifier.GateVerdict) (verifier.GateVerdict, error)
	Speak(ctx context.Context, w verifier.GateWord) (verifier.GateWord, error)
	Word(ctx context.Context, id string) (verifier.GateWord, error)
	ReleaseRecord(ctx context.Context, service, version, environment string) (verifier.ReleaseRecord, error)
	Waiting(ctx context.Context, since time.Time) ([]verifier.GateVerdict, error)
	Counts(ctx context.Context, now time.Time) (store.Counts, error)
	Vitals(ctx context.Context, now time.Time) (store.Vitals, error)
	Around(ctx context.Context, environment string, from, to time.Time, limit int) ([]verifier.Verification, error)
	Recent(ctx context.Context, limit int) ([]verifier.Verification, error)
	Ping(ctx context.Context) error
	Prune(ctx context.Context, now time.Time, r store.Retention) (store.Pruned, error)
}
