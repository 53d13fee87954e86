package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Section is what one measurement found: a part of docs/performance.md.
type Section struct {
	Title   string   `json:"title"`
	Text    string   `json:"text"` // Markdown: what was done, with what, and what it means
	Figures []Figure `json:"figures"`
	Tables  []Table  `json:"tables,omitempty"`
	Charts  []Chart  `json:"charts,omitempty"`
	// Data is what other sections reckon with, by name, with the unit in it.
	Data     map[string]float64 `json:"data,omitempty"`
	Cells    []fared            `json:"cells,omitempty"` // of the section on windows, each measured by itself
	Measured Measured           `json:"measured"`

	name string // of its bench
}

// Figure is a measured figure beside its goal.
type Figure struct {
	What     string `json:"what"`
	Goal     string `json:"goal"` // "" where none was set
	Measured string `json:"measured"`
	Met      bool   `json:"met"` // without a goal it means nothing
}

// Table is of text, so that it reads the same wherever it is shown.
type Table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
}

// Chart is drawn to docs/performance/NAME.svg.
type Chart struct {
	Name   string    `json:"name"`
	Title  string    `json:"title"`
	X      string    `json:"x"`
	Y      string    `json:"y"`
	XTicks []float64 `json:"x_ticks"`
	YTicks []float64 `json:"y_ticks"`
	LogX   bool      `json:"log_x,omitempty"`
	LogY   bool      `json:"log_y,omitempty"`
	Curves []Curve   `json:"curves"`
}

// Curve is a line of a chart, or with Marks alone a set of points.
type Curve struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
	Marks  bool         `json:"marks,omitempty"`
	Hollow bool         `json:"hollow,omitempty"` // rings, which show what lies below
	Dashed bool         `json:"dashed,omitempty"` // a goal
}

func file(out, name string) string { return filepath.Join(out, "performance", name+".json") }

func save(out, name string, s Section) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Join(out, "performance"), 0o755); err != nil { //nolint:gosec // documentation is for everyone
		return fmt.Errorf("make the folder of measurements: %w", err)
	}
	return os.WriteFile(file(out, name), append(text, '\n'), 0o644) //nolint:gosec // documentation is for everyone
}

// load returns a measurement that was saved; false where there is none.
func load(out, name string) (s Section, ok bool, err error) {
	text, err := os.ReadFile(file(out, name))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, false, fmt.Errorf("read %s: %w", file(out, name), err)
	}
	return s, true, nil
}
