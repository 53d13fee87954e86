package dashboards_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards"
)

// contract is design/contract.md, "Metrics", with the labels, and what came
// after it; histograms end in an asterisk.
var contract = map[string]string{
	"postflight_build_info": "version revision goversion", "postflight_config_last_reload_successful": "",
	"postflight_config_last_reload_success_timestamp_seconds": "", "postflight_notifications_total": "source result",
	"postflight_verifications": "state", "postflight_verdicts_total": "decision mode", "postflight_verdict_duration_seconds*": "",
	"postflight_observations_total": "kind outcome", "postflight_check_lag_seconds*": "", "postflight_upstream_up": "upstream",
	"postflight_upstream_request_duration_seconds*": "upstream", "postflight_upstream_shared_answers_total": "upstream",
	"postflight_upstream_wait_seconds*": "upstream", "postflight_upstream_waiting": "upstream",
	"postflight_rollbacks_total":  "result guard",
	"postflight_deliveries_total": "receiver result", "postflight_delivery_oldest_pending_seconds": "",
	"postflight_check_oldest_due_seconds": "", "postflight_deliveries_pending": "", "postflight_store_errors_total": "kind",
	"postflight_storage_bytes": "", "postflight_storage_pruned_total": "kind", "postflight_storage_retention_last_success_timestamp_seconds": "",
	"postflight_service_last_deploy_timestamp_seconds":  "service environment",
	"postflight_service_last_verdict_timestamp_seconds": "service environment decision",
	"postflight_service_verification_progress_ratio":    "service environment",
	"postflight_signal_state":                           "service environment signal",
	"postflight_signal_level":                           "service environment signal level",
	"postflight_service_series_left_out":                "",
	"process_cpu_seconds_total":                         "", "process_resident_memory_bytes": "", "process_open_fds": "", "process_max_fds": "", "go_goroutines": "",
	"go_memstats_heap_alloc_bytes": "", "go_gc_duration_seconds*": "", "promhttp_metric_handler_errors_total": "cause",
	"postflight_brake_engaged": "", "postflight_frozen_services": "", "postflight_replicas": "", "postflight_feedback_total": "decision feedback",
	"postflight_gate_decisions_total": "decision", "postflight_votes_total": "vote", "postflight_gate_requests_total": "source result",
	"postflight_accuracy_verdicts": "decision feedback", "postflight_accuracy_precision_ratio": "", "postflight_accuracy_recall_ratio": "", "postflight_accuracy_time_to_revert_seconds": "",
}

var histogramSuffix = regexp.MustCompile(`_(bucket|sum|count)$`)

func TestExpressionsReadOnlyTheContract(t *testing.T) {
	expressions, err := dashboards.Expressions()
	require.NoError(t, err)
	read := map[string]bool{}
	for _, e := range expressions {
		metrics := dashboards.Metrics(e.Expr)
		require.NotEmpty(t, metrics, e.Where)
		allowed := map[string]bool{"job": true, "instance": true, "le": true}
		for _, m := range metrics {
			known := m
			if _, ok := contract[known]; !ok {
				known = histogramSuffix.ReplaceAllString(m, "*")
			}
			labels, ok := contract[known]
			require.True(t, ok, "%s: %s is not in the contract", e.Where, m)
			read[known] = true
			for _, l := range strings.Fields(labels) {
				allowed[l] = true
			}
		}
		for _, l := range labelsOf(e.Expr) {
			require.True(t, allowed[l], "%s: none of %v has the label %q", e.Where, metrics, l)
		}
	}
	for m := range contract {
		require.True(t, read[m], "nothing shows %s", m)
	}
}

// labelsOf returns the labels that an expression selects or groups by.
func labelsOf(expr string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)["$]`).FindAllStringSubmatch(expr, -1) {
		out = append(out, m[1])
	}
	for _, m := range regexp.MustCompile(`\b(?:by|on) \(([^()]*)\)`).FindAllStringSubmatch(expr, -1) {
		out = append(out, strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return out
}

type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

const runbooks = "https://github.com/postflight/postflight/blob/main/docs/runbooks/"

// content is that of one of the files.
func content(t *testing.T, name string) []byte {
	t.Helper()
	files, err := dashboards.Files()
	require.NoError(t, err)
	for _, f := range files {
		if f.Name == name {
			return f.Content
		}
	}
	require.Fail(t, "no such file", name)
	return nil
}

func TestAlertsSayWhatToDo(t *testing.T) {
	var f ruleFile
	require.NoError(t, yaml.UnmarshalWithOptions(content(t, dashboards.RulesFile), &f, yaml.Strict()))
	var names []string
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Alert)
			_, err := model.ParseDuration(r.For)
			require.NoError(t, err, r.Alert)
			require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
			require.Regexp(t, `^[^\n]+\.$`, r.Annotations["summary"], r.Alert)
			require.Greater(t, len(r.Annotations["description"]), 80, r.Alert)
			require.NotContains(t, r.Expr, "$", r.Alert)
			require.Equal(t, runbooks+r.Alert+".md", r.Annotations["runbook_url"])
		}
	}
	require.Equal(t, []string{
		"PostflightConfigReloadFailed", "PostflightStoreErrors", "PostflightVerdictLate", "PostflightChecksLate", "PostflightHookFailing",
		"PostflightRevertUnconfirmed", "PostflightBrakeEngaged", "PostflightDeliveriesFailing", "PostflightUpstreamDown",
		"PostflightSourceUnknownRatioHigh", "PostflightNoDeploysSeen", "PostflightSignatureFailures", "PostflightNotificationsRejected",
		"PostflightReplicaLost",
	}, names)
}

func TestMetrics(t *testing.T) {
	for expr, want := range map[string][]string{
		`up`: {"up"},
		`sum by (le, job) (rate(a_bucket{job=~"x_y",b="c_total{"}[5m])) / on (job) group_left (v) b_info`:         {"a_bucket", "b_info"},
		`a unless a offset 15m or vector(0) > 1e3`:                                                                {"a"},
		`histogram_quantile(0.99, sum(rate(h_bucket[$__rate_interval])) by (le)) and on () bool_metric == bool 1`: {"h_bucket", "bool_metric"},
		`"text" == 5`: nil,
	} {
		require.Equal(t, want, dashboards.Metrics(expr), expr)
	}
}

func TestQueryFillsVariables(t *testing.T) {
	expressions, err := dashboards.Expressions()
	require.NoError(t, err)
	require.Greater(t, len(expressions), 30)
	for _, e := range expressions {
		require.NotContains(t, e.Query(time.Minute), "$", e.Where)
	}
	e := dashboards.Expression{Expr: `rate(x{job=~"$job",instance=~"$instance"}[$__rate_interval])`}
	require.Equal(t, `rate(x{job=~".+",instance=~".+"}[4000ms])`, e.Query(4*time.Second))
}

func TestQueryFillsEveryVariable(t *testing.T) {
	expressions, err := dashboards.Expressions()
	require.NoError(t, err)
	kinds := map[dashboards.Kind]int{}
	for _, e := range expressions {
		kinds[e.Kind]++
		require.Equal(t, e.Kind == dashboards.OfVariable, e.Label != "", e.Where)
		require.Equal(t, e.Kind == dashboards.OfAlert, e.File == dashboards.RulesFile, e.Where)
	}
	require.Equal(t, 3*2, kinds[dashboards.OfAnnotation])
	require.Equal(t, 3*4+1, kinds[dashboards.OfVariable])
}

func TestDownload(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dashboards/{file}", dashboards.Download)
	for path, want := range map[string]struct {
		status            int
		kind, disposition string
	}{
		"/dashboards/service.json":  {http.StatusOK, "application/json", `attachment; filename="postflight-service.json"`},
		"/dashboards/rules.yml":     {http.StatusOK, "application/yaml", `attachment; filename="postflight-rules.yml"`},
		"/dashboards/nothing.json":  {status: http.StatusNotFound, kind: "text/plain; charset=utf-8"},
		"/dashboards/service":       {status: http.StatusNotFound, kind: "text/plain; charset=utf-8"},
		"/dashboards/..%2fdoc.go":   {status: http.StatusNotFound, kind: "text/plain; charset=utf-8"},
		"/dashboards/%2e%2e%2f.%00": {status: http.StatusNotFound, kind: "text/plain; charset=utf-8"},
		"/dashboards/.":             {status: http.StatusTemporaryRedirect, kind: "text/html; charset=utf-8"},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, want.status, w.Code, path)
		require.Equal(t, want.kind, w.Header().Get("Content-Type"), path)
		require.Equal(t, want.disposition, w.Header().Get("Content-Disposition"), path)
		if want.status == http.StatusOK {
			require.Equal(t, content(t, strings.TrimPrefix(path, "/dashboards/")), w.Body.Bytes())
		}
	}
}
