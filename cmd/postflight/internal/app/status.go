package app

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
	"github.com/postflight/postflight/verifier/store"
)

const (
	// seenEvery is how often a replica says that it is alive, and seenFor how
	// long that holds: two may be missed.
	seenEvery = 20 * time.Second
	seenFor   = time.Minute
	// statusFresh is how old a status may be that is shown again: boards that
	// many people have open ask the store no more often.
	statusFresh = 3 * time.Second
)

// status is what GET /status tells of this daemon and its store.
type status struct {
	app     *App
	replica store.Replica

	mu   sync.Mutex
	last board.Status
}

func newStatus(a *App) *status {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	if a.listener != nil {
		host += " " + a.Address()
	}
	return &status{app: a, replica: store.Replica{ID: verifier.NewID("rp_"), Name: host, Version: a.o.Version, StartedAt: time.Now()}}
}

// beSeen says that this replica is alive until ctx ends, then that it is gone.
func (s *status) beSeen(ctx context.Context) {
	tick := time.NewTicker(seenEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		r := s.replica
		r.SeenAt, r.LeaseUntil = now, now.Add(seenFor)
		if err := s.app.database.SeeReplica(ctx, r); err != nil && ctx.Err() == nil {
			s.app.o.Log.Warn("other replicas don't see this one", "err", err)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if err := s.app.database.ForgetReplica(last, s.replica.ID); err != nil {
				s.app.o.Log.Info("this replica is shown as gone for a day", "err", err)
			}
			return
		case <-tick.C:
		}
	}
}

// read returns the status, at most statusFresh old.
func (s *status) read(ctx context.Context) (board.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.last.At) < statusFresh {
		return s.last, nil
	}
	counts, err := s.app.store.Counts(ctx, now)
	if err != nil {
		return board.Status{}, err
	}
	vitals, err := s.app.store.Vitals(ctx, now)
	if err != nil {
		return board.Status{}, err
	}
	s.last = s.of(now, counts, vitals)
	return s.last, nil
}

// forget has the next reader ask the store.
func (s *status) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.At = time.Time{}
}

func (s *status) of(now time.Time, c store.Counts, v store.Vitals) board.Status {
	cur := s.app.current.Load()
	out := board.Status{
		At: now, Version: s.app.o.Version, Database: "sqlite", Bytes: c.Bytes, Reverts: c.Reverts,
		Brake:     board.Brake{Engaged: safety.BrakeEngaged(c.Brake, cur.limits), Held: c.Brake.Held, ReleasedAt: known(c.Brake.ReleasedAt)},
		Freezes:   append([]verifier.Freeze{}, safety.Frozen(c.Freezing, now, cur.limits)...),
		Upstreams: s.app.upstreams.all(),
		Checks:    board.Checks{Pending: v.Pending, Observing: v.Observing, Leased: v.Leased, Overdue: v.Overdue},
		Intake:    []board.Intake{}, Feeds: []board.Feed{}, Queues: []board.Queue{}, Receivers: s.receivers(cur, v.Receivers), Replicas: []board.Replica{},
	}
	if strings.HasPrefix(s.app.storageURL(cur), "postgres") {
		out.Database = "postgres"
	}
	if !v.DueSince.IsZero() {
		out.Checks.LagSeconds = max(0, now.Sub(v.DueSince).Seconds())
	}
	for _, source := range cur.config.Sources {
		out.Intake = append(out.Intake, board.Intake{Name: source.Name, Format: source.Format, LastAt: known(v.Notified[source.Name])})
	}
	for _, f := range cur.config.Feeds {
		out.Feeds = append(out.Feeds, s.feed(f.Name, cmp.Or(f.Preset, f.Format), v, out.Upstreams))
	}
	for _, q := range v.Queues {
		out.Queues = append(out.Queues, board.Queue{Kind: q.Kind, Pending: q.Pending, Retrying: q.Retrying, OldestAt: known(q.Oldest)})
	}
	for _, r := range v.Replicas {
		out.Replicas = append(out.Replicas, board.Replica{Name: r.Name, Version: r.Version, StartedAt: r.StartedAt, SeenAt: r.SeenAt,
			LeaseUntil: r.LeaseUntil, Self: r.ID == s.replica.ID})
	}
	return out
}

// receivers are those of the configuration in its order, then what it doesn't
// name any more and is still waited for.
func (s *status) receivers(cur *current, vitals []store.ReceiverVitals) []board.Receiver {
	out := []board.Receiver{}
	add := func(name, kind string, sends verifier.DeliveryKind) {
		r := board.Receiver{Name: name, Kind: kind, Sends: sends}
		if i := slices.IndexFunc(vitals, func(v store.ReceiverVitals) bool { return v.Name == name && v.Kind == sends }); i >= 0 {
			v := vitals[i]
			r.DeliveredAt, r.FailedAt, r.RefusedAt, r.LastError = known(v.Delivered), known(v.Failed), known(v.Refused), v.Error
			r.Refused, r.Skipped, r.Retrying = v.Refusals, v.Skipped, v.Retrying
		}
		out = append(out, r)
	}
	for _, r := range cur.config.Receivers {
		add(r.Name, r.Kind(), verifier.MessageDelivery)
	}
	for _, r := range cur.config.Rollbacks {
		add(r.Name, r.Kind(), verifier.RollbackDelivery)
	}
	for _, v := range vitals {
		if v.Retrying > 0 && !slices.ContainsFunc(out, func(r board.Receiver) bool { return r.Name == v.Name && r.Sends == v.Kind }) {
			add(v.Name, "", v.Kind)
		}
	}
	return out
}

// feed says when a feed told anything: the newest ticket that was pushed, or the
// last answer to this replica's questions.
func (s *status) feed(name, kind string, v store.Vitals, upstreams []board.Upstream) board.Feed {
	out := board.Feed{Name: name, Kind: cmp.Or(kind, "json"), LastAt: known(v.Ticketed[name])}
	if i := slices.IndexFunc(upstreams, func(u board.Upstream) bool { return u.Name == name }); i >= 0 && upstreams[i].UpAt != nil {
		out.LastAt = upstreams[i].UpAt
	}
	return out
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// prometheusAddresses returns the configured servers for links into them.
func (a *App) prometheusAddresses() map[string]string {
	out := map[string]string{}
	for _, p := range a.current.Load().config.Prometheus {
		out[p.Name] = p.URL
	}
	return out
}
