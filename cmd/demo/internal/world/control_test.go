package world

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// controlGroupsAreMeasured asks a real Prometheus for each kind of signal with
// a control group: one shop beside the others.
func controlGroupsAreMeasured(t *testing.T, w *World, until time.Time) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	m, err := promql.New([]promql.Server{{Name: "main", URL: w.Prometheus.URL(), RoundTripper: transport}}, nil)
	require.NoError(t, err)
	const span = 5 * time.Second // of a step
	until = until.Truncate(span)
	latency := func(slowerThan, control string) verifier.Signal {
		return verifier.Signal{LatencySource: &verifier.LatencySource{Server: "main", SlowerThan: slowerThan, Control: control,
			Histogram: `http_request_duration_seconds{service="{{ .Service }}"}`}}
	}
	share := func(o verifier.Observation) (own, peers float64) {
		return o.Bad / o.Total, o.Control.Bad / o.Control.Total
	}
	value := func(o verifier.Observation) (own, peers float64) { return o.Value, o.Control.Value }
	for name, c := range map[string]struct {
		service    string
		signal     verifier.Signal
		read       func(verifier.Observation) (own, peers float64)
		own, peers float64
		within     float64
	}{
		"ratio": {"checkout", verifier.Signal{RatioSource: &verifier.RatioSource{Server: "main",
			Bad: `http_requests_total{service="{{ .Service }}",code=~"5.."}`, Total: `http_requests_total{service="{{ .Service }}"}`,
			Control: &verifier.RatioControl{Bad: `http_requests_total{service!="{{ .Service }}",code=~"5.."}`, Total: `http_requests_total{service!="{{ .Service }}"}`},
		}}, share, 0.005, 0.005, 0.003},
		"value": {"checkout", verifier.Signal{ValueSource: &verifier.ValueSource{Server: "main",
			Query: `sum(rate(orders_total{service="{{ .Service }}"}[10s]))`, Control: `avg(rate(orders_total{service!="{{ .Service }}"}[10s]))`,
		}}, value, 30, 30, 4},
		"traffic": {"checkout", verifier.Signal{TrafficSource: &verifier.TrafficSource{Server: "main",
			Total: `http_requests_total{service="{{ .Service }}"}`, Control: `http_requests_total{service!="{{ .Service }}"}`,
		}}, value, 6000, 12000, 800},
		"classic beside both forms":  {"classic", latency("300ms", `http_request_duration_seconds{service!="{{ .Service }}"}`), share, 0.035, 0.035, 0.02},
		"native beside both forms":   {"native", latency("p95", `http_request_duration_seconds{service="checkout"}`), share, 0.05, 0.05, 0.02},
		"native beside some classic": {"native", latency("p95", `http_request_duration_seconds{service!="{{ .Service }}"}`), share, 0.05, 0.05, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			c.signal.Name = name
			target := verifier.Target{Service: c.service, Environment: Environment, Version: First}
			since := until.Add(-30 * time.Minute)
			plan, err := m.Prepare(t.Context(), c.signal, target, span, since, until)
			require.NoError(t, err)
			history, err := m.History(t.Context(), c.signal, target, plan, span, since, until)
			require.NoError(t, err)
			require.Len(t, history, 360)
			var own, peers float64
			for _, o := range history {
				require.Equal(t, verifier.Measured, o.Outcome, o.Message)
				require.NotNil(t, o.Control)
				a, b := c.read(o)
				own, peers = own+a/360, peers+b/360
			}
			t.Logf("%.4g beside %.4g; %s", own, peers, plan.Note)
			require.InDelta(t, c.own, own, c.within)
			require.InDelta(t, c.peers, peers, c.within)
			require.Positive(t, w.number(t.Context(), t, plan.Query, until), "what people paste has an answer")
		})
	}
}
