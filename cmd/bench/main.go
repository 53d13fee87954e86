// Command bench measures how fast and how small postflight is, and writes
// docs/performance.md out of what it measured. `make bench` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
