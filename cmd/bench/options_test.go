package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What could only fail after minutes, or measure something else, is refused.
func TestFlagsAreCheckedFirst(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("postflight", []byte("#!/bin/sh\n"), 0o755))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-only", "nonsense"}, `-only: no section "nonsense"; there are windows, queries, intake, probes, judge, start, cost; the word none writes the page alone`},
		{[]string{"-only", "judge,none"}, `-only: no section "none"`},
		{[]string{"-only", "windows", "-cells", "5/1/oracle"}, `-cells: the store is sqlite or postgres (got "5/1/oracle")`},
		{[]string{"-only", "windows", "-cells", "10/0/sqlite"}, "-cells: replicas are 1 to 8"},
		{[]string{"-only", "windows", "-cells", "0/1/sqlite"}, "-cells: windows are 1 to 100000"},
		{[]string{"-only", "windows", "-cells", "-5/1/sqlite"}, "-cells: windows are 1 to 100000"},
		{[]string{"-only", "windows", "-cells", "10/2/sqlite"}, "-cells: SQLite takes one replica"},
		{[]string{"-only", "windows", "-cells", "10/1"}, "-cells: want windows/replicas/store"},
		{[]string{"-only", "windows", "-cells", "10/1/sqlite,10/1/sqlite"}, "is there twice"},
		{[]string{"-only", "judge", "-cells", "10/1/sqlite"}, "cells of windows, which is not measured: add -only windows"},
		{[]string{"-only", "judge", "-cells", "nonsense"}, "-cells: want windows/replicas/store"},
		{[]string{"-only", "windows,intake", "-cells", "10/1/sqlite"}, "names none of intake"},
		{[]string{"-only", "windows", "-quick", "-cells", "10/1/sqlite"}, "-quick has cells of its own"},
		{[]string{"-only", "windows", "-binary", "/nonexistent"}, `-binary: no program at "/nonexistent"; run make build`},
		{[]string{"-only", "judge", "-out", "/proc/x"}, "-out: make the folder of measurements"},
		{[]string{"-only", "judge", "-quick", "-out", "docs/"}, "-out: -quick measures nothing that belongs to docs"},
		{[]string{"-only", "cost"}, "cells of windows that are not measured: 100/1/postgres,1000/1/postgres,10000/1/postgres"},
		{[]string{"judge"}, "want flags alone"},
	} {
		err := run(t.Context(), c.args, io.Discard)
		require.ErrorContains(t, err, c.want, c.args)
	}
	made, err := filepath.Glob("docs/performance*")
	require.NoError(t, err)
	require.NotContains(t, made, "docs/performance.md", "nothing is written of a run that is refused")
}

func TestQuickLeavesDocsAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	old := benches
	t.Cleanup(func() { benches = old })
	benches = []bench{{"judge", func(context.Context, options) (Section, error) {
		return Section{Title: "Judge", Figures: []Figure{{What: "a tick", Goal: "1 s", Measured: "2 s"}}}, nil
	}}}
	var said bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-quick", "-only", "judge"}, &said))
	require.NoDirExists(t, "docs")
	page, err := os.ReadFile("bin/bench-quick/performance.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "`make bench QUICK=1 ONLY=judge`")
	require.NotContains(t, string(page), "missed**:")
	require.Contains(t, string(page), "| a tick | 1 s | 2 s |  |")
	require.Contains(t, said.String(), "quick: sizes too small to mean anything; written to bin/bench-quick, docs/ untouched")
}

// A section that fails holds up no other, and the page is written.
func TestAFailingSectionHoldsUpNoOther(t *testing.T) {
	t.Chdir(t.TempDir())
	old := benches
	t.Cleanup(func() { benches = old })
	benches = []bench{
		{"queries", func(context.Context, options) (Section, error) { return Section{}, io.ErrUnexpectedEOF }},
		{"judge", func(context.Context, options) (Section, error) { return Section{Title: "Judge"}, nil }},
	}
	require.ErrorIs(t, run(t.Context(), nil, io.Discard), io.ErrUnexpectedEOF)
	page, err := os.ReadFile("docs/performance.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "## Judge")
	require.Contains(t, string(page), "Not measured yet: queries (`make bench ONLY=queries`).")
}

// One cell measured anew leaves the others as they were, and the page says of
// each what it is of.
func TestCellsAreMeasuredOneByOne(t *testing.T) {
	of := func(c cell, commit string, cores float64) fared {
		return fared{cell: c, Cores: cores, P99: 2 * time.Second, Resident: 100 << 20, Measured: Measured{At: "2026-01-01", Commit: commit, Took: "1m0s", Machine: "m"}}
	}
	var all []fared
	for _, c := range []cell{{10000, 2, true}, {10000, 1, false}, {100, 1, true}, {1000, 1, false}} {
		all = merged(all, of(c, "aaa", 1.5))
	}
	all = merged(all, of(cell{10000, 1, false}, "bbb", 0.5))
	out := t.TempDir()
	require.NoError(t, save(out, "windows", windowsSection(all)))
	s, err := sections(out)
	require.NoError(t, err)
	require.Equal(t, []cell{{1000, 1, false}, {10000, 1, false}, {100, 1, true}, {10000, 2, true}}, measuredCells(s[0]))
	text := page(s)
	for _, want := range []string{
		"| 10,000 windows, SQLite, 1 replica: CPU | under one core | 0.50 cores | met |",
		"| 10,000 windows, PostgreSQL, 2 replicas: CPU of both together | under one core | 1.50 cores | **missed**: two daemons",
		"Measured 2026-01-01 at aaa in 3m0s: `make bench ONLY=windows CELLS=1000/1/sqlite,100/1/postgres,10000/2/postgres`, on m.",
		"Measured 2026-01-01 at bbb in 1m0s: `make bench ONLY=windows CELLS=10000/1/sqlite`, on m.",
		"These rows stem from 2 runs",
		"Not measured yet: windows 100/1/sqlite, 1000/1/postgres, 10000/1/postgres, 100/2/postgres, 1000/2/postgres; queries; ",
		"What is on this page took 4 minutes",
	} {
		require.Contains(t, text, want)
	}
}
