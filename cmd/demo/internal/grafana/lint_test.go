package grafana_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards"
)

// board is the part of a dashboard that grafana/dashboard-linter looks at.
type board struct {
	Title      string
	Editable   bool
	Templating struct{ List []variable }
	Panels     []boardPanel
}

type variable struct {
	Name, Label, Type, AllValue string
	Multi, IncludeAll           bool
	Refresh                     int
	Query                       string
	Datasource                  struct{ UID string }
}

type boardPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []boardTarget
}

type boardTarget struct {
	RefID, Expr, LegendFormat string
	Datasource                struct{ UID string }
}

// units are those of Grafana that our panels may have.
var units = strings.Fields("none short s bool_on_off bool_yes_no dateTimeFromNow dateTimeAsIso percentunit bytes ops reqps")

// lint applies the rules of grafana/dashboard-linter, whose module no proxy
// serves to us, by their names there and without its exceptions: to panels of
// every type, and warnings count as errors, as with --strict.
func lint(b board) []string {
	var found []string
	problem := func(rule, format string, args ...any) {
		found = append(found, rule+": "+fmt.Sprintf(format, args...))
	}
	if b.Editable {
		problem("uneditable-dashboard", "it can be edited")
	}
	lintVariables(b, problem)
	for _, p := range b.Panels {
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" {
			problem("panel-title-description-rule", "%q", p.Title)
		}
		if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
			problem("panel-units-rule", "%s has %q", p.Title, p.FieldConfig.Defaults.Unit)
		}
		if p.Datasource.UID != "${datasource}" {
			problem("panel-datasource-rule", "%s has %q", p.Title, p.Datasource.UID)
		}
		if len(p.Targets) == 0 {
			problem("panel-no-targets-rule", "%s", p.Title)
		}
		for _, target := range p.Targets {
			lintTarget(p, target, problem)
		}
	}
	return found
}

type problems func(rule, format string, args ...any)

func lintVariables(b board, problem problems) {
	sources := 0
	var names []string
	for _, v := range b.Templating.List {
		names = append(names, v.Name)
		if v.Type == "datasource" {
			sources++
			if v.Name != "datasource" || v.Label != "Data source" || v.Query != "prometheus" {
				problem("template-datasource-rule", "%+v", v)
			}
			continue
		}
		rule := "template-" + v.Name + "-rule"
		if v.Type != "query" || v.Label != strings.ToUpper(v.Name[:1])+v.Name[1:] || v.Datasource.UID != "${datasource}" ||
			!v.Multi || !v.IncludeAll || v.AllValue != ".+" {
			problem(rule, "%+v", v)
		}
		if v.Refresh != 2 {
			problem("template-on-time-change-reload-rule", "%s", v.Name)
		}
		m := regexp.MustCompile(`^label_values\((.+), \w+\)$`).FindStringSubmatch(v.Query)
		if m == nil {
			problem("template-label-promql-rule", "%s", v.Query)
		} else if _, err := parse(m[1]); err != nil {
			problem("template-label-promql-rule", "%s: %v", v.Query, err)
		}
	}
	if sources != 1 {
		problem("template-datasource-rule", "%d data sources", sources)
	}
	for _, name := range []string{"job", "instance"} {
		if !slices.Contains(names, name) {
			problem("template-"+name+"-rule", "it has none")
		}
	}
}

// interval stands for $__rate_interval, which no parser knows.
const interval = "130d12h46m4s"

func parse(expr string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(expr, "$__rate_interval", interval))
}

func lintTarget(p boardPanel, target boardTarget, problem problems) {
	if target.Datasource.UID != "${datasource}" {
		problem("panel-datasource-rule", "%s %s has %q", p.Title, target.RefID, target.Datasource.UID)
	}
	if target.LegendFormat == "" {
		problem("legend", "%s %s", p.Title, target.RefID)
	}
	expr, err := parse(target.Expr)
	if err != nil {
		problem("target-promql-rule", "%s: %v", target.Expr, err)
		return
	}
	for _, selector := range parser.ExtractSelectors(expr) {
		for _, name := range []string{"job", "instance"} {
			if !slices.ContainsFunc(selector, func(m *labels.Matcher) bool {
				return m.Name == name && m.Type == labels.MatchRegexp && m.Value == "$"+name
			}) {
				problem("target-"+name+"-rule", "%s", target.Expr)
			}
		}
	}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		lintNode(target.Expr, node, path, problem)
		return nil
	})
}

func lintNode(expr string, node parser.Node, path []parser.Node, problem problems) {
	switch n := node.(type) {
	case *parser.MatrixSelector:
		if wanted, _ := parse("x[" + interval + "]"); n.Range != wanted.(*parser.MatrixSelector).Range {
			problem("target-rate-interval-rule", "%s", expr)
		}
	case *parser.VectorSelector:
		inCall := func(functions ...string) bool {
			return slices.ContainsFunc(path, func(above parser.Node) bool {
				call, ok := above.(*parser.Call)
				return ok && slices.Contains(functions, call.Func.Name)
			})
		}
		if regexp.MustCompile(`_(total|bucket|sum|count)$`).MatchString(n.Name) && !inCall("rate", "irate", "increase") {
			problem("target-counter-agg-rule", "%s", expr)
		}
		if strings.HasSuffix(n.Name, "_bucket") && !inCall("histogram_quantile") {
			problem("target-histogram-rule", "%s", expr)
		}
	}
}

// boards reads the dashboards that are shipped.
func boards(t *testing.T) []board {
	t.Helper()
	files, err := dashboards.Files()
	require.NoError(t, err)
	var out []board
	for _, f := range files {
		if f.Name == dashboards.RulesFile {
			continue
		}
		var b board
		require.NoError(t, json.Unmarshal(f.Content, &b))
		out = append(out, b)
	}
	require.Len(t, out, 3)
	return out
}

func TestDashboardLinterRules(t *testing.T) {
	for _, b := range boards(t) {
		require.Empty(t, lint(b), b.Title)
		var names []string
		for _, v := range b.Templating.List {
			names = append(names, v.Name)
		}
		require.Equal(t, []string{"datasource", "job", "instance", "environment", "service"}, names[:5], b.Title)
	}
}

// TestLinterRulesFind breaks each rule once.
func TestLinterRulesFind(t *testing.T) {
	for rule, broken := range map[string]func(*board){
		"uneditable-dashboard":                func(b *board) { b.Editable = true },
		"template-datasource-rule":            func(b *board) { b.Templating.List[0].Label = "Data Source" },
		"template-job-rule":                   func(b *board) { b.Templating.List[1].AllValue = "" },
		"template-instance-rule":              func(b *board) { b.Templating.List = slices.Delete(b.Templating.List, 2, 3) },
		"template-service-rule":               func(b *board) { b.Templating.List[4].Multi = false },
		"template-on-time-change-reload-rule": func(b *board) { b.Templating.List[2].Refresh = 1 },
		"template-label-promql-rule":          func(b *board) { b.Templating.List[2].Query = "label_values(x{, job)" },
		"panel-datasource-rule":               func(b *board) { b.Panels[1].Datasource.UID = "P1" },
		"panel-title-description-rule":        func(b *board) { b.Panels[1].Description = "" },
		"panel-units-rule":                    func(b *board) { b.Panels[1].FieldConfig.Defaults.Unit = "" },
		"panel-no-targets-rule":               func(b *board) { b.Panels[1].Targets = nil },
		"target-promql-rule":                  func(b *board) { b.Panels[1].Targets[0].Expr = "sum(" },
		"target-job-rule":                     func(b *board) { b.Panels[1].Targets[0].Expr = `x{instance=~"$instance"}` },
		"target-instance-rule":                func(b *board) { b.Panels[1].Targets[0].Expr = `x{job=~"$job",instance="$instance"}` },
		"target-rate-interval-rule":           func(b *board) { b.Panels[1].Targets[0].Expr = `rate(x{job=~"$job",instance=~"$instance"}[5m])` },
		"target-counter-agg-rule":             func(b *board) { b.Panels[1].Targets[0].Expr = `x_total{job=~"$job",instance=~"$instance"}` },
		"target-histogram-rule": func(b *board) {
			b.Panels[1].Targets[0].Expr = `rate(x_bucket{job=~"$job",instance=~"$instance"}[$__rate_interval])`
		},
	} {
		b := boards(t)[0]
		broken(&b)
		found := lint(b)
		require.Len(t, found, 1, rule)
		require.Regexp(t, "^"+rule+":", found[0])
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	for _, b := range boards(t) {
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range b.Panels {
			require.False(t, ids[p.ID], "%s: id %d is there twice", p.Title, p.ID)
			ids[p.ID] = true
			require.Positive(t, p.GridPos.W*p.GridPos.H, p.Title)
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					require.Less(t, x, 24, p.Title)
					require.Empty(t, taken[[2]int{x, y}], p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}
