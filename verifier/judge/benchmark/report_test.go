package benchmark

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// small is a cell that is quick to play: a service with an obvious harm.
func small() Cell {
	c := errorCell(TableIdeal, "1,000", Ideal, 1000, times(1, 5))
	c.Window, c.History = 30, 12*60
	return c
}

func TestSimulateRepeats(t *testing.T) {
	o := Options{Seed: 7, Healthy: 6, Bad: 4, Workers: 1, Progress: io.Discard}
	one := Simulate(context.Background(), []Cell{small()}, o)
	o.Workers = 4
	four := Simulate(context.Background(), []Cell{small()}, o)
	require.Len(t, one, 1)
	for name, byHarm := range one[0].Tallies {
		for harm, tally := range byHarm {
			other := four[0].Tallies[name][harm]
			require.Equal(t, tally.Reverted, other.Reverted, "%s %s", name, harm)
			require.Equal(t, sorted(tally.Minutes), sorted(other.Minutes), "%s %s", name, harm)
		}
	}
	ours := one[0].Tallies[NameOurs]
	require.Equal(t, 0, ours[""].Reverted)
	require.Equal(t, 6, ours[""].Deploys)
	require.Equal(t, 4, ours["5x"].Reverted, "5x at 1,000 a minute can't be missed")
	require.Less(t, ours["5x"].Median(), 15.0)
}

func TestSimulateStopsInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var progress bytes.Buffer
	require.Empty(t, Simulate(ctx, []Cell{small()}, Options{Healthy: 1000, Bad: 1000, Workers: 2, Progress: &progress}))
	require.Equal(t, "out of time after 0 of 1 cells\n", progress.String())
}

func TestEveryCellCanBeDrawn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cells() {
		key := c.Table + "/" + c.Row
		require.False(t, seen[key], "%s is there twice", key)
		seen[key] = true
		for _, h := range c.Harms {
			require.LessOrEqual(t, len(h.By), len(c.Signals), key)
		}
		d := c.deploy(1, c.Harms[0], 0)
		require.Len(t, d.Streams, len(c.Signals), key)
		for _, s := range d.Streams {
			last := s.Window[len(s.Window)-1]
			require.Equal(t, deployedAt.Add(d.Policy.Window.D()), last.At, key)
		}
	}
}

// labelledFS holds two changes: one that doubles, one that doesn't.
func labelledFS() fstest.MapFS {
	series := func(after float64) *fstest.MapFile {
		var b strings.Builder
		b.WriteString("timestamp,value\n")
		at := deployedAt.Unix()
		r := source(1, "series")
		for i := -2 * day; i <= 120; i++ {
			v := 10 + r.NormFloat64()
			if i >= 0 {
				v *= after
			}
			fmt.Fprintf(&b, "%d,%.3f\n", at+int64(60*i), v)
		}
		return &fstest.MapFile{Data: []byte(b.String())}
	}
	index := fmt.Sprintf("case,changed_at,erroneous\n000,%d,1\n004,%d,0\n", deployedAt.Unix(), deployedAt.Unix())
	return fstest.MapFS{"index.csv": {Data: []byte(index)}, "000.csv": series(2), "004.csv": series(1)}
}

func TestLabelled(t *testing.T) {
	changes, err := LoadLabelled(labelledFS())
	require.NoError(t, err)
	require.Len(t, changes, 2)
	require.True(t, changes[0].Tuned)
	require.False(t, changes[1].Tuned)
	for _, g := range GradeLabelled(changes, 2, io.Discard) {
		s := Grade(g.All)
		require.Equal(t, 1, s.Found, g.Name)
		if g.Name != NameKayenta { // which peeks, and pays for it
			require.Equal(t, 0, s.False, g.Name)
		}
		require.Len(t, g.Tuned, 1)
		require.Len(t, g.Held, 1)
	}
	row := fiveInARow(changes[0])
	require.True(t, row.Reverted)
	require.InDelta(t, 4, row.Minute, 3, "the fifth minute out of band")
}

func TestLoadLabelledSaysWhatIsWrong(t *testing.T) {
	_, err := LoadLabelled(fstest.MapFS{})
	require.ErrorContains(t, err, "open labelled changes: open index.csv")
	_, err = LoadLabelled(fstest.MapFS{"index.csv": {Data: []byte("case,changed_at\n000,1\n")}})
	require.EqualError(t, err, "index.csv: has no column erroneous: these changes are not labelled")
	_, err = LoadLabelled(fstest.MapFS{"index.csv": {Data: []byte("case,changed_at,erroneous\na,1,0\n")}})
	require.EqualError(t, err, `index.csv: case: want a number, it says which half is held out (got "a")`)
	_, err = LoadLabelled(fstest.MapFS{"index.csv": {Data: []byte("case,changed_at,erroneous\n1,1,0\n")}})
	require.ErrorContains(t, err, "1.csv.gz: there is no such file")
}

func TestWriteDocs(t *testing.T) {
	r := Report{Seed: 7, Healthy: 100, Bad: 10, Labelled: []Graded{{Name: NameOurs}, {Name: NameKayenta}}}
	for i, n := range []float64{10, 100} {
		c := CellResult{Cell: errorCell(TableReal, thousands(n), Real, n, times(1, 5)), Tallies: map[string]map[string]*Tally{}}
		for _, d := range c.Deciders {
			c.Tallies[d.Name] = map[string]*Tally{"": {Deploys: 100, Reverted: i}, "5x": {Deploys: 10, Reverted: 9, Minutes: []float64{12}}}
		}
		r.Cells = append(r.Cells, c)
	}
	results := []Result{{Bad: true, Reverted: true, Minute: 6, Score: 2}, {Minute: 120, Score: 0.5}}
	for i := range r.Labelled {
		r.Labelled[i].All, r.Labelled[i].Tuned, r.Labelled[i].Held = results, results, results
	}
	dir := filepath.Join(t.TempDir(), "docs")
	require.NoError(t, r.WriteDocs(dir))
	tables, err := os.ReadFile(filepath.Join(dir, TablesFile))
	require.NoError(t, err)
	require.Contains(t, string(tables), "| 100 | **1 %** (0.025 % to 5.4 %) · 90@12 | 1 % · 90@12 |")
	require.Contains(t, string(tables), "| **postflight**, all | 0 % (0 % to 98 %) | 1.000 | 1.000 | 1.000 | 1.000 | 6 |")
	require.Contains(t, string(tables), "| false reverts <= 0.5 % in every cell | not shown | Errors, real noise, 100: 1 % (0.025 % to 5.4 %) |")
	require.Contains(t, string(tables), "| 5x >= 99 % in <= 10 min at 100 a minute | **no** | Errors, real noise, 100: 90 % (55 % to 100 %) @ 12 |")
	for _, name := range []string{ROCFile, DetectFile, FalseFile} {
		svg, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, xml.Unmarshal(svg, &struct{}{}), "%s is well formed", name)
		require.Contains(t, string(svg), ">"+NameKayenta+"</text>")
		require.NotContains(t, string(svg), "NaN")
	}
}

func TestGoals(t *testing.T) {
	cell := func(healthy, found int, minute float64) []CellResult {
		c := CellResult{Cell: errorCell(TableReal, "1,000", Real, 1000, times(1, 5))}
		c.Tallies = map[string]map[string]*Tally{NameOurs: {
			"": {Deploys: 1000, Reverted: healthy}, "5x": {Deploys: 100, Reverted: found, Minutes: []float64{minute}},
		}}
		return []CellResult{c}
	}
	few, found := simulatedGoals[0], simulatedGoals[3]
	for _, c := range []struct {
		goal           goal
		healthy, found int
		minute         float64
		want           string
	}{
		{few, 5, 100, 7, goalReached},
		{few, 6, 100, 7, goalOpen},
		{few, 20, 100, 7, goalMissed},
		{found, 0, 99, 7, goalReached},
		{found, 0, 98, 7, goalOpen},
		{found, 0, 90, 7, goalMissed},
		{found, 0, 100, 8, goalMissed},
	} {
		got, worst := c.goal.check(cell(c.healthy, c.found, c.minute))
		require.Equal(t, c.want, got, "%+v", c)
		require.Contains(t, worst, "Errors, real noise, 1,000: ")
	}
	_, worst := few.check(nil)
	require.Empty(t, worst)
}

func TestOursSeesWhatArrives(t *testing.T) {
	c := together()
	c.Signals, c.Window = c.Signals[:3], 30
	d := c.deploy(1, Harm{By: []float64{0, 0, 1}}, 0)
	out := ours(d)
	require.True(t, out.Reverted, "a probe that always fails")
	require.LessOrEqual(t, out.Minute, 5.0)
	for i := range d.Streams {
		require.Equal(t, verifier.Decisive, d.Streams[i].Signal.Role)
		for j := range d.Streams[i].Window {
			d.Streams[i].Window[j].At = d.Streams[i].Window[j].At.Add(24 * time.Hour)
		}
	}
	require.Equal(t, Outcome{}, ours(d), "nothing has arrived yet")
}
