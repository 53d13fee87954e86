package app

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

const metricsPage = "../../../../docs/metrics.md"

const metricsHead = `# Metrics

<!-- Written by go test ./cmd/postflight/internal/app -run MetricsPage -update from what the daemon registers. -->

What ` + "`/metrics`" + ` has, beside Go's own ` + "`go_*`, `process_*` and `promhttp_*`" + `. How to scrape it, and the
dashboards and alerts that read it: [operating](operating.md#metrics-dashboards-alerts). Those of
single services come with ` + "`metrics: { services: true }`" + `.

| metric | type | labels | is |
|---|---|---|---|
`

var descriptionOf = regexp.MustCompile(`fqName: "([^"]+)", help: "((?:[^"\\]|\\.)*)", (?:unit: "[^"]*", )?constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)

// TestMetricsPage writes docs/metrics.md from what is registered with -update, and
// without requires that it is what would be written.
func TestMetricsPage(t *testing.T) {
	a := started(t, configuration(t))
	defer func() { require.NoError(t, a.Stop()) }()
	a.metrics.requested("main", 0, true) // a histogram is known for one by its first series
	a.metrics.waits("main")()
	families, err := a.metrics.registry.Gather()
	require.NoError(t, err)
	types := map[string]string{}
	for _, f := range families {
		types[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	descs := make(chan *prometheus.Desc)
	go func() { a.metrics.registry.Describe(descs); close(descs) }()
	rows := map[string]string{}
	for d := range descs {
		m := descriptionOf.FindStringSubmatch(d.String())
		require.NotNil(t, m, d.String())
		if !strings.HasPrefix(m[1], "postflight_") {
			continue
		}
		labels := strings.Split(regexp.MustCompile(`="[^"]*"`).ReplaceAllString(m[3], "")+","+m[4], ",")
		labels = slices.DeleteFunc(labels, func(l string) bool { return l == "" })
		for i := range labels {
			labels[i] = "`" + labels[i] + "`"
		}
		kind := cmp.Or(types[m[1]], map[bool]string{true: "counter", false: "gauge"}[strings.HasSuffix(m[1], "_total")])
		rows[m[1]] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", m[1], kind, strings.Join(labels, ", "), strings.ReplaceAll(m[2], `\"`, `"`))
	}
	want := metricsHead
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		want += rows[name]
	}
	if *update {
		require.NoError(t, os.WriteFile(metricsPage, []byte(want), 0o644))
	}
	have, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "go test ./cmd/postflight/internal/app -run MetricsPage -update writes it anew")
}
