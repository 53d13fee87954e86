package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/safety"
)

// shelf is a store that holds running verifications, and nothing else: what is
// of interest is when they are looked at.
type shelf struct {
	engine.Store // nil: what a look at a healthy deploy doesn't need
	mu           sync.Mutex
	checks       []verifier.Check
	index        map[string]int
	leased       map[string]time.Time
}

func (s *shelf) Claim(_ context.Context, now time.Time, lease time.Duration, limit int) ([]verifier.Check, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []verifier.Check
	for _, c := range s.checks {
		if len(out) < limit && !c.DueAt.After(now) && s.leased[c.Verification.ID].Before(now) {
			s.leased[c.Verification.ID] = now.Add(lease)
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *shelf) Renew(_ context.Context, c verifier.Check, now time.Time, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leased[c.Verification.ID] = now.Add(lease)
	return nil
}

func (s *shelf) Record(_ context.Context, c verifier.Check, fresh map[string][]verifier.Observation, next time.Time, _ []verifier.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &s.checks[s.index[c.Verification.ID]]
	signals := slices.Clone(of.Signals)
	for i, e := range signals {
		again := func(o verifier.Observation) bool {
			return slices.ContainsFunc(fresh[e.Signal], func(f verifier.Observation) bool { return f.At.Equal(o.At) })
		}
		signals[i].Observations = append(slices.DeleteFunc(slices.Clone(e.Observations), again), fresh[e.Signal]...)
	}
	of.Signals, of.DueAt = signals, next // what a look has keeps what it was
	delete(s.leased, c.Verification.ID)
	return nil
}

func (s *shelf) Awaited(context.Context, time.Time) ([]verifier.Awaited, error) { return nil, nil }

// slowServer is a Prometheus that takes its time, and knows only healthy services.
type slowServer struct{ takes time.Duration }

var servicesAsked = regexp.MustCompile(`service=~?"([^"]*)"`)

func (s slowServer) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(s.takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	start, _ := strconv.ParseFloat(form.Get("start"), 64)
	end, _ := strconv.ParseFloat(form.Get("end"), 64)
	width, _ := strconv.ParseFloat(form.Get("step"), 64)
	series := []any{}
	for service := range strings.SplitSeq(servicesAsked.FindStringSubmatch(form.Get("query"))[1], "|") {
		var samples [][2]any
		for at := start; at <= end; at += width {
			samples = append(samples, [2]any{at, map[bool]string{true: "1", false: "1000"}[strings.Contains(form.Get("query"), "code")]})
		}
		labels := map[string]string{}
		if strings.Contains(form.Get("query"), "by (service)") {
			labels["service"] = service
		}
		series = append(series, map[string]any{"metric": labels, "values": samples})
	}
	body, err := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": series}})
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(string(body)))}, nil
}

// punctual is a probe that notes how late it is: by the rhythm of the service
// that it looks at.
type punctual struct {
	mu    sync.Mutex
	last  map[string]time.Time
	every time.Duration
	worst time.Duration
	seen  int
}

func (p *punctual) Prepare(context.Context, verifier.Signal, verifier.Target, time.Duration, time.Time, time.Time) (verifier.Plan, error) {
	return verifier.Plan{}, nil
}

func (p *punctual) History(context.Context, verifier.Signal, verifier.Target, verifier.Plan, time.Duration, time.Time, time.Time) ([]verifier.Observation, error) {
	return nil, nil
}

func (p *punctual) Measure(_ context.Context, _ verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, _, to time.Time) []verifier.Observation {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if last, ok := p.last[t.Service]; ok {
		p.worst = max(p.worst, now.Sub(last)-p.every)
	}
	p.last[t.Service] = now
	p.seen++
	return []verifier.Observation{{At: to, Span: verifier.Duration(step), Outcome: verifier.Measured, Total: 1}}
}

// TestASlowPrometheusMakesNoProbeLate: thousands of looks wait for a Prometheus
// that takes 6 s for an answer. Their probes, and those of others, are run in
// time, and what the Prometheus says is known a look later.
func TestASlowPrometheusMakesNoProbeLate(t *testing.T) {
	const services, every = 800, 4 * time.Second // 200 looks a second: places for 512 are few
	synctest.Test(t, func(t *testing.T) {
		d := func(d time.Duration) verifier.Duration { return verifier.Duration(d) }
		policy := verifier.Policy{
			Name: "web", Mode: verifier.Enforce, Window: d(time.Hour), Interval: d(every), Step: d(15 * time.Second), Warmup: d(time.Second),
			FalseReverts: 0.01, OnInconclusive: verifier.InconclusiveKeep, History: d(2 * time.Hour),
			Signals: []verifier.Signal{
				{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, Delta: 0.25, Epsilon: 1e-4, RatioSource: &verifier.RatioSource{Server: "main"}},
				{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, Delta: 0.25, Epsilon: 1e-4, ProbeSource: &verifier.ProbeSource{}},
			},
		}
		started := time.Now().UTC().Add(-time.Minute)
		s := &shelf{index: map[string]int{}, leased: map[string]time.Time{}}
		for i := range services {
			service := fmt.Sprintf("s%d", i)
			s.index["vf_"+service] = i
			s.checks = append(s.checks, verifier.Check{
				Policy: policy, DueAt: time.Now().UTC().Add(every * time.Duration(i) / services),
				Verification: verifier.Verification{ID: "vf_" + service, State: verifier.StateObserving, ClosesAt: started.Add(time.Hour),
					Deployment: verifier.Deployment{Service: service, Environment: "production", Version: "v2", StartedAt: started, FinishedAt: started}},
				Signals: []verifier.SignalEvidence{
					{Signal: "errors", Calibration: json.RawMessage(`{}`), Plan: verifier.Plan{
						Bad: `sum(increase(r{service="` + service + `",code="500"}[15s]))`, Total: `sum(increase(r{service="` + service + `"}[15s]))`}},
					{Signal: "smoke", Calibration: json.RawMessage(`{}`)},
				},
			})
		}
		probe := &punctual{last: map[string]time.Time{}, every: every}
		l := newLimiter()
		source, err := promql.New([]promql.Server{{Name: "main", URL: "http://prometheus.example", RoundTripper: slowServer{6 * time.Second}, Slot: l.upTo(4)}}, nil)
		require.NoError(t, err)
		e := engine.New(engine.Options{
			Store: s, Limits: safety.DefaultLimits, Metrics: newMetrics(), Log: slog.New(slog.DiscardHandler),
			URL:      func(string) string { return "" },
			Policies: func() []verifier.Policy { return nil },
			Measurers: func() map[verifier.SourceKind]engine.Measurer {
				return map[verifier.SourceKind]engine.Measurer{verifier.FromRatio: source, verifier.FromProbe: probe}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { e.Run(ctx) })
		time.Sleep(75 * time.Second)
		cancel()
		running.Wait()
		time.Sleep(time.Minute) // what was read on

		t.Logf("%d probes, %s late at worst", probe.seen, probe.worst)
		require.GreaterOrEqual(t, probe.seen, services*18)
		require.LessOrEqual(t, probe.worst, time.Second)
		measured := 0
		for _, c := range s.checks {
			for _, o := range c.Signals[0].Observations {
				if o.Outcome == verifier.Measured {
					measured++
				}
			}
		}
		t.Logf("%d of %d steps measured", measured, services*11)
		require.Greater(t, measured, services*2)
	})
}
