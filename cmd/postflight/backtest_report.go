package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
)

// backtestReport is what backtest tells, as JSON.
type backtestReport struct {
	From     time.Time         `json:"from"`
	Until    time.Time         `json:"until"`
	Files    map[string]string `json:"files"` // by set
	Tallies  []backtest.Tally  `json:"tallies"`
	Deploys  []backtestRow     `json:"deploys"`
	Placebos []backtestRow     `json:"placebos"`
	Queries  int               `json:"queries"`
	Notes    []string          `json:"notes"`
}

// backtestRow is one moment.
type backtestRow struct {
	Service        string                      `json:"service"`
	Environment    string                      `json:"environment"`
	Version        string                      `json:"version"`
	DeployedAt     time.Time                   `json:"deployed_at"`
	Origin         backtest.Origin             `json:"origin,omitempty"` // of a deploy
	Label          backtest.Label              `json:"label,omitempty"`
	VerificationID string                      `json:"verification_id,omitempty"`
	Recorded       verifier.Decision           `json:"recorded,omitempty"` // what counted then
	URL            string                      `json:"url,omitempty"`
	Verdicts       map[string]backtest.Outcome `json:"verdicts"` // by set
}

var setNames = []string{"now", "proposed"}

func reportOf(r backtest.Result, files []string, queries int) backtestReport {
	out := backtestReport{From: r.From.UTC(), Until: r.Until.UTC(), Files: map[string]string{}, Tallies: r.Tallies,
		Deploys: backtestRows(r.Deploys), Placebos: backtestRows(r.Placebos), Queries: queries, Notes: r.Notes}
	for i, file := range files {
		out.Files[setNames[i]] = file
	}
	return out
}

func backtestRows(rows []backtest.Row) []backtestRow {
	out := make([]backtestRow, 0, len(rows))
	for _, r := range rows {
		row := backtestRow{Service: r.Service, Environment: r.Environment, Version: r.Version, DeployedAt: r.FinishedAt.UTC(),
			Origin: r.Origin, Label: r.Label, Verdicts: r.Outcomes}
		if v := r.Recorded; v != nil {
			row.VerificationID, row.Recorded, row.URL = v.ID, v.Effective, v.URL
		}
		out = append(out, row)
	}
	return out
}

func encode(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printBacktest prints the table for people.
func printBacktest(out io.Writer, r backtestReport) error {
	origins := map[backtest.Origin]int{}
	for _, row := range r.Deploys {
		origins[row.Origin]++
	}
	fmt.Fprintf(out, "%s to %s: %s%s, %s (%d queries)\n", r.From.Format("2006-01-02 15:04"), r.Until.Format("2006-01-02 15:04 UTC"),
		counted(len(r.Deploys), "deploy"), originsOf(origins), counted(len(r.Placebos), "placebo"), r.Queries)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	column := func(name string, value func(t backtest.Tally) string) {
		fmt.Fprint(w, name)
		for _, t := range r.Tallies {
			fmt.Fprint(w, "\t"+value(t))
		}
		fmt.Fprintln(w)
	}
	column("", func(t backtest.Tally) string { return t.Set + " (" + r.Files[t.Set] + ")" })
	for _, line := range summaryLines {
		column(line.title, line.value)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	printChanged(out, r)
	printWrong(out, r)
	for _, note := range r.Notes {
		fmt.Fprintln(out, "note: "+note)
	}
	return nil
}

func originsOf(n map[backtest.Origin]int) string {
	var parts []string
	for _, o := range []struct {
		origin backtest.Origin
		words  string
	}{{backtest.FromHistory, "from history"}, {backtest.FromFile, "from the file"}, {backtest.FromVersion, "found by version"}} {
		if n[o.origin] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o.origin], o.words))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// summaryLines are the rows of the table.
var summaryLines = []struct {
	title string
	value func(t backtest.Tally) string
}{
	{"KEEP", func(t backtest.Tally) string { return fmt.Sprint(t.Deploys.Keep) }},
	{"REVERT", func(t backtest.Tally) string { return fmt.Sprint(t.Deploys.Revert) }},
	{"INCONCLUSIVE", func(t backtest.Tally) string { return fmt.Sprint(t.Deploys.Inconclusive) }},
	{"not judged", func(t backtest.Tally) string { return fmt.Sprint(t.Deploys.Skipped) }},
	{"known bad: caught", func(t backtest.Tally) string { return share(t.Bad.Revert, t.Bad.Judged()) }},
	{"known bad: missed (kept)", func(t backtest.Tally) string { return share(t.Bad.Keep, t.Bad.Judged()) }},
	{"known good: false reverts", func(t backtest.Tally) string { return share(t.Good.Revert, t.Good.Judged()) }},
	{"placebos: false reverts", func(t backtest.Tally) string { return share(t.Placebo.Revert, t.Placebo.Judged()) }},
	{"placebos: inconclusive", func(t backtest.Tally) string { return share(t.Placebo.Inconclusive, t.Placebo.Judged()) }},
	{"placebos side by side", func(t backtest.Tally) string { return fmt.Sprint(t.Independent) }},
	{"median time to REVERT", func(t backtest.Tally) string { return inMinutes(t.MinutesToRevert) }},
	{"median time to cleared", func(t backtest.Tally) string { return inMinutes(t.MinutesToClear) }},
}

func share(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", n, of)
}

func inMinutes(m *float64) string {
	if m == nil {
		return "-"
	}
	return short(time.Duration(*m * float64(time.Minute)))
}

// printChanged lists the deploys on which the sets differ.
func printChanged(out io.Writer, r backtestReport) {
	if len(r.Tallies) < 2 {
		return
	}
	fmt.Fprintln(out, "changed verdicts:")
	n := 0
	for _, row := range r.Deploys {
		a, b := row.Verdicts[setNames[0]], row.Verdicts[setNames[1]]
		if a.Decision == b.Decision {
			continue
		}
		n++
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("  %s %s %s  %s -> %s  %s", row.DeployedAt.Format(time.DateOnly), row.Service, row.Version, loud(a), loud(b), row.URL), " "))
		fmt.Fprintf(out, "      %s: %s\n      %s: %s\n", setNames[0], saying(a), setNames[1], saying(b))
	}
	if n == 0 {
		fmt.Fprintln(out, "  none")
	}
}

// printWrong lists what a policy did to deploys that people know better of, to
// placebos, and reverts that nobody has labelled.
func printWrong(out io.Writer, r backtestReport) {
	for _, t := range r.Tallies {
		var lines []string
		for _, row := range slices.Concat(r.Deploys, r.Placebos) {
			o := row.Verdicts[t.Set]
			var kind string
			switch {
			case row.Origin == "" && o.Decision == verifier.Revert:
				kind = "false revert, placebo"
			case row.Label == backtest.Good && o.Decision == verifier.Revert:
				kind = "false revert"
			case row.Label == backtest.Bad && o.Decision == verifier.Keep:
				kind = "missed"
			case row.Origin != "" && row.Label == "" && o.Decision == verifier.Revert:
				kind = "revert, not labelled"
			default:
				continue
			}
			lines = append(lines, fmt.Sprintf("  %s %s %s (%s): %s", row.DeployedAt.Format("2006-01-02 15:04"), row.Service, orDash(row.Version), kind, saying(o)))
		}
		if len(lines) > 0 {
			fmt.Fprintf(out, "%s, to look at:\n%s\n", t.Set, strings.Join(lines, "\n"))
		}
	}
}

func loud(o backtest.Outcome) string {
	if o.Skipped != "" {
		return "NOT JUDGED"
	}
	return strings.ToUpper(string(o.Decision))
}

func saying(o backtest.Outcome) string {
	if o.Skipped != "" {
		return o.Skipped
	}
	return fmt.Sprintf("after %s: %s", short(time.Duration(o.Minutes*float64(time.Minute))), o.Summary)
}
