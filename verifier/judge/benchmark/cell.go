package benchmark

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Harm is a way that a deploy goes wrong; the zero Harm is a healthy deploy.
type Harm struct {
	Name  string
	By    []float64 // for each signal, as in Signal.stream
	Onset int       // minutes after the deploy
}

// Cell is one row of a table: a service, and the ways its deploys go.
type Cell struct {
	Table    string
	Row      string
	World    World
	Signals  []Signal
	Harms    []Harm // besides healthy deploys
	Window   int    // minutes
	History  int    // minutes
	Deciders []Decider
}

// deploy draws the i-th deploy of a harm.
func (c Cell) deploy(seed uint64, h Harm, i int) Deploy {
	r := source(seed, fmt.Sprintf("%s/%s/%s/%d", c.Table, c.Row, h.Name, i))
	d := Deploy{Policy: verifier.Policy{
		Name: c.Table, Window: verifier.Duration(time.Duration(c.Window) * time.Minute),
		Interval: verifier.Duration(time.Minute), Step: verifier.Duration(c.step()),
		Warmup: verifier.Duration(3 * time.Minute), Soak: verifier.Duration(15 * time.Minute), FalseReverts: 0.01,
		History: verifier.Duration(time.Duration(c.History) * time.Minute),
	}}
	for k, s := range c.Signals {
		harm := 0.0
		if k < len(h.By) {
			harm = h.By[k]
		}
		stream := s.stream(r, c.World, c.History, c.Window, harm, h.Onset)
		d.Streams = append(d.Streams, stream)
		d.Policy.Signals = append(d.Policy.Signals, stream.Signal)
	}
	return d
}

// step is a minute, or five where only tickets are watched.
func (c Cell) step() time.Duration {
	if len(c.Signals) == 1 && c.Signals[0].Kind == verifier.FromTickets {
		return 5 * time.Minute
	}
	return time.Minute
}

// The tables of simulated deploys.
const (
	TableReal     = "Errors, real noise"
	TableIdeal    = "Errors, ideal traffic"
	TableHoldOut  = "Errors, noise on which nothing was tuned"
	TableShapes   = "Errors, late and catastrophic"
	TableLatency  = "Latency"
	TableProbes   = "Probes"
	TableTickets  = "Tickets"
	TableTogether = "Four signals together"
	TableControl  = "With a control group"
	TableHabits   = "What the service does by itself"
)

const day = 24 * 60

// Cells are the tables of decision.md 3.1 to 3.4.
func Cells() []Cell {
	var out []Cell
	factors := times(1, 1.5, 2, 5)
	for _, w := range []World{Real, Ideal} {
		table := TableReal
		if w.Name == Ideal.Name {
			table = TableIdeal
		}
		for _, n := range []float64{10, 100, 1000, 10_000, 100_000} {
			out = append(out, errorCell(table, thousands(n), w, n, factors))
		}
	}
	for _, w := range []World{HoldOut1, HoldOut2, HoldOut3} {
		for _, n := range []float64{300, 5000, 100_000} {
			out = append(out, errorCell(TableHoldOut, w.Name+", "+thousands(n), w, n, times(1, 2, 5)))
		}
	}
	out = append(out,
		errorCell(TableShapes, "from the deploy on, 5,000", Real, 5000, times(1, 20)),
		errorCell(TableShapes, "from minute 30 on, 5,000", Real, 5000, []Harm{{"2x", []float64{2}, 30}, {"3x", []float64{3}, 30}, {"5x", []float64{5}, 30}}))
	for _, n := range []float64{100, 1000, 10_000} {
		out = append(out, Cell{Table: TableLatency, Row: thousands(n), World: Real, Window: 60, History: day, Deciders: LatencyDeciders(),
			Signals: []Signal{{Kind: verifier.FromLatency, Per: n}}, Harms: []Harm{{"+20 %", []float64{1.2}, 0}, {"+50 %", []float64{1.5}, 0}}})
	}
	for _, n := range []float64{4, 12} {
		out = append(out, Cell{Table: TableProbes, Row: thousands(n), World: Real, Window: 60, History: day, Deciders: OursAlone(),
			Signals: []Signal{{verifier.FromProbe, n, 0.002}},
			Harms:   []Harm{{"5 % fail", []float64{0.05}, 0}, {"20 %", []float64{0.2}, 0}, {"all", []float64{1}, 0}}})
	}
	for _, n := range []float64{2, 12} {
		out = append(out, Cell{Table: TableTickets, Row: thousands(n), World: Real, Window: 240, History: 7 * day, Deciders: OursAlone(),
			Signals: []Signal{{Kind: verifier.FromTickets, Per: n}}, Harms: times(1, 2, 3, 5)})
	}
	return slices.Concat(out, []Cell{together()}, controlCells(), habitCells())
}

// CellsOf returns the cells whose name, "table, row", holds text.
func CellsOf(text string) []Cell {
	var out []Cell
	for _, c := range Cells() {
		if strings.Contains(c.Table+", "+c.Row, text) {
			out = append(out, c)
		}
	}
	return out
}

func errorCell(table, row string, w World, n float64, harms []Harm) Cell {
	return Cell{Table: table, Row: row, World: w, Window: 60, History: day, Deciders: ErrorDeciders(),
		Signals: []Signal{{verifier.FromRatio, n, 0.005}}, Harms: harms}
}

func together() Cell {
	return Cell{Table: TableTogether, Row: "5,000", World: Real, Window: 60, History: day, Deciders: FamilyDeciders(),
		Signals: []Signal{{verifier.FromRatio, 5000, 0.005}, {verifier.FromLatency, 5000, 0}, {verifier.FromProbe, 12, 0.002}, {verifier.FromTickets, 12, 0}},
		Harms: []Harm{
			{"errors 2x", []float64{2}, 0}, {"errors 5x", []float64{5}, 0}, {"latency +50 %", []float64{0, 1.5}, 0},
			{"20 % of probes fail", []float64{0, 0, 0.2}, 0}, {"tickets 5x", []float64{0, 0, 0, 5}, 0},
			{"errors 2x, latency +30 %", []float64{2, 1.3}, 0},
		}}
}

// times are harms that multiply every one of n signals.
func times(n int, factors ...float64) []Harm {
	var out []Harm
	for _, f := range factors {
		h := Harm{Name: fmt.Sprintf("%gx", f)}
		for range n {
			h.By = append(h.By, f)
		}
		out = append(out, h)
	}
	return out
}

func thousands(n float64) string {
	if n < 1000 {
		return fmt.Sprintf("%g", n)
	}
	return fmt.Sprintf("%d,%03d", int(n)/1000, int(n)%1000)
}
