package setup

import (
	_ "embed"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
)

// Access is how the Prometheus is reached, as the configuration writes it.
type Access struct {
	URL                    string
	BearerTokenFile        string
	Username, PasswordFile string
	CAFile                 string
}

//go:embed postflight.yml.tmpl
var layout string

var written = template.Must(template.New("postflight.yml").Funcs(template.FuncMap{
	"single":   single,
	"pattern":  pattern,
	"duration": func(d time.Duration) string { return model.Duration(d).String() },
	"comment":  comment,
}).Parse(layout))

// Write writes a commented configuration.
func Write(w io.Writer, p Proposal, a Access, now time.Time) error {
	if err := written.Execute(w, struct {
		Proposal
		Prometheus Access
		Now        string
	}{p, a, now.UTC().Format("2006-01-02 15:04 UTC")}); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Bad is the counter of failed requests.
func (f Found) Bad() string { return f.labels.filled(f.Preset.Bad) }

// Total is the counter of all requests.
func (f Found) Total() string { return f.labels.filled(f.Preset.Total) }

// Latency is the selector of the histogram.
func (f Found) Latency() string { return f.labels.filled(f.Histogram) }

// Query is the expression of a value.
func (f Found) Query(v PresetValue) string { return f.labels.filled(v.Query) }

// Seen says which services there are and how much they are asked.
func (f Found) Seen() string {
	names := slices.Clone(f.Services)
	slices.SortStableFunc(names, func(a, b string) int { // the busiest first
		switch d := f.Rate[b] - f.Rate[a]; {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return strings.Compare(a, b)
	})
	out := make([]string, 0, len(names))
	for _, n := range names {
		if rate, ok := f.Rate[n]; ok {
			n += " (" + figure(rate) + " a minute)"
		}
		out = append(out, n)
	}
	return listed(out, 12)
}

// figure writes a number with three digits at most.
func figure(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// History says how much past there is to compare with.
func (f Found) History() string {
	switch {
	case f.Past >= 7*24*time.Hour:
		return "a week of history: what is usual is known"
	case f.Past > 0:
		return "a day of history, less than a week: what is usual is not known well yet"
	}
	return "less than a day of history: what is usual is not known yet, and only harm beyond doubt is found"
}

// Thin are the services with so few requests that only gross harm could be
// told from chance: fewer than 10 a minute.
func (f Found) Thin() string {
	var out []string
	for _, s := range f.Services {
		if rate, ok := f.Rate[s]; ok && rate < 10 {
			out = append(out, s)
		}
	}
	return listed(out, 12)
}

// single is a scalar of YAML in single quotes.
func single(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// pattern matches one service and no other.
func pattern(s string) string {
	return single(strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s))
}

// comment breaks a text into lines of comment, each behind the same prefix. What
// comes from the server can't leave it.
func comment(prefix, s string) string {
	var lines []string
	line := ""
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }) {
		if line != "" && len(line)+1+len(word) > 96-len(prefix) {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return prefix + strings.Join(append(lines, line), "\n"+prefix)
}
