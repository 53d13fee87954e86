package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// change is one labelled change.
type change struct {
	number  int
	at      time.Time
	bad     bool
	verdict judge.SeriesVerdict
}

// changes judges the labelled changes of a folder and prints what came of
// them, apart for the half on which constants were chosen and the other.
func changes(out io.Writer, dir string) error {
	all, err := readChanges(dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "changes    false reverts  precision  recall     F1    area  minutes")
	for _, half := range []struct {
		name string
		in   func(change) bool
	}{
		{"tuned on", func(c change) bool { return c.number/4%2 == 0 }},
		{"held out", func(c change) bool { return c.number/4%2 == 1 }},
		{"all", func(change) bool { return true }},
	} {
		var some []change
		for _, c := range all {
			if half.in(c) {
				some = append(some, c)
			}
		}
		fmt.Fprintf(out, "%-10s %s\n", half.name, score(some))
	}
	return nil
}

func score(all []change) string {
	var found, missed, wrong, right, above, pairs float64
	var minutes []float64
	for _, c := range all {
		reverted := c.verdict.Decision == verifier.Revert
		switch {
		case c.bad && reverted:
			found++
			minutes = append(minutes, c.verdict.Minutes)
		case c.bad:
			missed++
		case reverted:
			wrong++
		default:
			right++
		}
		for _, other := range all {
			if c.bad && !other.bad {
				pairs++
				above += beats(c.verdict.Score, other.verdict.Score)
			}
		}
	}
	return fmt.Sprintf("%2.0f of %2.0f (%4.1f %%)   %.3f    %.3f   %.3f   %.3f   %.1f", wrong, wrong+right, 100*wrong/max(1, wrong+right),
		found/max(1, found+wrong), found/max(1, found+missed), 2*found/max(1, 2*found+wrong+missed), above/max(1, pairs), middle(minutes))
}

func beats(a, b float64) float64 {
	switch {
	case a > b:
		return 1
	case a == b:
		return 0.5
	}
	return 0
}

func readChanges(dir string) ([]change, error) {
	rows, err := readCSV(filepath.Join(dir, "index.csv"), false)
	if err != nil {
		return nil, err
	}
	var out []change
	for _, row := range rows[1:] {
		at, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read index of %s: case %q: %w", dir, row[0], err)
		}
		number, err := strconv.Atoi(row[0])
		if err != nil {
			return nil, fmt.Errorf("read index of %s: %w", dir, err)
		}
		points, err := readPoints(filepath.Join(dir, row[0]+".csv.gz"))
		if err != nil {
			return nil, err
		}
		c := change{number: number, at: time.Unix(at, 0).UTC(), bad: row[2] == "1"}
		c.verdict = judge.JudgeSeries(points, c.at, judge.SeriesOptions{})
		out = append(out, c)
	}
	return out, nil
}

func readPoints(file string) ([]judge.Point, error) {
	rows, err := readCSV(file, true)
	if err != nil {
		return nil, err
	}
	var out []judge.Point
	for i, row := range rows[1:] {
		at, err := strconv.ParseInt(row[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read %s: line %d: %w", file, i+2, err)
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return nil, fmt.Errorf("read %s: line %d: %w", file, i+2, err)
		}
		out = append(out, judge.Point{At: time.Unix(at, 0).UTC(), Value: v})
	}
	return out, nil
}

func readCSV(file string, zipped bool) ([][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if zipped {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("unzip %s: %w", file, err)
		}
		r = z
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("read %s: no header line", file)
	}
	return rows, nil
}
