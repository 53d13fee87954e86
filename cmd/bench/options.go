package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	docs     = "docs"            // the folder of the page that is in the repository
	quickOut = "bin/bench-quick" // git ignores it
)

// options is what every measurement is told.
type options struct {
	binary   string   // postflight, as `make build` makes it
	quick    bool     // whether it runs, not what it says
	out      string   // folder of the page
	only     []string // names of sections, in the order of the page
	cells    string   // of the sections on windows and intake; "" for all
	asked    []cell   // those of windows among them
	progress io.Writer
}

// say writes a line of progress.
func (o options) say(format string, args ...any) {
	fmt.Fprintf(o.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// sectionNames are in the order of the page.
func sectionNames() (names []string) {
	for _, b := range benches {
		names = append(names, b.name)
	}
	return names
}

// readOptions reads the flags, and refuses what could only fail, or measure
// something else, after minutes.
func readOptions(args []string, progress io.Writer) (options, error) {
	o := options{progress: progress}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(progress)
	names := strings.Join(sectionNames(), ", ")
	f.StringVar(&o.binary, "binary", "./postflight", "`file` of postflight, as make build makes it")
	f.BoolVar(&o.quick, "quick", false, "small sizes: whether it runs, not what it says; writes to "+quickOut)
	f.StringVar(&o.out, "out", "", "`folder` of performance.md and performance/ ("+docs+", or "+quickOut+" with -quick); what was measured before and is not now stays")
	only := f.String("only", "", "comma-separated `sections` to measure, of "+names+"; all when empty, none for the page alone")
	f.StringVar(&o.cells, "cells", "", "comma-separated `cells` of windows (windows/replicas/store, such as 1000/1/sqlite,10000/2/postgres) and of intake ("+strings.Join(intakeCells, ", ")+"); all when empty, and the others stay as they were measured")
	if err := f.Parse(args); err != nil {
		return o, fmt.Errorf("read flags: %w", err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("want flags alone (got %q)", f.Args())
	}
	if err := o.choose(*only); err != nil {
		return o, err
	}
	if err := o.checkCells(); err != nil {
		return o, err
	}
	if o.out == "" {
		o.out = map[bool]string{false: docs, true: quickOut}[o.quick]
	}
	if o.quick && filepath.Clean(o.out) == docs {
		return o, fmt.Errorf("-out: -quick measures nothing that belongs to %s; leave -out away for %s", docs, quickOut)
	}
	return o, errors.Join(o.checkOut(), o.checkBinary(), o.checkCost())
}

// choose reads -only.
func (o *options) choose(only string) error {
	if only == "none" {
		return nil
	}
	wanted := strings.Split(only, ",")
	for _, name := range wanted {
		if only != "" && !slices.Contains(sectionNames(), name) {
			return fmt.Errorf("-only: no section %q; there are %s; the word none writes the page alone", name, strings.Join(sectionNames(), ", "))
		}
	}
	for _, name := range sectionNames() {
		if only == "" || slices.Contains(wanted, name) {
			o.only = append(o.only, name)
		}
	}
	return nil
}

// checkOut makes the folder of the page, and finds out whether it may be written
// in.
func (o options) checkOut() error {
	dir := filepath.Join(o.out, "performance")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documentation is for everyone
		return fmt.Errorf("-out: make the folder of measurements: %w", err)
	}
	f, err := os.CreateTemp(dir, ".writable")
	if err != nil {
		return fmt.Errorf("-out: write in the folder of measurements: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkBinary finds the program that these sections start.
func (o options) checkBinary() error {
	if !slices.ContainsFunc(o.only, func(name string) bool { return name == "windows" || name == "intake" || name == "start" }) {
		return nil
	}
	info, err := os.Stat(o.binary)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("-binary: no program at %q; run make build", o.binary)
	}
	return nil
}

// checkCost finds out whether the cells will be there that cost is reckoned
// from. A quick run never has them, and leaves that section out where it wasn't
// named alone.
func (o *options) checkCost() error {
	i := slices.Index(o.only, "cost")
	if i < 0 {
		return nil
	}
	before, _, err := load(o.out, "windows")
	if err != nil {
		return err
	}
	have := measuredCells(before)
	if slices.Contains(o.only, "windows") {
		have = append(have, o.windowCells()...)
	}
	missing := without(costCells, have)
	switch {
	case len(missing) == 0:
		return nil
	case o.quick && len(o.only) > 1:
		o.say("cost: left out, for a quick run has no cells %s", flags(costCells))
		o.only = slices.Delete(o.only, i, i+1)
		return nil
	}
	return fmt.Errorf("-only: cost is reckoned from cells of windows that are not measured: %s; measure them with -only windows,cost -cells %[1]s", flags(missing))
}

// measured says when, of what and where something was measured that began then.
func (o options) measured(began time.Time) Measured {
	m := measuredNow(began)
	m.Quick = o.quick
	return m
}

// run measures what was asked for. A section that fails holds up no other, and
// the page is written of what there is.
func run(ctx context.Context, args []string, progress io.Writer) error {
	o, err := readOptions(args, progress)
	if err != nil {
		return err
	}
	var faults []error
	for _, b := range benches {
		if !slices.Contains(o.only, b.name) || ctx.Err() != nil {
			continue
		}
		o.say("%s", b.name)
		if err := o.measureOne(ctx, b); err != nil {
			o.say("%s failed: %s", b.name, err)
			faults = append(faults, fmt.Errorf("measure %s: %w", b.name, err))
		}
	}
	faults = append(faults, writePage(o.out))
	if o.quick {
		o.say("quick: sizes too small to mean anything; written to %s, docs/ untouched", o.out)
	}
	return errors.Join(faults...)
}

// measureOne measures a section and saves it; with an error it may have measured
// a part.
func (o options) measureOne(ctx context.Context, b bench) error {
	began := time.Now()
	s, fault := b.measure(ctx, o)
	if s.Title == "" || fault != nil && len(s.Cells) == 0 {
		return fault
	}
	s.Measured = o.measured(began)
	return errors.Join(fault, save(o.out, b.name, s))
}
