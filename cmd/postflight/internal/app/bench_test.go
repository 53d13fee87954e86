package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/cmd/postflight/internal/faulty"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/safety"
	"github.com/postflight/postflight/verifier/store"
)

// bench is an engine and a dispatcher over a real store in virtual time, with
// a scripted source of evidence and a recording receiver.
type bench struct {
	t       *testing.T
	store   *store.Store
	policy  verifier.Policy
	source  *scripted
	hook    *recording
	desk    engine.Measurer                 // of tickets; nil for none
	probe   engine.Measurer                 // nil for none
	faults  *faulty.Faults                  // of what the engine asks of the store; nil for none
	through func(engine.Store) engine.Store // what else stands between them
	now     func() time.Time                // the engine's clock; nil is the true one
	truth   bool                            // the source knows nothing of what is still to come
	end     func()                          // of the running engine and deliveries
}

// scripted yields steps of 1,000 requests/s with the error rate of the version
// that runs; history has the healthy one.
type scripted struct {
	mu        sync.Mutex
	rate      func(at time.Time) float64
	down      bool
	slow      bool     // the past takes for ever to read
	live      []string // versions that run
	liveFault error
	of        map[string]func(at time.Time) float64 // instead of rate, for a service
}

const (
	healthyRate = 0.005
	theWindow   = time.Minute + 15*time.Second // and what comes after its end
)

func (s *scripted) Prepare(context.Context, verifier.Signal, verifier.Target, time.Duration, time.Time, time.Time) (verifier.Plan, error) {
	return verifier.Plan{Query: "errors"}, nil
}

func (s *scripted) History(ctx context.Context, _ verifier.Signal, _ verifier.Target, _ verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	if slow {
		<-ctx.Done()
		return nil, verifier.Errorf(verifier.Unavailable, "main: the past could not be read in time")
	}
	return s.steps(step, since, until, func(time.Time) float64 { return healthyRate }), nil
}

func (s *scripted) Measure(_ context.Context, _ verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	rate := s.rate
	if its, ok := s.of[t.Service]; ok {
		rate = its
	}
	out := s.steps(step, from, to, rate)
	for i := range out {
		if s.down {
			out[i] = verifier.Observation{At: out[i].At, Span: out[i].Span, Outcome: verifier.Failed, Message: "main: connection refused"}
		}
	}
	return out
}

// steps are the same for the same span, however often they are asked for.
func (s *scripted) steps(step time.Duration, from, to time.Time, rate func(time.Time) float64) []verifier.Observation {
	var out []verifier.Observation
	for at := from.Add(step); !at.After(to); at = at.Add(step) {
		r := rand.New(rand.NewPCG(7, uint64(at.UnixNano())))
		total := 1000*step.Seconds() + 30*r.NormFloat64()
		p := rate(at)
		bad := max(0, total*p+r.NormFloat64()*math.Sqrt(total*p))
		out = append(out, verifier.Observation{At: at, Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: bad, Total: total})
	}
	return out
}

// recording is a receiver that keeps what it is sent.
type recording struct {
	mu       sync.Mutex
	sent     []verifier.Delivery
	declines bool // rollbacks
}

func (r *recording) Send(_ context.Context, d verifier.Delivery) alerting.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, d)
	if r.declines && d.Kind == verifier.RollbackDelivery {
		return alerting.Result{Outcome: alerting.Declined, Status: 409, Err: errors.New("another version runs")}
	}
	return alerting.Result{Outcome: alerting.Delivered, Status: 202}
}

func (r *recording) deliveries() []verifier.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent)
}

func (r *recording) events(kind verifier.DeliveryKind) []verifier.EventType {
	var out []verifier.EventType
	for _, d := range r.deliveries() {
		if d.Kind == kind {
			out = append(out, d.Event)
		}
	}
	return out
}

func newBench(t *testing.T) *bench {
	d := func(d time.Duration) verifier.Duration { return verifier.Duration(d) }
	b := &bench{t: t, source: &scripted{rate: func(time.Time) float64 { return healthyRate }}, hook: &recording{}, policy: verifier.Policy{
		Name: "web", Mode: verifier.Enforce, Window: d(time.Minute), Interval: d(2 * time.Second), Step: d(2 * time.Second),
		Warmup: d(6 * time.Second), Soak: d(15 * time.Second), FalseReverts: 0.01, OnInconclusive: verifier.InconclusiveKeep,
		History: d(2 * time.Hour), Receivers: []string{"ci"}, Rollback: "pipeline", RevertExpires: d(30 * time.Minute),
		Signals: []verifier.Signal{{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Delta: 0.25, Epsilon: 1e-4,
			RatioSource: &verifier.RatioSource{Server: "main", Bad: "bad", Total: "total"}}},
	}}
	var err error
	b.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postflight.db"), store.Options{})
	require.NoError(t, err)
	return b
}

// start runs an engine and the deliveries until stop.
func (b *bench) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m := newMetrics()
	e := engine.New(engine.Options{
		Store: b.asked(), Limits: safety.DefaultLimits, Metrics: m, Log: slog.New(slog.DiscardHandler), Poll: time.Second, Now: b.now,
		URL: func(id string) string { return "http://postflight.example/verifications/" + id },
		LiveVersions: func(context.Context, verifier.VersionSource, verifier.Target) ([]string, error) {
			b.source.mu.Lock()
			defer b.source.mu.Unlock()
			return b.source.live, b.source.liveFault
		},
		Policies: func() []verifier.Policy { return []verifier.Policy{b.policy} },
		Measurers: func() map[verifier.SourceKind]engine.Measurer {
			out := map[verifier.SourceKind]engine.Measurer{verifier.FromRatio: b.source}
			if b.truth {
				out[verifier.FromRatio] = present{b.source}
			}
			if b.desk != nil {
				out[verifier.FromTickets] = b.desk
			}
			if b.probe != nil {
				out[verifier.FromProbe] = b.probe
			}
			return out
		},
	})
	dispatcher := alerting.New(b.store, func(verifier.DeliveryKind, string) (alerting.Receiver, bool) { return b.hook, true }, safety.DefaultLimits, m, time.Now)
	stopDeliveries, err := b.store.StartDeliveries(ctx, dispatcher, store.DeliveryOptions{Poll: 2 * time.Second})
	require.NoError(b.t, err)
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	b.end = func() {
		cancel()
		running.Wait()
		require.NoError(b.t, stopDeliveries(context.Background()))
	}
}

// asked is the store as the engine sees it.
func (b *bench) asked() (s engine.Store) {
	s = b.store
	if b.faults != nil {
		s = faulty.New(b.store, b.faults)
	}
	if b.through != nil {
		s = b.through(s)
	}
	return s
}

// deploy announces a version that is live from now on.
func (b *bench) deploy(version string, more ...func(*verifier.Deployment)) string {
	b.t.Helper()
	d := verifier.Deployment{Service: "checkout", Environment: "production", Version: version, Status: verifier.DeployFinished}
	for _, f := range more {
		f(&d)
	}
	a, _, err := b.store.Accept(b.t.Context(), verifier.Notification{Source: "pipeline", Deployment: d}, []verifier.Policy{b.policy}, clockNow())
	require.NoError(b.t, err)
	require.NotNil(b.t, a.Verification, a.Ignored)
	return a.Verification.ID
}

func clockNow() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func (b *bench) record(id string) verifier.Verification {
	b.t.Helper()
	v, err := b.store.Verification(b.t.Context(), id)
	require.NoError(b.t, err)
	return v
}

// failing makes errors jump to 8 % from now on.
func (b *bench) failing() {
	b.source.mu.Lock()
	defer b.source.mu.Unlock()
	from := time.Now()
	b.source.rate = func(at time.Time) float64 {
		if at.After(from) {
			return 0.08
		}
		return healthyRate
	}
}

func (b *bench) healed() {
	b.source.mu.Lock()
	defer b.source.mu.Unlock()
	b.source.rate = func(time.Time) float64 { return healthyRate }
}

// inBench runs a story in virtual time.
func inBench(t *testing.T, story func(*bench), prepare ...func(*bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for _, f := range prepare {
			f(b)
		}
		b.start()
		defer func() { // also where a requirement ends the story
			b.end()
			require.NoError(t, b.store.Close())
		}()
		story(b)
	})
}

// recomputed asks the judge, and of a revert the surroundings, again over what
// is stored (invariant I4).
func (b *bench) recomputed(id string) {
	b.t.Helper()
	v := b.record(id)
	ev, err := b.store.Evidence(b.t.Context(), id)
	require.NoError(b.t, err)
	a, err := judge.Assess(ev, v.Verdict.DecidedAt)
	require.NoError(b.t, err)
	if a.Decision == verifier.Revert {
		a = safety.Attribute(v.Deployment, a.Findings, *v.Attribution, v.Verdict.DecidedAt).Apply(a)
	}
	require.Equal(b.t, v.Verdict.Decision, a.Decision)
	require.Equal(b.t, v.Verdict.Summary, a.Summary)
	want, err := json.Marshal(v.Signals)
	require.NoError(b.t, err)
	got, err := json.Marshal(a.Findings)
	require.NoError(b.t, err)
	require.JSONEq(b.t, string(want), string(got))
}
