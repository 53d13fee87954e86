package crash

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/cmd/internal/invariant"
)

// Run is one world's life: every step's kill once, in an order of its seed.
type Run struct {
	Store    string `json:"store"`
	Seed     uint64 `json:"seed"`
	AtRandom int    `json:"at_random"` // kills beside those
	// Scenario is what is done in place of the kills; "" is none.
	Scenario string `json:"scenario,omitempty"`
}

// Name tells a run from others.
func (r Run) Name() string {
	if r.Scenario != "" {
		return fmt.Sprintf("%s (%s seed %d)", r.Scenario, r.Store, r.Seed)
	}
	return fmt.Sprintf("%s seed %d", r.Store, r.Seed)
}

// Result is what came of a run.
type Result struct {
	Run
	Build string    `json:"build"`
	At    time.Time `json:"at"` // when it ended
	Kills []Kill    `json:"kills"`
	// Took is from the first kill to the last start, Drained from there until
	// everything had come to its end.
	Took, Drained Milliseconds
	// Verifications, Verdicts and Calls say how much there was to get wrong.
	Verifications int      `json:"verifications"`
	Verdicts      int      `json:"verdicts"`
	Rollbacks     int      `json:"rollbacks"`
	Messages      int      `json:"messages"`
	Checked       []string `json:"checked"` // invariants of which everything was seen
	Violations    []string `json:"violations"`
	// Slopes are of runs that went on for long.
	Slopes []Slope `json:"slopes,omitempty"`
	// StoodStill is how long nothing at all ran on the machine meanwhile. A run
	// with that and with violations is discarded, and made again.
	StoodStill Milliseconds `json:"stood_still_ms,omitempty"`
	// Kept is where what a run with violations left was put.
	Kept string `json:"kept,omitempty"`
}

// Options are what runs share.
type Options struct {
	Binaries
	Build string // that the current one is of
	Keep  string // folder for what runs with violations leave; "" keeps nothing
	// Active bounds how many worlds have their daemons killed at once. One that
	// only waits for its ends doesn't count.
	Active chan struct{}
}

// Do makes a run. An error is a fault of the tests' own, or ctx's end; whatever
// the daemon did wrong is among the violations.
func Do(ctx context.Context, run Run, o Options) (result Result, err error) {
	result = Result{Run: run, Build: o.Build}
	var dog watchdog
	watching, enough := context.WithCancel(ctx)
	defer enough()
	go dog.watch(watching)
	defer func() { result.StoodStill = dog.gap() }()
	select {
	case o.Active <- struct{}{}:
	case <-ctx.Done():
		return result, ctx.Err()
	}
	release, resume := func() { <-o.Active }, func() { o.Active <- struct{}{} }
	u, err := open(ctx, run, o.Binaries)
	if err != nil {
		release()
		return result, err
	}
	u.rest, u.resume = release, resume
	defer func() {
		if closed := u.close(); err == nil {
			err = closed
		}
	}()
	fault := u.hurt(ctx, &result)
	release()
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	if fault == nil {
		fault = u.drain(ctx, &result)
	}
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	if fault != nil { // the state is still to be looked at, once nobody writes it any more
		result.Violations = append(result.Violations, fault.Error())
		u.load.stop()
		if err := u.stopAll(); err != nil {
			result.Violations = append(result.Violations, err.Error())
		}
	}
	report, state, err := u.check(ctx)
	if err != nil {
		return result, err
	}
	result.count(report, state)
	result.Slopes = slopes(u.held)
	result.At = time.Now().UTC().Truncate(time.Second)
	if len(result.Violations) > 0 && o.Keep != "" {
		result.Kept, err = u.keep(o.Keep, report, state)
	}
	return result, err
}

// hurt does to the daemon what the run is about.
func (u *universe) hurt(ctx context.Context, result *Result) error {
	begun := time.Now()
	defer func() { result.Took = since(begun) }()
	u.load.start()
	if u.run.Scenario == "" {
		return u.killAll(ctx, result)
	}
	return u.scenario.do(ctx, u)
}

func (u *universe) killAll(ctx context.Context, result *Result) error {
	for _, step := range plan(u.chance, u.run.AtRandom) {
		k, err := u.kill(ctx, step)
		if err != nil {
			return err
		}
		result.Kills = append(result.Kills, k)
	}
	return nil
}

func (r *Result) count(report invariant.Report, state invariant.State) {
	r.Checked = report.Checked
	for _, v := range report.Violations {
		r.Violations = append(r.Violations, v.String())
	}
	r.Verifications = len(state.Verifications)
	for _, v := range state.Verifications {
		if v.Verdict != nil {
			r.Verdicts++
		}
		for _, d := range v.Deliveries {
			if d.Kind == "rollback" {
				r.Rollbacks++
			} else {
				r.Messages++
			}
		}
	}
}

// Discarded reports whether the run says nothing: the machine stood still.
func (r Result) Discarded() bool { return r.StoodStill > 0 && len(r.Violations) > 0 }

// Summary is a result in a line.
func (r Result) Summary() string {
	slowest := slices.MaxFunc(append([]Kill{{}}, r.Kills...), func(a, b Kill) int { return int(a.Back - b.Back) })
	line := fmt.Sprintf("%s: %d kills in %.1f s, at an end %.1f s later, back after at most %d ms; %d verifications, %d verdicts, %d rollbacks, %d messages; %d violations",
		r.Name(), len(r.Kills), float64(r.Took)/1000, float64(r.Drained)/1000, slowest.Back, r.Verifications, r.Verdicts, r.Rollbacks, r.Messages, len(r.Violations))
	for _, s := range r.Slopes {
		line += "\n  " + s.String()
	}
	if len(r.Violations) > 0 {
		line += " (kept in " + r.Kept + ")\n  " + strings.Join(r.Violations, "\n  ")
	}
	return line
}
