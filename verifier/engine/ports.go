package engine

import (
	"context"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Store is what the engine needs of the durable state. Every write is
// conditional on the check's epoch and on the state not being final: a stale
// writer gets a verifier.Conflict error and changes nothing.
type Store interface {
	// Claim leases up to limit verifications that are due at now, for
	// lease, raising each one's epoch; with everything that a look needs.
	// A verification whose lease runs out is due again.
	Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]verifier.Check, error)
	// Renew lets a check's lease end lease after now: later or sooner.
	Renew(ctx context.Context, c verifier.Check, now time.Time, lease time.Duration) error
	// Prepare stores the plans, calibrations and baselines in c.Signals and
	// moves a pending verification to observing. It may be called again while
	// observing, for signals whose history could not be read the first time.
	// The lease stays.
	Prepare(ctx context.Context, c verifier.Check) error
	// Record stores fresh observations (those of a step stored before are
	// replaced), the verification's findings and cleared time, and the
	// messages, gives the lease back and makes the next look due at next.
	Record(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, next time.Time, messages []verifier.Delivery) error
	// Decide stores fresh observations and whatever decide makes of the
	// facts, in one transaction with the deliveries. An error of decide
	// leaves everything as it was.
	Decide(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, now time.Time, decide verifier.DecideFunc) error
	// PastObservations returns what earlier verifications of the same
	// service and environment observed of a signal of that name and source,
	// in order of time. Probes have no other history.
	PastObservations(ctx context.Context, d verifier.Deployment, signal verifier.Signal, since time.Time) ([]verifier.Observation, error)
	// PassedBefore reports whether any of those saw such a probe succeed since
	// then, in its warm-up as well.
	PassedBefore(ctx context.Context, d verifier.Deployment, signal verifier.Signal, since time.Time) (bool, error)
	// LeftOut returns the stretches of a service's past that say nothing
	// about what is usual: windows of deploys that were reverted.
	LeftOut(ctx context.Context, service, environment string, since time.Time) ([]verifier.Span, error)
	// Awaited returns the verifications whose rollback was requested after
	// since and accepted, and whose target was not seen live yet.
	Awaited(ctx context.Context, since time.Time) ([]verifier.Awaited, error)
	// Surroundings returns what may have done the harm of a verification as
	// well: the newest deployments of at most limit other services of its
	// environment that became current since then and were not deployed within
	// its window, the most recent first; and the deploys that overlap with it.
	Surroundings(ctx context.Context, v verifier.Verification, p verifier.Policy, since time.Time, limit int) ([]verifier.Deployment, []verifier.Overlap, error)
	// UpdateAction stores whatever change makes of a verification's action,
	// with its messages, in one transaction.
	UpdateAction(ctx context.Context, verificationID string, now time.Time, change verifier.ActionChange) error
}

// Measurer measures signals of one kind of source.
type Measurer interface {
	// Prepare makes the signal concrete for the target: renders templates and
	// chooses thresholds from the baseline, which ends at until and goes
	// back to since. An error of kind Invalid is the configuration's fault,
	// any other may pass and is tried again.
	Prepare(ctx context.Context, s verifier.Signal, t verifier.Target, step time.Duration, since, until time.Time) (verifier.Plan, error)
	// Measure returns one observation for every step in (from, to], in order
	// of time; a source that could not be read gives observations with the
	// outcome Failed and the reason, never an error. A probe is run once and
	// gives one observation at to. A source that lags gives only the steps
	// that it can know by now.
	Measure(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation
	// History returns what Measure would have returned over the past, at the
	// resolution that the source can give cheaply. An error is a source that
	// could not be read now; sources without a memory return nothing.
	History(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error)
}

// Revisitor is a Measurer whose source learns of the past late, as tickets
// arrive late.
type Revisitor interface {
	// MeasureAgain is Measure, and asks again for those of the observations
	// measured before that the source may know better by now. Such a one is
	// returned, with its own time and span, where it changed.
	MeasureAgain(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time, measured []verifier.Observation) []verifier.Observation
}

// Persistent is a Measurer whose Measure reads on after a look has stopped
// waiting for it, by a context whose cause is context.DeadlineExceeded: the next
// look finds the answer there. Where there are more looks than places for them,
// none waits for long.
type Persistent interface {
	Persists()
}

// SlowHistorian is a Measurer whose History may take long, for it asks
// politely: no look waits for it.
type SlowHistorian interface {
	// HistoryProgress says how far it is.
	HistoryProgress(s verifier.Signal, t verifier.Target) string
}

// Metrics is told what happens; cmd/postflight/internal/app turns it into
// Prometheus metrics.
type Metrics interface {
	Observed(source verifier.SourceKind, outcome verifier.Outcome, n int)
	Late(d time.Duration) // how long after it was due a check began
	Decided(v verifier.Verification)
	ActionMoved(v verifier.Verification)
}
