package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// The fake answers what the real measurer asks: plans, history, and steps.
func TestFakePrometheusAnswersTheMeasurer(t *testing.T) {
	fake, err := newFakePrometheus(0)
	require.NoError(t, err)
	defer fake.Close()
	m, err := promql.New([]promql.Server{{Name: "main", URL: fake.URL()}}, nil)
	require.NoError(t, err)
	target, step, now := verifier.Target{Service: "shop", Environment: "production", Version: "v2"}, time.Minute, time.Unix(1_700_000_040, 0)
	for _, s := range []verifier.Signal{
		{Name: "errors", Kind: verifier.Ratio, RatioSource: &verifier.RatioSource{Server: "main",
			Bad: `http_requests_total{service="{{ .Service }}",code=~"5.."}`, Total: `http_requests_total{service="{{ .Service }}"}`}},
		{Name: "latency", Kind: verifier.Ratio, LatencySource: &verifier.LatencySource{Server: "main",
			Histogram: `http_request_duration_seconds{service="{{ .Service }}"}`, SlowerThan: "p95"}},
		{Name: "traffic", Kind: verifier.Value, TrafficSource: &verifier.TrafficSource{Server: "main", Total: `http_requests_total{service="{{ .Service }}"}`}},
	} {
		p, err := m.Prepare(context.Background(), s, target, step, now.Add(-7*24*time.Hour), now)
		require.NoError(t, err)
		past, err := m.History(context.Background(), s, target, p, step, now.Add(-7*24*time.Hour), now)
		require.NoError(t, err)
		require.Len(t, past, 7*24*60)
		asked := fake.Queries()
		fresh := m.Measure(context.Background(), s, target, p, step, now.Add(-step), now)
		require.Len(t, fresh, 1)
		require.Positive(t, fake.Queries()-asked)
		for _, o := range append(past, fresh...) {
			require.Equal(t, verifier.Measured, o.Outcome, o.Message)
			require.Positive(t, o.Total+o.Value)
			require.LessOrEqual(t, o.Bad, o.Total/10)
		}
		require.Equal(t, past[len(past)-1], fresh[0], "the same moment twice")
	}
	require.Positive(t, fake.Bytes())
}
