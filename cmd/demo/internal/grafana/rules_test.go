package grafana_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// suite is the part of promtool's format for tests of rules that rules_test.yml
// uses.
type suite struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Name        string `yaml:"name"`
		Interval    string `yaml:"interval"`
		InputSeries []struct {
			Series string `yaml:"series"`
			Values string `yaml:"values"`
		} `yaml:"input_series"`
		AlertRuleTest []struct {
			EvalTime  string `yaml:"eval_time"`
			AlertName string `yaml:"alertname"`
			ExpAlerts []struct {
				ExpLabels map[string]string `yaml:"exp_labels"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// TestAlertsFire runs rules_test.yml through Prometheus's own rule engine, as
// promtool does, and requires that each alert is shown to fire and not to.
func TestAlertsFire(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(folder, "rules_test.yml"))
	require.NoError(t, err)
	var s suite
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&s))
	require.Equal(t, []string{"rules.yml"}, s.RuleFiles)
	fired, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range s.Tests {
		t.Run(test.Name, func(t *testing.T) {
			load := "load " + test.Interval + "\n"
			for _, in := range test.InputSeries {
				load += fmt.Sprintf("  %s %s\n", in.Series, in.Values)
			}
			e := newEngine(t, load, span(t, s.EvaluationInterval))
			for _, at := range test.AlertRuleTest {
				var want []map[string]string
				for _, alert := range at.ExpAlerts {
					want = append(want, alert.ExpLabels)
				}
				fired[at.AlertName] = fired[at.AlertName] || len(want) > 0
				quiet[at.AlertName] = quiet[at.AlertName] || len(want) == 0
				require.ElementsMatch(t, want, e.firing(t, at.AlertName, span(t, at.EvalTime)), "%s at %s", at.AlertName, at.EvalTime)
			}
		})
	}
	for _, name := range alertNames(t) {
		require.True(t, fired[name], "%s is not shown to fire", name)
		require.True(t, quiet[name], "%s is not shown not to fire", name)
	}
}

func span(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := model.ParseDuration(text)
	require.NoError(t, err)
	return time.Duration(d)
}

// alertNames reads the rules as Prometheus does, which is strict.
func alertNames(t *testing.T) (names []string) {
	t.Helper()
	groups, errs := rulefmt.ParseFile(filepath.Join(folder, "rules.yml"), false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	require.Empty(t, errs)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Alert)
		}
	}
	require.NotEmpty(t, names)
	return names
}

// engine evaluates the rules over what was loaded, from the start of time on.
type engine struct {
	rules map[string]*rules.AlertingRule
	query rules.QueryFunc
	every time.Duration
	at    map[string]time.Duration // evaluated so far
}

func newEngine(t *testing.T, load string, every time.Duration) *engine {
	t.Helper()
	storage := promqltest.LoadedStorage(t, load)
	query := rules.EngineQueryFunc(promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery), storage)
	manager := rules.NewManager(&rules.ManagerOptions{
		Context: t.Context(), QueryFunc: query, Appendable: storage, Queryable: storage, Logger: promslog.NewNopLogger(),
		Parser: parser.NewParser(parser.Options{}),
	})
	groups, errs := manager.LoadGroups(every, labels.EmptyLabels(), "", nil, false, filepath.Join(folder, "rules.yml"))
	require.Empty(t, errs)
	e := &engine{rules: map[string]*rules.AlertingRule{}, query: query, every: every, at: map[string]time.Duration{}}
	for _, g := range groups {
		for _, r := range g.Rules() {
			e.rules[r.Name()] = r.(*rules.AlertingRule)
		}
	}
	return e
}

// longest is more than any alert waits before it fires: what was before matters
// to queries alone.
const longest = 90 * time.Minute

// firing evaluates an alert's rule every so often until a time, which must not
// go back, and returns the labels of the alerts that fire then.
func (e *engine) firing(t *testing.T, name string, until time.Duration) (out []map[string]string) {
	t.Helper()
	rule := e.rules[name]
	require.NotNil(t, rule, "no alert %s", name)
	e.at[name] = max(e.at[name], until-longest)
	for ; e.at[name] <= until; e.at[name] += e.every {
		_, err := rule.Eval(t.Context(), 0, time.Unix(0, 0).Add(e.at[name]), e.query, &url.URL{}, 0)
		require.NoError(t, err)
	}
	for _, alert := range rule.ActiveAlerts() {
		if alert.State != rules.StateFiring {
			continue
		}
		for annotation, text := range alert.Annotations.Map() {
			require.NotRegexp(t, `\{\{|<no value>|<error`, text, "%s of %s", annotation, name)
		}
		is := maps.Clone(alert.Labels.Map())
		delete(is, model.AlertNameLabel)
		out = append(out, is)
	}
	return out
}
