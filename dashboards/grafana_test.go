package dashboards_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards"
)

// contract is design/contract.md, "Metrics", with the labels; histograms end
// in an asterisk.
var contract = map[string]string{
	"postflight_build_info": "version revision goversion", "postflight_config_last_reload_successful": "",
	"postflight_config_last_reload_success_timestamp_seconds": "", "postflight_notifications_total": "source result",
	"postflight_verifications": "state", "postflight_verdicts_total": "decision mode", "postflight_verdict_duration_seconds*": "",
	"postflight_observations_total": "kind outcome", "postflight_check_lag_seconds*": "", "postflight_upstream_up": "upstream",
	"postflight_upstream_request_duration_seconds*": "upstream", "postflight_rollbacks_total": "result guard",
	"postflight_deliveries_total": "receiver result", "postflight_delivery_oldest_pending_seconds": "",
	"postflight_brake_engaged": "", "postflight_frozen_services": "", "postflight_feedback_total": "decision feedback",
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

type model39 struct {
	SchemaVersion int
	Editable      bool
	Title, UID    string
	Templating    struct {
		List []struct {
			Name, Label, Type, AllValue string
			Multi, IncludeAll           bool
			Refresh                     int
			Query                       string
			Datasource                  struct{ UID string }
		}
	}
	Panels []struct {
		ID                       int
		Type, Title, Description string
		Datasource               struct{ UID string }
		GridPos                  struct{ H, W, X, Y int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct {
			RefID, Expr, LegendFormat string
			Datasource                struct{ UID string }
		}
	}
}

func overview(t *testing.T) model39 {
	t.Helper()
	b, err := dashboards.Grafana.ReadFile(dashboards.OverviewFile)
	require.NoError(t, err)
	var d model39
	require.NoError(t, json.Unmarshal(b, &d))
	return d
}

// TestDashboardLinterRules holds the dashboard to the rules of
// grafana/dashboard-linter, by their names there.
func TestDashboardLinterRules(t *testing.T) {
	d := overview(t)
	require.GreaterOrEqual(t, d.SchemaVersion, 39)
	require.False(t, d.Editable, "uneditable-dashboard")
	require.Len(t, d.Templating.List, 3)
	source := d.Templating.List[0]
	require.Equal(t, []string{"datasource", "Data source", "datasource", "prometheus"}, []string{source.Name, source.Label, source.Type, source.Query}, "template-datasource-rule")
	for i, want := range []string{"job", "instance"} {
		v := d.Templating.List[i+1]
		require.Equal(t, want, v.Name, "template-%s-rule", want)
		require.Equal(t, strings.ToUpper(want[:1])+want[1:], v.Label)
		require.Equal(t, []string{"query", ".+", "${datasource}"}, []string{v.Type, v.AllValue, v.Datasource.UID})
		require.True(t, v.Multi && v.IncludeAll)
		require.Equal(t, 2, v.Refresh, "template-on-time-change-reload-rule")
		require.Regexp(t, `^label_values\(postflight_build_info(\{job=~"\$job"\})?, `+want+`\)$`, v.Query, "template-label-promql-rule")
	}
	units := map[string]bool{"short": true, "s": true, "reqps": true, "bool_on_off": true, "bool_yes_no": true, "dateTimeFromNow": true}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "panel id %d is there twice", p.ID)
		ids[p.ID] = true
		require.NotEmpty(t, p.Title)
		if p.Type == "row" {
			continue
		}
		require.NotEmpty(t, p.Description, "panel-title-description-rule: %s", p.Title)
		require.True(t, units[p.FieldConfig.Defaults.Unit], "panel-units-rule: %s has %q", p.Title, p.FieldConfig.Defaults.Unit)
		require.Equal(t, "${datasource}", p.Datasource.UID, "panel-datasource-rule: %s", p.Title)
		require.NotEmpty(t, p.Targets, "panel-no-targets-rule: %s", p.Title)
		for _, target := range p.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID)
			require.NotEmpty(t, target.LegendFormat)
			lintTarget(t, p.Type, p.Title, target.Expr)
		}
	}
}

func lintTarget(t *testing.T, kind, title, expr string) {
	t.Helper()
	for _, selector := range regexp.MustCompile(`postflight_\w+(\{[^}]*\})?`).FindAllStringSubmatch(expr, -1) {
		require.Contains(t, selector[1], `job=~"$job"`, "target-job-rule: %s", title)
		require.Contains(t, selector[1], `instance=~"$instance"`, "target-instance-rule: %s", title)
	}
	for _, span := range regexp.MustCompile(`\[[^\]]*\]`).FindAllString(expr, -1) {
		require.Equal(t, "[$__rate_interval]", span, "target-rate-interval-rule: %s", title)
	}
	for _, m := range dashboards.Metrics(expr) {
		if strings.HasSuffix(m, "_total") || histogramSuffix.MatchString(m) {
			require.Regexp(t, `(rate|increase)\(`+m+`\{[^}]*\}\[`, expr, "target-counter-agg-rule: %s", title)
		}
	}
	if strings.Contains(expr, "vector(") {
		require.Equal(t, "stat", kind, "%s: a made-up zero belongs into a number, not into a line", title)
	}
	balanced(t, title, expr)
}

// balanced catches the slips that a parser would: the end-to-end tests run
// every expression on a real Prometheus.
func balanced(t *testing.T, where, expr string) {
	t.Helper()
	for _, pair := range []string{"()", "{}", "[]"} {
		require.Equal(t, strings.Count(expr, pair[:1]), strings.Count(expr, pair[1:]), "%s: %s", where, pair)
	}
	require.Zero(t, strings.Count(expr, `"`)%2, where)
}

func TestPanelsDoNotOverlap(t *testing.T) {
	taken := map[[2]int]string{}
	for _, p := range overview(t).Panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Less(t, x, 24, p.Title)
				require.Empty(t, taken[[2]int{x, y}], p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
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

func TestAlertsSayWhatToDo(t *testing.T) {
	b, err := dashboards.Grafana.ReadFile(dashboards.RulesFile)
	require.NoError(t, err)
	var f ruleFile
	require.NoError(t, yaml.UnmarshalWithOptions(b, &f, yaml.Strict()))
	var names []string
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Alert)
			balanced(t, r.Alert, r.Expr)
			_, err := model.ParseDuration(r.For)
			require.NoError(t, err, r.Alert)
			require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
			require.Regexp(t, `^[^\n]+\.$`, r.Annotations["summary"], r.Alert)
			require.Greater(t, len(r.Annotations["description"]), 80, r.Alert)
			require.NotContains(t, r.Expr, "$", r.Alert)
		}
	}
	require.Equal(t, []string{
		"PostflightConfigReloadFailed", "PostflightUpstreamDown", "PostflightChecksLate", "PostflightDeliveriesFailing",
		"PostflightRollbackFailing", "PostflightBrakeEngaged", "PostflightNoDeploysSeen", "PostflightNotificationsRejected",
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
