package app

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards"
)

// promised are the metrics and labels that contract.md fixes.
var promised = map[string]string{
	"postflight_build_info":                                       "",
	"postflight_config_last_reload_successful":                    "",
	"postflight_config_last_reload_success_timestamp_seconds":     "",
	"postflight_notifications_total":                              "source,result",
	"postflight_verifications":                                    "state",
	"postflight_verdicts_total":                                   "decision,mode",
	"postflight_verdict_duration_seconds":                         "",
	"postflight_observations_total":                               "kind,outcome",
	"postflight_check_lag_seconds":                                "",
	"postflight_upstream_up":                                      "upstream",
	"postflight_upstream_request_duration_seconds":                "upstream",
	"postflight_rollbacks_total":                                  "result,guard",
	"postflight_tickets_pushed_total":                             "feed,result",
	"postflight_storage_bytes":                                    "",
	"postflight_storage_pruned_total":                             "kind",
	"postflight_storage_retention_last_success_timestamp_seconds": "",
	"postflight_deliveries_total":                                 "receiver,result",
	"postflight_delivery_oldest_pending_seconds":                  "",
	"postflight_brake_engaged":                                    "",
	"postflight_frozen_services":                                  "",
	"postflight_feedback_total":                                   "decision,feedback",
}

var described = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

// registered returns the variable labels of every metric of ours, by name.
func registered(t *testing.T, r *prometheus.Registry) map[string]string {
	t.Helper()
	descs := make(chan *prometheus.Desc)
	go func() { r.Describe(descs); close(descs) }()
	out := map[string]string{}
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		require.NotNil(t, m, d.String())
		if strings.HasPrefix(m[1], "postflight_") {
			out[m[1]] = m[2]
		}
	}
	return out
}

func TestMetricsAreThePromisedOnes(t *testing.T) {
	a := started(t, configuration(t))
	defer func() { require.NoError(t, a.Stop()) }()
	require.Equal(t, promised, registered(t, a.metrics.registry))
	_, text := ask(t, http.MethodGet, "http://"+a.Address()+"/metrics", "")
	for _, family := range []string{"postflight_build_info{", "postflight_verifications{", "postflight_brake_engaged 0", "go_goroutines", "process_resident_memory_bytes"} {
		require.Contains(t, text, family)
	}
}

func TestDashboardAndRulesReadRegisteredMetrics(t *testing.T) {
	a := started(t, configuration(t))
	defer func() { require.NoError(t, a.Stop()) }()
	known := registered(t, a.metrics.registry)
	expressions, err := dashboards.Expressions()
	require.NoError(t, err)
	require.NotEmpty(t, expressions)
	read := map[string]bool{}
	for _, e := range expressions {
		for _, name := range dashboards.Metrics(e.Expr) {
			if !strings.HasPrefix(name, "postflight_") {
				continue
			}
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base := strings.TrimSuffix(name, suffix); known[name] == "" && base != name {
					name = base
				}
			}
			require.Contains(t, known, name, "%s %s: %s", e.File, e.Where, e.Expr)
			read[name] = true
		}
	}
	require.Greater(t, len(read), 10)
}
