package dashboards

import (
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Names of the files in Grafana.
const (
	OverviewFile = "grafana/overview.json"
	RulesFile    = "grafana/rules.yml"
)

// Grafana holds the overview dashboard and the alerting rules.
//
//go:embed grafana/overview.json grafana/rules.yml
var Grafana embed.FS

// Expression is one PromQL expression of the embedded files.
type Expression struct {
	File  string // OverviewFile or RulesFile
	Where string // title of the panel with the letter of its query, or name of the alert
	Expr  string // as written, with Grafana's variables
}

// Query returns the expression with Grafana's variables filled in: every job
// and instance, and a rate interval, which should be at least four scrapes.
func (e Expression) Query(rateInterval time.Duration) string {
	return strings.NewReplacer("$__rate_interval", fmt.Sprintf("%dms", rateInterval.Milliseconds()), "$job", ".+", "$instance", ".+").Replace(e.Expr)
}

// dashboard is the part of Grafana's model that is read here.
type dashboard struct {
	Panels []panel `json:"panels"`
}

type panel struct {
	Type    string   `json:"type"`
	Title   string   `json:"title"`
	Targets []target `json:"targets"`
}

type target struct {
	Expr  string `json:"expr"`
	RefID string `json:"refId"`
}

// rules is the part of a Prometheus rule file that is read here.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert string `yaml:"alert"`
			Expr  string `yaml:"expr"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// Expressions returns every expression of the dashboard's panels and of the
// alerting rules, in their order.
func Expressions() ([]Expression, error) {
	var board dashboard
	if err := read(OverviewFile, &board, json.Unmarshal); err != nil {
		return nil, err
	}
	var out []Expression
	for _, p := range board.Panels {
		for _, t := range p.Targets {
			out = append(out, Expression{OverviewFile, p.Title + " " + t.RefID, t.Expr})
		}
	}
	var alerts rules
	if err := read(RulesFile, &alerts, func(b []byte, into any) error { return yaml.Unmarshal(b, into) }); err != nil {
		return nil, err
	}
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			out = append(out, Expression{RulesFile, r.Alert, r.Expr})
		}
	}
	return out, nil
}

func read(file string, into any, decode func([]byte, any) error) error {
	b, err := Grafana.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err := decode(b, into); err != nil {
		return fmt.Errorf("decode %s: %w", file, err)
	}
	return nil
}

var (
	quotedText = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`")
	matchers   = regexp.MustCompile(`\{[^{}]*\}|\[[^\[\]]*\]`)
	labelLists = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)`)
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	durations  = regexp.MustCompile(`\b\d+[a-z0-9]*\b`)
	keywords   = regexp.MustCompile(`^(?:and|or|unless|bool|offset|by|without|on|ignoring|group_left|group_right|inf|nan)$`)
)

// Metrics returns the names of the metrics that a PromQL expression reads, each
// once, in the order of their first use. Names of histograms come with their
// suffix (_bucket, _sum, _count), as they are written. It reads names as bare
// words that are no function, no label and no keyword; {__name__="..."} is not
// understood.
func Metrics(expr string) []string {
	for _, strip := range []*regexp.Regexp{quotedText, matchers, labelLists, durations} {
		expr = strip.ReplaceAllString(expr, " ")
	}
	var out []string
	seen := map[string]bool{}
	for _, at := range identifier.FindAllStringIndex(expr, -1) {
		word := expr[at[0]:at[1]]
		call := strings.HasPrefix(strings.TrimLeft(expr[at[1]:], " \t\n"), "(")
		if call || keywords.MatchString(strings.ToLower(word)) || seen[word] {
			continue
		}
		seen[word] = true
		out = append(out, word)
	}
	return out
}
