package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// provenance says when, of what, where and by which command a section was
// measured. Of windows each cell has its own: one sentence for those that have
// the same.
func provenance(name string, s Section) string {
	if name == "cost" {
		return "Reckoned out of what was measured of [windows](#windows-at-once): `make bench ONLY=cost`."
	}
	if name != "windows" || len(s.Cells) == 0 {
		what := name
		if have := measuredCells(s); name == "windows" && len(without(allCells, have)) > 0 {
			what += " CELLS=" + flags(have)
		}
		return measuredBy(s.Measured, what)
	}
	type group struct {
		Measured
		cells []cell
		took  time.Duration
	}
	var groups []group
	for _, f := range s.Cells {
		i := slices.IndexFunc(groups, func(g group) bool {
			return g.At == f.Measured.At && g.Commit == f.Measured.Commit && g.Machine == f.Measured.Machine && g.Quick == f.Measured.Quick
		})
		if i < 0 {
			i, groups = len(groups), append(groups, group{Measured: f.Measured})
		}
		groups[i].cells = append(groups[i].cells, f.cell)
		groups[i].took += f.Measured.took()
	}
	var sentences []string
	for _, g := range groups {
		what := "windows"
		if whole := slices.Equal(g.cells, allCells); !whole && !g.Quick {
			what += " CELLS=" + flags(g.cells)
		}
		g.Took = g.took.String()
		sentences = append(sentences, measuredBy(g.Measured, what))
	}
	if len(groups) > 1 {
		sentences = append(sentences, fmt.Sprintf("These rows stem from %d runs: compare within one.", len(groups)))
	}
	return strings.Join(sentences, "\n")
}

func measuredBy(m Measured, what string) string {
	quick := ""
	if m.Quick {
		quick = "QUICK=1 "
	}
	return fmt.Sprintf("Measured %s at %s in %s: `make bench %sONLY=%s`, on %s.", m.At, m.Commit, m.Took, quick, what, m.Machine)
}

// tookAll is how long all that is on the page took to measure.
func tookAll(all []Section) (sum time.Duration) {
	for _, s := range all {
		if len(s.Cells) == 0 {
			sum += s.Measured.took()
		}
		for _, f := range s.Cells {
			sum += f.Measured.took()
		}
	}
	return sum
}

// unmeasured are the sections that nothing is saved of, and the cells of windows
// that one that is saved lacks.
func unmeasured(all []Section) (names []string, cells []cell) {
	for _, b := range benches {
		i := slices.IndexFunc(all, func(s Section) bool { return s.name == b.name })
		if i < 0 {
			names = append(names, b.name)
		} else if b.name == "windows" {
			cells = without(allCells, measuredCells(all[i]))
		}
	}
	return names, cells
}

// notMeasured says what the page lacks and how it is measured; "" for nothing.
func notMeasured(all []Section) string {
	names, cells := unmeasured(all)
	var said, commands []string
	if len(cells) > 0 {
		said = append(said, "windows "+strings.ReplaceAll(flags(cells), ",", ", "))
		commands = append(commands, "`make bench ONLY=windows CELLS="+flags(cells)+"`")
	}
	if said = append(said, names...); len(names) > 0 {
		commands = append(commands, "`make bench ONLY="+strings.Join(names, ",")+"`")
	}
	if len(said) == 0 {
		return ""
	}
	return "Not measured yet: " + strings.Join(said, "; ") + " (" + strings.Join(commands, ", then ") + ")."
}
