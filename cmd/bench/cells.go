package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cell is one row of the table of windows.
type cell struct {
	Windows  int  `json:"windows"`
	Replicas int  `json:"replicas"`
	Postgres bool `json:"postgres"`
}

// allCells are those of the page, in its order.
var allCells = []cell{
	{100, 1, false}, {1000, 1, false}, {10000, 1, false},
	{100, 1, true}, {1000, 1, true}, {10000, 1, true},
	{100, 2, true}, {1000, 2, true}, {10000, 2, true},
}

// quickCells show that each store and more than one replica run.
var quickCells = []cell{{100, 1, false}, {100, 2, true}}

// costCells are what the section on cost is reckoned from.
var costCells = []cell{{fittedFrom, 1, true}, {fittedTo, 1, true}, {checkedAt, 1, true}}

// More would tell of the machine, not of postflight.
const (
	mostWindows  = 100_000
	mostReplicas = 8
)

func (c cell) store() string {
	if c.Postgres {
		return "PostgreSQL"
	}
	return "SQLite"
}

// flag is how -cells calls it.
func (c cell) flag() string {
	store := "sqlite"
	if c.Postgres {
		store = "postgres"
	}
	return fmt.Sprintf("%d/%d/%s", c.Windows, c.Replicas, store)
}

func (c cell) String() string {
	return fmt.Sprintf("%s windows, %s, %s", whole(float64(c.Windows)), c.store(), replicas(c.Replicas))
}

func replicas(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}

// key begins the names of a cell's data.
func (c cell) key() string { return fmt.Sprintf("%s %d %d ", c.store(), c.Replicas, c.Windows) }

func (c cell) compareTo(d cell) int {
	return cmp.Or(cmp.Compare(d.store(), c.store()), c.Replicas-d.Replicas, c.Windows-d.Windows)
}

// parseCell reads a cell as -cells names it.
func parseCell(text string) (c cell, err error) {
	wrong := func(why string) (cell, error) { return c, fmt.Errorf("-cells: %s (got %q)", why, text) }
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return wrong("want windows/replicas/store, such as 1000/1/sqlite,10000/2/postgres")
	}
	if c.Windows, err = strconv.Atoi(parts[0]); err != nil || c.Windows < 1 || c.Windows > mostWindows {
		return wrong(fmt.Sprintf("windows are 1 to %d", mostWindows))
	}
	if c.Replicas, err = strconv.Atoi(parts[1]); err != nil || c.Replicas < 1 || c.Replicas > mostReplicas {
		return wrong(fmt.Sprintf("replicas are 1 to %d", mostReplicas))
	}
	if c.Postgres = parts[2] == "postgres"; !c.Postgres && parts[2] != "sqlite" {
		return wrong("the store is sqlite or postgres")
	}
	if !c.Postgres && c.Replicas > 1 {
		return wrong("SQLite takes one replica")
	}
	return c, nil
}

// intakeCells are how -cells calls the cases of the section on intake.
var intakeCells = []string{"sqlite/0", "sqlite/100", "postgresql/0", "postgresql/100"}

// checkCells reads -cells, which picks rows of the sections on windows and
// intake, and refuses what would measure nothing, or something else.
func (o *options) checkCells() error {
	if o.cells == "" {
		return nil
	}
	ofIntake := 0
	for text := range strings.SplitSeq(o.cells, ",") {
		if slices.Contains(intakeCells, text) {
			ofIntake++
			continue
		}
		c, err := parseCell(text)
		if err != nil {
			return fmt.Errorf("%w; of intake there are %s", err, strings.Join(intakeCells, ", "))
		}
		if slices.Contains(o.asked, c) {
			return fmt.Errorf("-cells: %s is there twice", text)
		}
		o.asked = append(o.asked, c)
	}
	for name, n := range map[string]int{"windows": len(o.asked), "intake": ofIntake} {
		if n > 0 && !slices.Contains(o.only, name) {
			return fmt.Errorf("-cells: %q are cells of %s, which is not measured: add -only %s", o.cells, name, name)
		}
		if n == 0 && slices.Contains(o.only, name) {
			return fmt.Errorf("-cells: %q names none of %s: leave %s out of -only, or name one", o.cells, name, name)
		}
	}
	if o.quick {
		return fmt.Errorf("-cells: -quick has cells of its own (got %q): leave one of the two away", o.cells)
	}
	return nil
}

// windowCells are what the section on windows measures.
func (o options) windowCells() []cell {
	switch {
	case len(o.asked) > 0:
		return o.asked
	case o.quick:
		return quickCells
	}
	return allCells
}

// measuredCells are those that a section on windows has.
func measuredCells(s Section) (have []cell) {
	for _, f := range s.Cells {
		have = append(have, f.cell)
	}
	if len(have) > 0 {
		return have
	}
	for _, c := range allCells { // written by a bench that kept no cells
		if s.Data[c.key()+"cores"] > 0 {
			have = append(have, c)
		}
	}
	return have
}

// without returns the cells that aren't among others.
func without(cells, others []cell) (left []cell) {
	for _, c := range cells {
		if !slices.Contains(others, c) {
			left = append(left, c)
		}
	}
	return left
}

// flags names cells as -cells does.
func flags(cells []cell) string {
	names := make([]string, 0, len(cells))
	for _, c := range cells {
		names = append(names, c.flag())
	}
	return strings.Join(names, ",")
}
