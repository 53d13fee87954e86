package dashboards

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Kind says what an expression is for.
type Kind string

// The kinds of expressions.
const (
	OfPanel      Kind = "panel"
	OfAnnotation Kind = "annotation"
	OfVariable   Kind = "variable" // the selector whose label is listed
	OfAlert      Kind = "alert"
)

// Expression is one PromQL expression of Files.
type Expression struct {
	File    string // such as overview.json
	Kind    Kind
	Where   string // title of the panel with the letter of its query, or name of the annotation, variable or alert
	Expr    string // as written, with Grafana's variables
	Label   string // that a variable lists
	Instant bool   // asked for one moment, not for a range
}

// Query returns the expression with Grafana's variables filled in: every job,
// instance, environment, service and signal, and a rate interval, which should be at
// least four scrapes.
func (e Expression) Query(rateInterval time.Duration) string {
	return variables.ReplaceAllStringFunc(e.Expr, func(v string) string {
		if v == "$__rate_interval" {
			return fmt.Sprintf("%dms", rateInterval.Milliseconds())
		}
		return ".+"
	})
}

var variables = regexp.MustCompile(`\$(?:__rate_interval|job|instance|environment|service|signal)\b`)

// dashboard is the part of Grafana's model that is read here.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct{ Name, Type, Query string } `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct{ Name, Expr string } `json:"list"`
	} `json:"annotations"`
}

type panel struct {
	Title   string   `json:"title"`
	Targets []target `json:"targets"`
}

type target struct {
	Expr    string `json:"expr"`
	RefID   string `json:"refId"`
	Instant bool   `json:"instant"`
}

// rules is the part of a Prometheus rule file that is read here.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert string `yaml:"alert"`
			Expr  string `yaml:"expr"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// Expressions returns every expression of the dashboards' panels, annotations
// and variables, and of the alerting rules, file by file.
func Expressions() ([]Expression, error) {
	files, err := Files()
	if err != nil {
		return nil, err
	}
	var out []Expression
	for _, f := range files {
		read := ofDashboard
		if path.Ext(f.Name) == ".yml" {
			read = ofRules
		}
		found, err := read(f.Content)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		for _, e := range found {
			e.File = f.Name
			out = append(out, e)
		}
	}
	return out, nil
}

// listed is a variable's query: the values of a label among some series.
var listed = regexp.MustCompile(`^label_values\((.+), ?(\w+)\)$`)

func ofDashboard(content []byte) (out []Expression, err error) {
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		return nil, err
	}
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			out = append(out, Expression{Kind: OfPanel, Where: p.Title + " " + t.RefID, Expr: t.Expr, Instant: t.Instant})
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" { // Grafana's own have none
			out = append(out, Expression{Kind: OfAnnotation, Where: a.Name, Expr: a.Expr})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := listed.FindStringSubmatch(strings.TrimSpace(v.Query))
		if m == nil {
			return nil, fmt.Errorf("variable %s: %q is no label_values(SERIES, LABEL)", v.Name, v.Query)
		}
		out = append(out, Expression{Kind: OfVariable, Where: v.Name, Expr: m[1], Label: m[2], Instant: true})
	}
	return out, nil
}

func ofRules(content []byte) (out []Expression, err error) {
	var r rules
	if err := yaml.Unmarshal(content, &r); err != nil {
		return nil, err
	}
	for _, g := range r.Groups {
		for _, alert := range g.Rules {
			out = append(out, Expression{Kind: OfAlert, Where: alert.Alert, Expr: alert.Expr, Instant: true})
		}
	}
	return out, nil
}
