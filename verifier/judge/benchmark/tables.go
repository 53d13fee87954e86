package benchmark

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Graded is a labelled decider with its results: on the half of the changes
// that constants were chosen on, on the half that is held out, and on all.
type Graded struct {
	Name             string
	Tuned, Held, All []Result
}

// Report is everything that a run measured.
type Report struct {
	Seed         uint64
	Healthy, Bad int
	Labelled     []Graded
	HeldOut      []HeldOut
	Cells        []CellResult
}

// GradeLabelled has every labelled decider decide on all changes.
func GradeLabelled(changes []LabelledChange, workers int, progress io.Writer) []Graded {
	var out []Graded
	for _, d := range LabelledDeciders() {
		g := Graded{Name: d.Name, All: DecideLabelled(changes, d, workers)}
		for i, r := range g.All {
			if changes[i].Tuned {
				g.Tuned = append(g.Tuned, r)
			} else {
				g.Held = append(g.Held, r)
			}
		}
		fmt.Fprintf(progress, "%d labelled changes: %s\n", len(changes), d.Name)
		out = append(out, g)
	}
	return out
}

// WriteTables writes the report as Markdown.
func (r Report) WriteTables(w io.Writer) error {
	var b strings.Builder
	if len(r.Labelled) > 0 {
		r.labelled(&b)
	}
	if len(r.HeldOut) > 0 {
		r.heldOut(&b)
	}
	if len(r.Cells) > 0 {
		fmt.Fprintf(&b, "## Simulated deploys\n\nSeed %d, %d healthy deploys a cell and %d of each harm. Each cell: false reverts, then the share of each harm that was reverted @ the median minute; a revert before a late harm began counts there too.\n", r.Seed, r.Healthy, r.Bad)
		last := ""
		for _, c := range r.Cells {
			if c.Table != last {
				last = c.Table
				r.simulated(&b, last)
			}
		}
		r.goals(&b)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	return nil
}

func (r Report) labelled(b *strings.Builder) {
	all := Grade(r.Labelled[0].All)
	fmt.Fprintf(b, "## Labelled changes\n\n%d real changes that went wrong and %d that did not, two hours each, default settings. The halves are those whose case number divided by four is odd and even. Constants of postflight were chosen on the even one at first; the clock comparison of value signals came later and was weighed on three of four folds of all cases, so that neither half is a clean hold-out.\n\n", all.Bad, all.Good)
	b.WriteString("| judge | false reverts (95 % interval) | precision | recall | F1 | area under ROC | minutes to detect (median) |\n|---|---|---|---|---|---|---|\n")
	for _, g := range r.Labelled {
		if g.Name == NameOurs {
			gradeRow(b, "**"+g.Name+"**, odd half", g.Held)
			gradeRow(b, "**"+g.Name+"**, even half", g.Tuned)
			gradeRow(b, "**"+g.Name+"**, all", g.All)
			continue
		}
		gradeRow(b, g.Name, g.All)
	}
	b.WriteString("| Kontrast (ISSRE 2022), quoted: 368 cases, best threshold picked afterwards | 17 % | 0.85 | 0.95 | 0.90 | 0.946 | 120 |\n")
	b.WriteString("| *to reach* | *<= 2 %* | *>= 0.98* | *>= 0.93* | *>= 0.95* | *>= 0.98* | *<= 8* |\n\n")
}

func gradeRow(b *strings.Builder, name string, results []Result) {
	s := Grade(results)
	low, high := Interval(s.False, s.Good)
	fmt.Fprintf(b, "| %s | %s (%s to %s) | %.3f | %.3f | %.3f | %.3f | %.3g |\n", name,
		percent(s.FalseReverts()), percent(low), percent(high), s.Precision(), s.Recall(), s.F1(), s.AUC, s.Median)
}

func percent(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case v > 0 && v < 0.0995:
		return fmt.Sprintf("%.2g %%", 100*v)
	}
	return fmt.Sprintf("%.0f %%", 100*v)
}

func (r Report) simulated(b *strings.Builder, table string) {
	var rows []CellResult
	for _, c := range r.Cells {
		if c.Table == table {
			rows = append(rows, c)
		}
	}
	fmt.Fprintf(b, "\n### %s\n\nHarms: %s; worlds: %s.\n\n| %s |", table, harmNames(rows), worldNames(rows), unitOf(table))
	for _, d := range rows[0].Deciders {
		fmt.Fprintf(b, " %s |", d.Name)
	}
	b.WriteString(" cleared early, healthy |\n|---|" + strings.Repeat("---|", len(rows[0].Deciders)+1) + "\n")
	for _, c := range rows {
		fmt.Fprintf(b, "| %s |", c.Row)
		for _, d := range c.Deciders {
			fmt.Fprintf(b, " %s |", c.entry(d.Name))
		}
		h := c.Tallies[NameOurs][""]
		fmt.Fprintf(b, " %s @ %s |\n", percent(share(h.Cleared, h.Deploys)), number(median(h.Clearing)))
	}
}

// entry is what one decider did in a cell.
func (c CellResult) entry(decider string) string {
	tallies := c.Tallies[decider]
	healthy := tallies[""]
	out := percent(healthy.Share())
	if decider == NameOurs {
		low, high := Interval(healthy.Reverted, healthy.Deploys)
		out = fmt.Sprintf("**%s** (%s to %s)", out, percent(low), percent(high))
	}
	var found []string
	for _, h := range c.Harms {
		t := tallies[h.Name]
		one := fmt.Sprintf("%.0f", 100*t.Share())
		if t.Reverted > 0 {
			one += "@" + number(t.Median())
		}
		found = append(found, one)
	}
	return out + " · " + strings.Join(found, " / ")
}

func number(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.3g", v)
}

func harmNames(rows []CellResult) string {
	var sets []string
	for _, c := range rows {
		var names []string
		for _, h := range c.Harms {
			name := h.Name
			if h.Onset > 0 {
				name += fmt.Sprintf(" from minute %d", h.Onset)
			}
			names = append(names, name)
		}
		if set := strings.Join(names, " / "); len(sets) == 0 || sets[len(sets)-1] != set {
			sets = append(sets, set)
		}
	}
	return strings.Join(sets, ", then ")
}

func worldNames(rows []CellResult) string {
	var names []string
	for _, c := range rows {
		if len(names) == 0 || names[len(names)-1] != c.World.Name {
			names = append(names, c.World.Name)
		}
	}
	return strings.Join(names, "; ")
}

func unitOf(table string) string {
	switch table {
	case TableProbes:
		return "probes a minute"
	case TableTickets:
		return "tickets an hour"
	}
	return "requests a minute"
}
