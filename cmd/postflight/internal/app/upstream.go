package app

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// outboundObserver is told of each request to a source of evidence.
type outboundObserver func(upstream string, d time.Duration, ok bool)

// upstreams watches the sources of evidence: each request counts, and a source
// that goes away or comes back is logged once.
type upstreams struct {
	metrics *metrics
	log     *slog.Logger
	mu      sync.Mutex
	down    map[string]bool
	seen    map[string]board.Upstream // for people to look at
}

func newUpstreams(m *metrics, log *slog.Logger) *upstreams {
	return &upstreams{metrics: m, log: log, down: map[string]bool{}, seen: map[string]board.Upstream{}}
}

// requested records one request to a source.
func (u *upstreams) requested(upstream string, d time.Duration, ok bool) {
	u.metrics.requested(upstream, d, ok)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !ok && !u.down[upstream]:
		u.log.Warn("a source of evidence does not answer: verdicts that need it will be inconclusive", "upstream", upstream)
	case ok && u.down[upstream]:
		u.log.Info("a source of evidence answers again", "upstream", upstream)
	}
	u.down[upstream] = !ok
	at := time.Now()
	now := board.Upstream{Name: upstream, Up: ok, AskedAt: at, UpAt: u.seen[upstream].UpAt}
	if ok {
		now.UpAt = &at
	}
	u.seen[upstream] = now
}

// all returns the sources that were asked since the start, in order of name.
func (u *upstreams) all() []board.Upstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.SortedFunc(maps.Values(u.seen), func(a, b board.Upstream) int { return cmp.Compare(a.Name, b.Name) })
}

// operator logs what people do beside storing it, and tells done, for whoever
// did it looks next at what came of it.
type operator struct {
	store Storage
	log   *slog.Logger
	done  func()
}

// ReleaseBrake lets automatic reverts go on; see store.Store.ReleaseBrake.
func (o operator) ReleaseBrake(ctx context.Context, by, reason string, now time.Time) error {
	if err := o.store.ReleaseBrake(ctx, by, reason, now); err != nil {
		return err
	}
	o.done()
	o.log.Info("brake released", "by", by, "reason", reason)
	return nil
}

// EngageBrake stops automatic reverts; see store.Store.EngageBrake.
func (o operator) EngageBrake(ctx context.Context, by, reason string, now time.Time) error {
	if err := o.store.EngageBrake(ctx, by, reason, now); err != nil {
		return err
	}
	o.done()
	o.log.Warn("brake engaged by a person: no automatic rollback is sent until it is released", "by", by, "reason", reason)
	return nil
}

// Brake says whether it is engaged; see store.Store.Brake.
func (o operator) Brake(ctx context.Context) (verifier.Brake, error) { return o.store.Brake(ctx) }

// decider logs what people decide beside storing it, and tells done.
type decider struct {
	Storage
	log  *slog.Logger
	done func()
}

// RecordDecision stores a decision; see store.Store.RecordDecision.
func (d decider) RecordDecision(ctx context.Context, e verifier.AuditEntry) (verifier.AuditEntry, error) {
	e, err := d.Storage.RecordDecision(ctx, e)
	if err != nil {
		return e, err
	}
	d.done()
	d.log.Info("decision recorded", "action", e.Action, "service", e.Service, "environment", e.Environment,
		"subject", e.Subject, "decision", e.Decision, "by", e.By, "reason", e.Reason)
	return e, nil
}

// shared counts queries to a Prometheus that were not sent, for another's answer
// was there.
func (a *App) shared(upstream string, answers int) { a.metrics.shared(upstream, answers) }

// waiting records how long a query to a Prometheus waits for its turn.
func (a *App) waiting(upstream string) (over func()) { return a.metrics.waits(upstream) }
