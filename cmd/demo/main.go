// Command demo shows postflight at work: a real shop behind a real Prometheus
// gets a good release, which is kept, and a bad one, which is reverted, in under
// two minutes. Everything runs on loopback and leaves nothing behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// Exit codes.
const (
	exitHeld    = 0
	exitDiffers = 1 // the story went another way, or could not be told
	exitUsage   = 2
	exitStopped = 130 // by Ctrl-C, as shells count it
)

func main() {
	scenario := flag.String("scenario", "", "which story: "+scenarioNames()+" (default "+defaultScenario+")")
	keep := flag.String("keep", "", "1: leave everything up afterwards, until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, *scenario, *keep)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, name, keep string) int {
	story, ok := scenarioFor(name)
	if !ok {
		fmt.Fprintf(os.Stderr, "demo: there is no scenario %q; there are %s\n", name, scenarioNames())
		return exitUsage
	}
	stay, err := strconv.ParseBool(keep)
	if keep != "" && err != nil {
		fmt.Fprintf(os.Stderr, "demo: KEEP=%s: want 1 or nothing\n", keep)
		return exitUsage
	}
	n := newNarrator(os.Stdout)
	held, err := tell(ctx, n, story, stay)
	switch {
	case ctx.Err() != nil && !held:
		n.note("Stopped.")
		return exitStopped
	case err != nil:
		n.fail(err)
		return exitDiffers
	case !held:
		return exitDiffers
	}
	return exitHeld
}
