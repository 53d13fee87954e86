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
			fmt.Fprintf(b, "| %s | %s | %s |\n", g.text, reached, worst)
		}
	}
}

// What may be said of a goal. A share beyond it whose 95 % interval holds it
// was measured on too few deploys to say no.
const (
	goalReached = "yes"
	goalOpen    = "not shown"
	goalMissed  = "**no**"
)

// check returns what may be said of the goal, and the cell that is furthest
// from it; that is "" when none of its cells was run.
func (g goal) check(cells []CellResult) (reached, worst string) {
	reached = goalReached
	margin := 0.0
	for _, c := range cells {
		if !slices.Contains(g.tables, c.Table) || len(g.rows) > 0 && !slices.Contains(g.rows, c.Row) {
			continue
		}
		t := c.Tallies[NameOurs][g.harm]
		left, said := g.distance(t)
		switch {
		case left >= 0 || reached == goalMissed:
		case g.proven(t):
			reached = goalMissed
		default:
			reached = goalOpen
		}
		if worst == "" || left < margin {
			margin, worst = left, fmt.Sprintf("%s, %s: %s", c.Table, c.Row, said)
		}
	}
	return reached, worst
}

// distance returns how far a cell is within the goal, negative beyond it, and
// its figures.
func (g goal) distance(t *Tally) (left float64, said string) {
	low, high := Interval(t.Reverted, t.Deploys)
	left, said = t.Share()-g.share, fmt.Sprintf("%s (%s to %s)", percent(t.Share()), percent(low), percent(high))
	if g.harm == "" {
		return -left, said
	}
	if t.Reverted > 0 {
		said += fmt.Sprintf(" @ %s", number(t.Median()))
	}
	if g.late(t) {
		left = min(left, -1+g.minute/max(t.Median(), 1))
	}
	return left, said
}

func (g goal) late(t *Tally) bool { return g.minute > 0 && t.Median() > g.minute }

// proven reports whether a cell misses the goal by more than luck.
func (g goal) proven(t *Tally) bool {
	low, high := Interval(t.Reverted, t.Deploys)
	if g.harm == "" {
		return low > g.share
	}
	return high < g.share || g.late(t)
}
