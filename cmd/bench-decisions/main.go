// Command bench-decisions measures the judge: on labelled changes, and on
// simulated deploys beside what peers do. `make bench-decisions` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/postflight/postflight/verifier/judge/benchmark"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-decisions:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("bench-decisions", flag.ContinueOnError)
	f.SetOutput(progress)
	data := f.String("data", "", "folder of labelled changes (index.csv and a gzip CSV a case); none leaves them out")
	docs := f.String("out", "", "folder to write tables.md and the charts to")
	seed := f.Uint64("seed", 20261123, "of every random number")
	healthy := f.Int("healthy", 200, "healthy deploys of each cell; 0 leaves the simulation out")
	bad := f.Int("bad", 50, "deploys of each harm of each cell")
	quick := f.Bool("quick", false, "20 and 10: whether it runs, not what it says")
	full := f.Bool("full", false, "2000 and 500, as in decision.md")
	only := f.String("only", "", "simulate only cells whose name, table and row, holds this")
	workers := f.Int("workers", 2, "deploys simulated at the same time")
	limit := f.Duration("limit", 0, "stop simulating after this time, with the cells done by then; 0 is no limit")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	if f.NArg() > 0 || *healthy < 0 || *bad < 0 || *workers < 1 {
		return fmt.Errorf("want flags alone, -healthy and -bad of at least 0, -workers of at least 1 (got %q)", args)
	}
	switch {
	case *quick:
		*healthy, *bad = 20, 10
	case *full:
		*healthy, *bad = 2000, 500
	}
	started := time.Now()
	r := benchmark.Report{Seed: *seed, Healthy: *healthy, Bad: *bad}
	if *data != "" {
		changes, err := benchmark.LoadLabelled(os.DirFS(*data))
		if err != nil {
			return fmt.Errorf("load %s: %w", *data, err)
		}
		r.Labelled = benchmark.GradeLabelled(changes, *workers, progress)
		if !*quick {
			r.HeldOut = benchmark.GradeHeldOut(changes, *seed, *workers, progress)
		}
	}
	if *healthy > 0 {
		if *limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, *limit)
			defer cancel()
		}
		o := benchmark.Options{Seed: *seed, Healthy: *healthy, Bad: *bad, Workers: *workers, Progress: progress}
		r.Cells = benchmark.Simulate(ctx, benchmark.CellsOf(*only), o)
	}
	if err := r.WriteTables(out); err != nil {
		return err
	}
	fmt.Fprintf(progress, "took %s\n", time.Since(started).Round(time.Second))
	if *docs == "" {
		return nil
	}
	return r.WriteDocs(*docs)
}
