package app

import (
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards"
	"github.com/postflight/postflight/verifier/store"
)

// promised are the metrics and labels that contract.md fixes, and those that came
// after it: dashboards and alerts of people rest on all of them.
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
	"postflight_upstream_shared_answers_total":                    "upstream",
	"postflight_upstream_wait_seconds":                            "upstream",
	"postflight_upstream_waiting":                                 "upstream",
	"postflight_rollbacks_total":                                  "result,guard",
	"postflight_tickets_pushed_total":                             "feed,result",
	"postflight_storage_bytes":                                    "",
	"postflight_storage_pruned_total":                             "kind",
	"postflight_storage_retention_last_success_timestamp_seconds": "",
	"postflight_deliveries_total":                                 "receiver,result",
	"postflight_delivery_oldest_pending_seconds":                  "",
	"postflight_brake_engaged":                                    "",
	"postflight_check_oldest_due_seconds":                         "",
	"postflight_deliveries_pending":                               "",
	"postflight_store_errors_total":                               "kind",
	"postflight_service_last_deploy_timestamp_seconds":            "service,environment",
	"postflight_service_last_verdict_timestamp_seconds":           "service,environment,decision",
	"postflight_service_verification_progress_ratio":              "service,environment",
	"postflight_service_series_left_out":                          "",
	"postflight_signal_state":                                     "service,environment,signal",
	"postflight_signal_level":                                     "service,environment,signal,level",
	"postflight_frozen_services":                                  "",
	"postflight_replicas":                                         "",
	"postflight_votes_total":                                      "vote",
	"postflight_feedback_total":                                   "decision,feedback",
	"postflight_gate_decisions_total":                             "decision",
	"postflight_gate_requests_total":                              "source,result",
	"postflight_accuracy_verdicts":                                "decision,feedback",
	"postflight_accuracy_precision_ratio":                         "",
	"postflight_accuracy_recall_ratio":                            "",
	"postflight_accuracy_time_to_revert_seconds":                  "",
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
	// Nothing is exposed that nobody looks at, but what depends on who pushes.
	delete(known, "postflight_tickets_pushed_total")
	for name := range known {
		require.True(t, read[name], "neither a dashboard nor an alert reads %s", name)
	}
}

func TestSeriesOfWhatIsConfiguredBeginAtZero(t *testing.T) {
	a := started(t, configuration(t))
	defer func() { require.NoError(t, a.Stop()) }()
	_, text := ask(t, http.MethodGet, "http://"+a.Address()+"/metrics", "")
	for _, line := range []string{
		`postflight_notifications_total{result="accepted",source="pipeline"} 0`, `postflight_notifications_total{result="unauthorized",source="pipeline"} 0`,
		`postflight_store_errors_total{kind="unavailable"} 0`, `postflight_check_oldest_due_seconds 0`, `postflight_deliveries_pending 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, "postflight_service_", "nobody asked for it")
}

// blind is a store that can't tell what metrics ask.
type blind struct{ Storage }

func (blind) Counts(context.Context, time.Time) (store.Counts, error) {
	return store.Counts{}, errors.New("the database is away")
}

// TestMetricsOutliveTheStore: a database that is away is when its alert is wanted.
func TestMetricsOutliveTheStore(t *testing.T) {
	o := configuration(t)
	o.Store = func(s Storage) Storage { return blind{s} }
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	for range 2 {
		status, text := ask(t, http.MethodGet, "http://"+a.Address()+"/metrics", "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, text, `postflight_store_errors_total{kind="unavailable"}`)
		require.NotContains(t, text, "postflight_brake_engaged", "not known")
	}
	_, text := ask(t, http.MethodGet, "http://"+a.Address()+"/metrics", "")
	require.Regexp(t, `promhttp_metric_handler_errors_total\{cause="gathering"\} [1-9]`, text)
}

// full is a Storage that takes no writes.
type full struct{ Storage }

func (full) Ping(context.Context) error {
	return &store.NoWritesError{Why: "database or disk is full"}
}

// TestNotReadyWhileNothingCanBeStored: what spreads requests over replicas is
// told why this one is left out.
func TestNotReadyWhileNothingCanBeStored(t *testing.T) {
	o := configuration(t)
	o.Store = func(s Storage) Storage { return full{s} }
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	status, text := ask(t, http.MethodGet, "http://"+a.Address()+"/-/ready", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "database or disk is full")
}

// hanging is a Storage whose counts come only when it is let go.
type hanging struct {
	Storage
	letGo chan struct{}
}

func (h hanging) Counts(ctx context.Context, now time.Time) (store.Counts, error) {
	<-h.letGo
	return h.Storage.Counts(ctx, now)
}

// TestScrapesAreBounded: nobody is asked for a name at /metrics, and each scrape
// asks the store.
func TestScrapesAreBounded(t *testing.T) {
	o := configuration(t)
	h := hanging{letGo: make(chan struct{})}
	o.Store = func(s Storage) Storage { h.Storage = s; return h }
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	answers := make(chan int, scrapesAtOnce+1)
	for range scrapesAtOnce + 1 {
		go func() {
			status := 0
			defer func() { answers <- status }() // whatever the request's end
			status, _ = ask(t, http.MethodGet, "http://"+a.Address()+"/metrics", "")
		}()
	}
	// All but one hang in the store: the first answer is the refusal.
	require.Equal(t, http.StatusServiceUnavailable, <-answers)
	close(h.letGo)
	for range scrapesAtOnce {
		require.Equal(t, http.StatusOK, <-answers)
	}
}

func TestDashboardsAreForReaders(t *testing.T) {
	o := configuration(t)
	b, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.ConfigFile, append(b, "access: [{ name: dana, token_file: token, may: [read] }]\n"...), 0o600))
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	files, err := dashboards.Files()
	require.NoError(t, err)
	for _, f := range files {
		url := "http://" + a.Address() + "/dashboards/" + f.Name
		status, text := ask(t, http.MethodGet, url, "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, string(f.Content), text)
		resp, err := http.Get(url) // without a token
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
	}
	status, text := ask(t, http.MethodGet, "http://"+a.Address()+"/dashboards/none.json", "")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, text, `"request_id"`)
}
