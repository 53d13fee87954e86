// Command bench measures how fast and how small postflight is, and writes
// docs/performance.md out of what it measured. `make bench` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// proberCommand has the benchmark run probes for another process of it.
const proberCommand = "prober"

func main() {
	if len(os.Args) == 3 && os.Args[1] == proberCommand {
		if err := runProber(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// bench is one measurement of the page.
type bench struct {
	name    string // of its file, docs/performance/NAME.json
	measure func(context.Context, options) (Section, error)
}

// benches are in the order of the page.
var benches = []bench{
	{"windows", measureWindows},
	{"queries", measureQueries},
	{"intake", measureIntake},
	{"probes", measureProbes},
	{"judge", measureJudge},
	{"start", measureStart},
	{"cost", measureCost},
}

// options is what every measurement is told.
type options struct {
	binary   string // postflight, as `make build` makes it
	quick    bool   // whether it runs, not what it says
	out      string // folder of the page
	cells    string // of the sections on windows and intake; "" for all
	progress io.Writer
}

// say writes a line of progress.
func (o options) say(format string, args ...any) {
	fmt.Fprintf(o.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func run(ctx context.Context, args []string, progress io.Writer) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(progress)
	o := options{progress: progress}
	f.StringVar(&o.binary, "binary", "./postflight", "postflight, as `make build` makes it")
	f.BoolVar(&o.quick, "quick", false, "small sizes: whether it runs, not what it says")
	f.StringVar(&o.out, "out", "docs", "folder of performance.md and performance/; what was measured before and is not now stays")
	only := f.String("only", "", "comma-separated names of what to measure; all when empty, none for the page alone")
	f.StringVar(&o.cells, "cells", "", "of windows: windows/replicas/store, such as 1000/1/sqlite,10000/2/postgres; of intake: store/services, such as postgresql/0; all when empty")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	if f.NArg() > 0 {
		return fmt.Errorf("want flags alone (got %q)", f.Args())
	}
	wanted := strings.Split(*only, ",")
	for _, b := range benches {
		if *only != "" && !slices.Contains(wanted, b.name) {
			continue
		}
		began := time.Now()
		o.say("%s", b.name)
		s, err := b.measure(ctx, o)
		if err != nil {
			return fmt.Errorf("measure %s: %w", b.name, err)
		}
		s.Measured = measuredNow(began)
		if err := save(o.out, b.name, s); err != nil {
			return err
		}
		if ctx.Err() != nil {
			break // asked to stop
		}
	}
	return writePage(o.out)
}
