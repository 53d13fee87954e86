// Command soak kills the daemon at every step where a fault could lose
// something, on both stores, over and over, and checks the invariants of
// docs/safety.md after each world. It can be stopped and started again: what is
// done is in its state file.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/postflight/postflight/cmd/demo/internal/crash"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

type options struct {
	crash.Options
	kills    int
	seed     uint64
	atRandom int
	limit    time.Duration
	state    string
	active   int
	worlds   int
	scenario string
	skip     string
	record   string
}

func main() {
	var o options
	flag.StringVar(&o.Current, "binary", os.Getenv("POSTFLIGHT_BINARY"), "the daemon, built with -tags failpoints")
	flag.StringVar(&o.Previous, "previous", os.Getenv("POSTFLIGHT_PREVIOUS_BINARY"), "a daemon of an earlier version, to upgrade from")
	flag.StringVar(&o.Build, "build", "unknown", "what the daemon was built from; runs of another build don't count")
	flag.StringVar(&o.Keep, "keep", "", "folder for what runs with violations leave")
	flag.IntVar(&o.kills, "kills", 3000, "how many kills at the named steps, over both stores")
	flag.Uint64Var(&o.seed, "seed", 1, "the first seed")
	flag.IntVar(&o.atRandom, "at-random", 2, "kills at random moments in each world, beside those")
	flag.DurationVar(&o.limit, "for", 3*time.Hour, "no world starts after that")
	flag.StringVar(&o.state, "state", "", "file with the runs that are done, one a line")
	flag.IntVar(&o.active, "active", 2, "worlds that are killed in at once")
	flag.IntVar(&o.worlds, "worlds", 8, "worlds that live at once")
	flag.StringVar(&o.scenario, "scenarios", "", "regular expression of the other faults' names to go through first; . is all of them")
	flag.StringVar(&o.skip, "skip", "^$", "and of those to leave out")
	flag.StringVar(&o.record, "record", "", "sum the state files in the arguments up in this file, and do nothing else")
	flag.Parse()
	if o.record != "" {
		if err := record(o.record, flag.Args()); err != nil {
			fmt.Fprintln(os.Stderr, "soak:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := soak(ctx, o)
	stop()
	pgtest.Stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// record sums state files up in one file, which docs/robustness.md is written
// from.
func record(file string, states []string) error {
	var all []crash.Result
	for _, path := range states {
		results, err := read(path)
		if err != nil {
			return err
		}
		all = append(all, results...)
	}
	text, err := json.MarshalIndent(crash.Summarise(all), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

func read(path string) (out []crash.Result, err error) {
	file, err := os.Open(path) // #nosec G304 -- the caller names it
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r crash.Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		out = append(out, r)
	}
	return out, lines.Err()
}

// progress is what is done, and where it is written down.
type progress struct {
	mu         sync.Mutex
	file       *os.File
	kills      int
	violations int
	done       map[crash.Run]bool
}

func soak(ctx context.Context, o options) error {
	if o.Current == "" {
		return errors.New("-binary: name a daemon that was built with -tags failpoints")
	}
	var err error
	for _, binary := range []*string{&o.Current, &o.Previous} {
		if *binary == "" {
			continue // a scenario that needs it says so
		}
		if *binary, err = filepath.Abs(*binary); err != nil {
			return err
		}
	}
	p, err := begin(o)
	if err != nil {
		return err
	}
	defer p.file.Close() //nolint:errcheck // every line was written and checked
	o.Active = make(chan struct{}, o.active)
	deadline := time.Now().Add(o.limit)
	free := make(chan struct{}, o.worlds)
	var running sync.WaitGroup
	var failed error
	runs, err := todo(o)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if p.done[run] {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		free <- struct{}{}
		if time.Now().After(deadline) {
			failed = fmt.Errorf("%d kills are done and %s are over: start again to go on", p.kills, o.limit)
			break
		}
		running.Go(func() {
			defer func() { <-free }()
			for range 3 {
				result, err := crash.Do(ctx, run, o.Options)
				if p.add(result, err); !result.Discarded() {
					return
				}
			}
		})
	}
	running.Wait()
	fmt.Printf("%d kills at the %d named steps over both stores, build %s, %d violations\n", p.kills, len(crash.Steps), o.Build, p.violations)
	switch {
	case ctx.Err() != nil:
		return errors.New("stopped: start again to go on")
	case failed != nil:
		return failed
	case p.violations > 0:
		return errors.New("invariants were broken")
	}
	return nil
}

// todo is everything that is asked for, done or not.
func todo(o options) (out []crash.Run, err error) {
	asked, err := regexp.Compile(o.scenario)
	if err != nil {
		return nil, fmt.Errorf("-scenarios: %w", err)
	}
	skipped, err := regexp.Compile(o.skip)
	if err != nil {
		return nil, fmt.Errorf("-skip: %w", err)
	}
	for _, s := range crash.Scenarios {
		if o.scenario != "" && asked.MatchString(s.Name) && !skipped.MatchString(s.Name) {
			out = append(out, crash.Run{Store: cmp.Or(s.Store, crash.SQLite), Seed: o.seed, Scenario: s.Name})
		}
	}
	for n := 0; n*len(crash.Steps) < o.kills; n++ {
		out = append(out, crash.Run{Store: crash.Stores[n%2], Seed: o.seed + uint64(n/2), AtRandom: o.atRandom})
	}
	return out, nil
}

// begin reads what an earlier start did.
func begin(o options) (*progress, error) {
	p := &progress{done: map[crash.Run]bool{}}
	path := o.state
	if path == "" {
		path = os.DevNull
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) // #nosec G304 -- the caller names it
	if err != nil {
		return nil, err
	}
	p.file = file
	results, err := read(path)
	for _, r := range results {
		if r.Build == o.Build {
			p.count(r)
		}
	}
	return p, err
}

func (p *progress) count(r crash.Result) {
	if r.Discarded() {
		return
	}
	p.done[r.Run] = true
	p.violations += len(r.Violations)
	for _, k := range r.Kills {
		if k.Step != crash.AtRandom {
			p.kills++
		}
	}
}

func (p *progress) add(r crash.Result, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			p.violations++
			fmt.Printf("%s %s: %v\n", time.Now().Format("15:04:05"), r.Name(), err)
		}
		return
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = p.file.Write(append(line, '\n'))
	}
	p.count(r)
	if r.Discarded() {
		fmt.Printf("%s the machine stood still for %d ms, so this says nothing:\n", time.Now().Format("15:04:05"), r.StoodStill)
	}
	fmt.Printf("%s %d kills, %d violations: %s\n", time.Now().Format("15:04:05"), p.kills, p.violations, r.Summary())
	if err != nil {
		fmt.Println("write down what is done:", err)
	}
}
