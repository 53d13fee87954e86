package benchmark

import (
	"fmt"
	"slices"
	"strings"
)

// goal is a figure to reach on simulated deploys.
type goal struct {
	text   string
	tables []string
	rows   []string // every row when empty
	harm   string   // "" is a healthy deploy
	share  float64  // at least this share is found, or at most reverted in error
	minute float64  // in a median of at most so many minutes; 0 is not asked
}

var (
	fromThousand    = []string{"1,000", "10,000", "100,000"}
	fromTenThousand = []string{"10,000", "100,000"}
)

var simulatedGoals = []goal{
	{"false reverts <= 0.5 % in every cell", []string{TableReal, TableIdeal, TableShapes, TableLatency, TableProbes, TableTickets, TableTogether}, nil, "", 0.005, 0},
	{"false reverts <= 1 % on noise on which nothing was tuned", []string{TableHoldOut}, nil, "", 0.01, 0},
	{"5x >= 99 % in <= 10 min at 100 a minute", []string{TableReal, TableIdeal}, []string{"100"}, "5x", 0.99, 10},
	{"5x >= 99 % in <= 7 min from 1,000", []string{TableReal, TableIdeal}, fromThousand, "5x", 0.99, 7},
	{"2x >= 85 % from 1,000", []string{TableReal, TableIdeal}, fromThousand, "2x", 0.85, 0},
	{"2x >= 93 % from 10,000", []string{TableReal, TableIdeal}, fromTenThousand, "2x", 0.93, 0},
	{"latency +20 % >= 60 %", []string{TableLatency}, fromThousand, "+20 %", 0.60, 0},
	{"latency +50 % >= 99 % in <= 8 min", []string{TableLatency}, fromThousand, "+50 %", 0.99, 8},
}

func (r Report) goals(b *strings.Builder) {
	b.WriteString("\n### Figures to reach on simulated deploys\n\n| goal | reached | cell that is furthest from it |\n|---|---|---|\n")
	for _, g := range simulatedGoals {
		if reached, worst := g.check(r.Cells); worst != "" {
			fmt.Fprintf(b, "| %s | %s | %s |\n", g.text, map[bool]string{true: "yes", false: "**no**"}[reached], worst)
		}
	}
}

// check returns whether every cell of the goal reaches it, and the worst; worst
// is "" when none of them was run.
func (g goal) check(cells []CellResult) (reached bool, worst string) {
	reached = true
	margin := 0.0
	for _, c := range cells {
		if !slices.Contains(g.tables, c.Table) || len(g.rows) > 0 && !slices.Contains(g.rows, c.Row) {
			continue
		}
		t := c.Tallies[NameOurs][g.harm]
		left := t.Share() - g.share
		said := fmt.Sprintf("%s, %s: %s", c.Table, c.Row, percent(t.Share()))
		if g.harm == "" {
			left = -left
		} else if t.Reverted > 0 {
			said += fmt.Sprintf(" @ %s", number(t.Median()))
		}
		late := g.minute > 0 && !(t.Median() <= g.minute)
		reached = reached && left >= 0 && !late
		if late {
			left = min(left, -1+g.minute/max(t.Median(), 1))
		}
		if worst == "" || left < margin {
			margin, worst = left, said
		}
	}
	return reached, worst
}
