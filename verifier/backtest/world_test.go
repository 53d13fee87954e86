package backtest_test

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
	"github.com/postflight/postflight/verifier/safety"
)

// day0 is midnight; the time that is judged begins ten days later.
var day0 = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

func at(day int, clock time.Duration) time.Time {
	return day0.Add(time.Duration(day)*24*time.Hour + clock)
}

// harm is what a deploy did to a service: the share of failures in (from, to].
type harm struct {
	service  string
	from, to time.Time
	share    float64
}

// world answers range queries from synthetic services with 600 requests a
// minute, of which 0.5 % fail, and counts what it was asked.
type world struct {
	mu      sync.Mutex
	oldest  time.Time
	harms   []harm
	every   time.Duration // between two samples that can be measured; 0 is every step
	fail    error
	asked   int
	points  int
	reached []time.Time // the end of each range that was asked for
}

func (w *world) Prepare(_ context.Context, s verifier.Signal, t verifier.Target, _ time.Duration, _, _ time.Time) (verifier.Plan, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return verifier.Plan{Query: s.Name, Bad: s.Name + " bad of " + t.Service, Total: s.Name + " of " + t.Service}, w.fail
}

func (w *world) History(_ context.Context, _ verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return nil, w.fail
	}
	w.asked++
	w.reached = append(w.reached, until)
	var out []verifier.Observation
	for end := since.Add(step); !end.After(until); end = end.Add(step) {
		w.points++
		o := verifier.Observation{At: end, Span: verifier.Duration(step), Outcome: verifier.NoData, Message: "no samples"}
		if end.After(w.oldest) && (w.every == 0 || end.Sub(day0)%w.every == 0) {
			o = w.measured(t.Service, end, step)
		}
		out = append(out, o)
	}
	return out, nil
}

func (w *world) measured(service string, end time.Time, step time.Duration) verifier.Observation {
	rnd := rand.New(rand.NewPCG(uint64(end.Unix()), uint64(len(service)))) // #nosec G404 -- the same world every time
	total := 600 * step.Minutes()
	share := 0.005
	for _, h := range w.harms {
		if h.service == service && end.After(h.from) && !end.After(h.to) {
			share = h.share
		}
	}
	mean := total * share
	bad := max(0, math.Round(mean+rnd.NormFloat64()*math.Sqrt(mean)))
	return verifier.Observation{At: end, Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: min(bad, total), Total: total}
}

// policy is the default one for a ratio.
func policy(change func(*verifier.Policy)) verifier.Policy {
	minutes := func(n int) verifier.Duration { return verifier.Duration(time.Duration(n) * time.Minute) }
	p := verifier.Policy{
		Name: "default", Mode: verifier.Enforce, Window: minutes(60), Interval: verifier.Duration(15 * time.Second), Step: minutes(1),
		Warmup: minutes(3), Soak: minutes(15), FalseReverts: 0.01, History: verifier.Duration(2 * 24 * time.Hour), OnInconclusive: verifier.InconclusiveKeep,
		Signals: []verifier.Signal{ratio("errors")},
	}
	if change != nil {
		change(&p)
	}
	return p
}

func ratio(name string) verifier.Signal {
	return verifier.Signal{Name: name, Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Delta: 0.25, Epsilon: 0.0001,
		RatioSource: &verifier.RatioSource{Server: "main", Bad: "bad", Total: "total"}}
}

// deploy is one of checkout in production, as a file tells.
func deploy(version string, when time.Time, label backtest.Label) backtest.Deploy {
	return backtest.Deploy{Origin: backtest.FromFile, Label: label, Deployment: verifier.Deployment{
		ID: "dp_" + version, Service: "checkout", Environment: "production", Version: version,
		Status: verifier.DeployFinished, StartedAt: when, FinishedAt: when, ReceivedAt: when}}
}

// options judge the ten days from the tenth on by the policies of each set.
func (w *world) options(deploys []backtest.Deploy, policies ...verifier.Policy) backtest.Options {
	o := backtest.Options{Deploys: deploys, From: at(10, 0), Until: at(20, 0), Log: slog.New(slog.DiscardHandler)}
	ranges := backtest.NewRanges(w, at(0, 0), o.Until)
	for i, p := range policies {
		o.Sets = append(o.Sets, backtest.Set{Name: []string{"now", "proposed"}[i], Policies: []verifier.Policy{p}, Limits: safety.DefaultLimits(), Ranges: ranges})
	}
	return o
}

func run(t *testing.T, o backtest.Options) backtest.Result {
	t.Helper()
	r, err := backtest.Run(t.Context(), o)
	require.NoError(t, err)
	return r
}
