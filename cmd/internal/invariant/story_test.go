package invariant

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/webhook"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/api"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/intake"
	"github.com/postflight/postflight/verifier/safety"
	"github.com/postflight/postflight/verifier/store"
)

const (
	sourceToken = "story-source-token"
	hookSecret  = "story-hook-secret-0123456789"
	pollEvery   = 5 * time.Second
	window      = 3 * time.Minute
)

// bench is the parts of the daemon over a real store in virtual time, with
// fakes that keep what they see.
type bench struct {
	t        *testing.T
	dir      string
	store    *store.Store
	intake   http.Handler
	policies []verifier.Policy
	log      bytes.Buffer
	outputs  []Output
	run      Run

	mu                 sync.Mutex
	messages, calls    []Call
	connections        []Connection
	failHook, failTell map[string]int // how many requests about a service are answered 503 yet
}

// bad are the versions that fail, after which everything is as before.
var bad = map[string]bool{"1.2": true, "1.3": true}

// traffic is what a scripted Prometheus says: 1,000 requests a second, 0.5 % of
// which fail, and 8 % of those of a bad version.
type traffic struct{}

func (traffic) Prepare(context.Context, verifier.Signal, verifier.Target, time.Duration, time.Time, time.Time) (verifier.Plan, error) {
	return verifier.Plan{Query: "errors"}, nil
}

func (traffic) History(_ context.Context, _ verifier.Signal, _ verifier.Target, _ verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	return steps(step, since, until, 0.005), nil
}

func (traffic) Measure(_ context.Context, _ verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	if bad[t.Version] {
		return steps(step, from, to, 0.08)
	}
	return steps(step, from, to, 0.005)
}

func steps(step time.Duration, from, to time.Time, share float64) (out []verifier.Observation) {
	for at := from.Add(step); !at.After(to); at = at.Add(step) {
		r := rand.New(rand.NewPCG(7, uint64(at.UnixNano())))
		total := 1000*step.Seconds() + 30*r.NormFloat64()
		failed := max(0, total*share+r.NormFloat64()*math.Sqrt(total*share))
		out = append(out, verifier.Observation{At: at, Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: failed, Total: total})
	}
	return out
}

// ignored counts nothing.
type ignored struct{}

func (ignored) Observed(verifier.SourceKind, verifier.Outcome, int) {}
func (ignored) Late(time.Duration)                                  {}
func (ignored) Decided(verifier.Verification)                       {}
func (ignored) ActionMoved(verifier.Verification)                   {}
func (ignored) Attempted(verifier.Delivery, alerting.Result)        {}
func (ignored) Notified(string, string)                             {}

func newBench(t *testing.T) *bench {
	d := func(d time.Duration) verifier.Duration { return verifier.Duration(d) }
	web := verifier.Policy{
		Name: "web", Mode: verifier.Enforce, Window: d(window), Interval: d(pollEvery), Step: d(pollEvery),
		Warmup: d(15 * time.Second), Soak: d(45 * time.Second), FalseReverts: 0.01, OnInconclusive: verifier.InconclusiveKeep,
		History: d(3 * time.Hour), Receivers: []string{"ci"}, Rollback: "pipeline", RevertExpires: d(30 * time.Minute), OnAmbiguous: verifier.AmbiguousIndependent,
		Signals: []verifier.Signal{{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Delta: 0.25, Epsilon: 1e-4,
			RatioSource: &verifier.RatioSource{Server: "main", Bad: "bad", Total: "total"}}},
	}
	shadow := web
	shadow.Name, shadow.Mode, shadow.Match = "search", verifier.Shadow, verifier.Match{Service: "search"}
	b := &bench{t: t, dir: t.TempDir(), policies: []verifier.Policy{shadow, web}, failHook: map[string]int{}, failTell: map[string]int{}}
	var err error
	b.store, err = store.Open(t.Context(), "sqlite:"+b.database(), store.Options{})
	require.NoError(t, err)
	mux := http.NewServeMux()
	intake.Register(api.New(mux, "story"), intake.Options{
		Accepter: b.store, Metrics: ignored{}, Lookup: b.store, Now: time.Now,
		Settings: func() intake.Settings {
			return intake.Settings{Sources: []intake.Source{{Name: "pipeline", Format: "native", Tokens: []string{sourceToken}}},
				Policies: b.policies, ExternalURL: "https://postflight.story"}
		},
	})
	b.intake = mux
	return b
}

func (b *bench) database() string { return filepath.Join(b.dir, "postflight.db") }

// live starts engine and deliveries, and returns what ends them.
func (b *bench) live() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	logger := slog.New(slog.NewTextHandler(&b.log, nil))
	e := engine.New(engine.Options{
		Store: b.store, Limits: safety.DefaultLimits, Metrics: ignored{}, Log: logger, Poll: pollEvery,
		Policies: func() []verifier.Policy { return b.policies },
		URL:      func(id string) string { return "https://postflight.story/verifications/" + id },
		Measurers: func() map[verifier.SourceKind]engine.Measurer {
			return map[verifier.SourceKind]engine.Measurer{verifier.FromRatio: traffic{}}
		},
	})
	hook, err := webhook.New("pipeline", "http://pipeline.story/rollback", hookSecret, b)
	require.NoError(b.t, err)
	ci, err := webhook.New("ci", "http://ci.story/verdicts", hookSecret, b)
	require.NoError(b.t, err)
	dispatcher := alerting.New(b.store, func(kind verifier.DeliveryKind, _ string) (alerting.Receiver, bool) {
		if kind == verifier.RollbackDelivery {
			return hook, true
		}
		return ci, true
	}, safety.DefaultLimits, ignored{}, time.Now)
	stop, err := b.store.StartDeliveries(ctx, dispatcher, store.DeliveryOptions{Poll: pollEvery})
	require.NoError(b.t, err)
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
		require.NoError(b.t, stop(context.Background()))
	}
}

// RoundTrip is the receiver of messages and the rollback hook.
func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connections = append(b.connections, Connection{At: time.Now(), Address: netip.MustParseAddr("10.1.0.7"), Written: true})
	call := Call{At: time.Now(), Header: r.Header.Clone(), Body: body, Status: http.StatusAccepted}
	var about struct {
		Service string
		Data    struct{ Deployment struct{ Service string } }
	}
	if err := json.Unmarshal(body, &about); err != nil {
		return nil, err
	}
	failing, service, history := b.failTell, about.Data.Deployment.Service, &b.messages
	if r.URL.Host == "pipeline.story" {
		failing, service, history = b.failHook, about.Service, &b.calls
	}
	if failing[service] > 0 {
		failing[service]--
		call.Status = http.StatusServiceUnavailable
	}
	*history = append(*history, call)
	answer := httptest.NewRecorder()
	answer.WriteHeader(call.Status)
	return answer.Result(), nil
}

// answering is a connection without a network: it has no deadlines to miss.
type answering struct{ *httptest.ResponseRecorder }

func (answering) SetReadDeadline(time.Time) error { return nil }

// announce tells of a deploy that has just finished.
func (b *bench) announce(delivery, service, version, token string, edits ...func(*intake.Announcement)) intake.Receipt {
	b.t.Helper()
	a := intake.Announcement{Service: service, Environment: "production", Version: version, DeploymentID: "ci-" + delivery}
	for _, edit := range edits {
		edit(&a)
	}
	body, err := json.Marshal(a)
	require.NoError(b.t, err)
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, "/api/v1/deployments", bytes.NewReader(body))
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "Idempotency-Key": {delivery}, "Content-Type": {"application/json"}}
	w := answering{httptest.NewRecorder()}
	b.intake.ServeHTTP(w, r)
	n := Notification{At: time.Now(), Source: "pipeline", DeliveryID: delivery, Service: service, Environment: "production", Version: version,
		Status: w.Code, Read: int64(len(body)), Limit: intake.DefaultMaxBody}
	var receipt intake.Receipt
	if n.taken() {
		require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &receipt))
	}
	n.VerificationID = receipt.VerificationID
	b.run.Notifications.Entries = append(b.run.Notifications.Entries, n)
	b.outputs = append(b.outputs, Output{"answer to " + delivery, w.Body.Bytes()})
	return receipt
}

// deploy announces and returns the verification's id.
func (b *bench) deploy(delivery, service, version string, edits ...func(*intake.Announcement)) string {
	b.t.Helper()
	receipt := b.announce(delivery, service, version, sourceToken, edits...)
	require.NotEmpty(b.t, receipt.VerificationID, receipt.Ignored)
	return receipt.VerificationID
}

func (b *bench) record(id string) verifier.Verification {
	b.t.Helper()
	v, err := b.store.Verification(b.t.Context(), id)
	require.NoError(b.t, err)
	return v
}

// until waits, one window at most, until a verification is as holds says.
func (b *bench) until(id string, holds func(verifier.Verification) bool) {
	b.t.Helper()
	var v verifier.Verification
	for range int(window.Seconds()) {
		if v = b.record(id); holds(v) {
			return
		}
		time.Sleep(time.Second)
	}
	require.Fail(b.t, "it never came to that", "%s: %s, %+v, %+v", id, v.State, v.Verdict, v.Action)
}

func accepted(v verifier.Verification) bool { return v.Action.State == verifier.ActionAccepted }

// attempts are those of the verification's rollback request.
func (b *bench) attempts(v verifier.Verification) (out []verifier.Attempt) {
	for _, d := range v.Deliveries {
		if d.Kind == verifier.RollbackDelivery {
			out = append(out, d.Attempts...)
		}
	}
	return out
}

// override records what dana decides.
func (b *bench) override(id string, d verifier.Decision) {
	b.t.Helper()
	o := verifier.Override{Decision: d, By: "dana", At: time.Now().UTC().Truncate(time.Microsecond), Reason: "a known spike"}
	require.NoError(b.t, b.store.Override(b.t.Context(), id, o.At, func(v verifier.Verification, p verifier.Policy, f verifier.Facts) (verifier.Overruling, error) {
		return safety.Override(v, p, f, o, safety.DefaultLimits(), "https://postflight.story/verifications/"+id)
	}))
}

// sample measures the process of the test.
func (b *bench) sample() {
	info, err := os.Stat(b.database())
	require.NoError(b.t, err)
	b.run.Samples.Entries = append(b.run.Samples.Entries, Sample{At: time.Now(), Goroutines: runtime.NumGoroutine(), Database: info.Size()})
}

// reload reads a file that is no configuration; what is in force stays.
func (b *bench) reload() {
	file := filepath.Join(b.dir, "postflight.yml")
	require.NoError(b.t, os.WriteFile(file, []byte("policies: nonsense"), 0o600))
	before := b.inForce()
	c, err := configs.Load(file, os.LookupEnv)
	if err == nil {
		b.policies = c.Policies
	}
	b.run.Reloads.Entries = append(b.run.Reloads.Entries, Reload{At: time.Now(), Failed: err != nil, Before: before, After: b.inForce()})
}

func (b *bench) inForce() string {
	var out []string
	for _, p := range b.policies {
		out = append(out, p.Hash())
	}
	return strings.Join(out, " ")
}

// tell is a small true run in which each invariant has something to say, and
// ends with the daemon.
func (b *bench) tell() {
	t, began := b.t, time.Now()
	running := b.live()
	end := sync.OnceFunc(func() { // also where a requirement ends the story
		running()
		require.NoError(t, b.store.Close())
	})
	defer end()
	b.failTell["checkout"] = 1
	b.deploy("d1", "checkout", "1.1")
	b.deploy("d1", "checkout", "1.1") // the same delivery again
	b.announce("d2", "checkout", "6.6", "guessed")
	b.deploy("d3", "search", "1.1")
	b.deploy("d4", "cart", "1.1")
	time.Sleep(window + time.Minute)
	b.sample()

	b.failHook["checkout"] = 1
	reverted := b.deploy("d5", "checkout", "1.2")
	b.until(reverted, accepted)
	b.deploy("d6", "checkout", "1.1", func(a *intake.Announcement) { a.RevertID = b.record(reverted).Action.RevertID })
	require.Equal(t, verifier.ActionConfirmed, b.record(reverted).Action.State)
	time.Sleep(window + time.Minute)

	held := b.deploy("d7", "search", "1.2")
	b.until(held, func(v verifier.Verification) bool { return v.Action.Guard == verifier.GuardMode })
	b.deploy("d8", "search", "1.1") // by hand
	time.Sleep(window + time.Minute)

	b.failHook["cart"] = 1000
	kept := b.deploy("d9", "cart", "1.2")
	b.until(kept, func(v verifier.Verification) bool { return len(b.attempts(v)) > 0 })
	time.Sleep(time.Second)
	b.override(kept, verifier.Keep)
	require.Equal(t, verifier.ActionFailed, b.record(kept).Action.State)
	time.Sleep(time.Minute)
	superseded := b.deploy("d10", "cart", "1.4")
	time.Sleep(30 * time.Second)
	b.deploy("d11", "cart", "1.5")
	require.Equal(t, verifier.StateSuperseded, b.record(superseded).State)
	b.reload()

	time.Sleep(70 * time.Minute) // the caps allow one an hour
	b.until(b.deploy("d12", "checkout", "1.3"), accepted)
	time.Sleep(time.Minute)
	b.deploy("d13", "checkout", "1.1") // the rollback, unmarked
	time.Sleep(window + time.Minute)
	b.deploy("d14", "mail", "1.0") // is watched when the run ends
	time.Sleep(30 * time.Second)
	b.sample()
	end()
	b.finish(began)
}

// finish hands the histories over.
func (b *bench) finish(began time.Time) {
	n, r := b.run.Notifications.Entries, &b.run
	r.Ended, r.Poll, r.Secrets = time.Now(), pollEvery, []string{sourceToken, hookSecret}
	r.Notifications, r.Reloads, r.Samples = Seen(n), Seen(r.Reloads.Entries), Seen(r.Samples.Entries)
	r.Rollbacks, r.Messages, r.Connections = Seen(b.calls), Seen(b.messages), Seen(b.connections)
	r.Lives = Seen([]Life{{Started: began, Ended: time.Now()}})
	r.Outputs = Seen(append(b.outputs, Output{"log", b.log.Bytes()}))
}
