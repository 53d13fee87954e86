package configs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

func TestDoubtsQueriesThatCouldBeShared(t *testing.T) {
	ratio := func(name, bad string) verifier.Signal {
		return verifier.Signal{Name: name, RatioSource: &verifier.RatioSource{Bad: bad, Total: `all_total{service="{{ .Service }}"}`}}
	}
	c := configs.Config{Policies: []verifier.Policy{{Name: "web", Signals: []verifier.Signal{
		ratio("equal", `bad_total{service="{{ .Service }}",code=~"5.."}`),
		ratio("errors", `bad_total{code=~"5..", service =~ "{{ .Service }}"}`),
		ratio("longer", `bad_total{service=~"{{ .Service }}-.*"}`), // = would mean another thing
		{Name: "traffic", TrafficSource: &verifier.TrafficSource{Total: `all_total{app=~'{{.Service}}'}`}},
		{Name: "latency", LatencySource: &verifier.LatencySource{Histogram: `took_seconds{app=~"{{ .Service }}"}`}},
		{Name: "value", ValueSource: &verifier.ValueSource{Query: `sum(queue{job=~"{{ .Service }}"})`}},
	}}}}
	of := func(signal, label string) string {
		return `policy "web", signal "` + signal + `": asked by itself for each service: ` + label + ` is compared by =~; write = so that many services share a query`
	}
	require.Equal(t, []string{of("errors", "service"), of("traffic", "app"), of("latency", "app"), of("value", "job")}, c.Doubts())
}
