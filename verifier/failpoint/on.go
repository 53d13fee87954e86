//go:build failpoints

package failpoint

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/postflight/postflight/verifier"
)

// What makes the steps fail: Variable holds faults from the start on, as
// POINT=FAULT separated by semicolons, and ControlVariable a loopback address,
// HOST:PORT, at which they can be changed. A FAULT is
//
//	kill         the process ends as by kill -9
//	stop         the process stands still as by kill -STOP, until a SIGCONT
//	exit         the process ends with status 3, without any clean-up
//	panic        the goroutine panics
//	error        the step fails, as a store that can't be reached
//	delay(2s)    the step takes so much longer
//	pause        the step waits until the fault is taken away
//	off          nothing
//
// and may be followed by @3, for the third pass only, or by @10%, for so many
// of the passes, as chance has it.
const (
	Variable        = "POSTFLIGHT_FAILPOINTS"
	ControlVariable = "POSTFLIGHT_FAILPOINTS_LISTEN"
)

// Points are all steps.
var Points = []Point{
	IntakeBeforeTx, SupersedeMid, ConfirmBeforeStore, IntakeAfterCommitBeforeReply, LeaseAfterRenew, DispatchAfterClaim,
	SampleBeforeStore, SampleAfterStore, JudgeBeforeTx, JudgeAfterCommit, OutboxAfterClaim, OutboxAfterSendBeforeMark,
	OutboxAfterMark, NotifyAfterSendBeforeMark, OverrideAfterCommit, ReloadBeforeSwap, ReloadAfterSwap, ShutdownMid,
}

// registry is what is to happen at each step, and what has.
type registry struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a fault changes
	faults  map[Point]fault
	passes  map[Point]int // since the fault was set
	struck  map[Point]int
}

var active = newRegistry()

func newRegistry() *registry {
	return &registry{changed: make(chan struct{}), faults: map[Point]fault{}, passes: map[Point]int{}, struck: map[Point]int{}}
}

func init() {
	if err := active.setAll(os.Getenv(Variable)); err != nil {
		fatal(Variable, err)
	}
	if address := os.Getenv(ControlVariable); address != "" {
		if err := serveControl(address, active); err != nil {
			fatal(ControlVariable, err)
		}
	}
}

func fatal(variable string, err error) {
	fmt.Fprintf(os.Stderr, "postflight: %s: %v\n", variable, err)
	os.Exit(2)
}

// Reach passes a step: it does what the step's fault says, and returns the
// error that the step is to fail with.
func Reach(ctx context.Context, p Point) error { return active.reach(ctx, p) }

func (r *registry) setAll(text string) error {
	for one := range strings.SplitSeq(text, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		name, spec, found := strings.Cut(one, "=")
		if !found {
			return fmt.Errorf("must be POINT=FAULT (got %q)", one)
		}
		if err := r.set(name, spec); err != nil {
			return err
		}
	}
	return nil
}

func (r *registry) set(name, spec string) error {
	p, err := parsePoint(name)
	if err != nil {
		return err
	}
	f, err := parseFault(spec)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[p], r.passes[p] = f, 0
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

// strikes counts a pass, and returns the fault where it is this pass's turn.
func (r *registry) strikes(p Point) (fault, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passes[p]++
	f := r.faults[p]
	switch {
	case f.action == "" || f.action == off,
		f.nth > 0 && r.passes[p] != f.nth,
		f.share > 0 && rand.Float64() >= f.share: // #nosec G404 -- of a test
		return fault{}, false
	}
	r.struck[p]++
	return f, true
}

func (r *registry) reach(ctx context.Context, p Point) error {
	f, strikes := r.strikes(p)
	if !strikes {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", p, f.action)
	switch f.action {
	case kill:
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
		}
		select {} // nothing more happens until the signal is there
	case stop:
		standStill()
	case exit:
		os.Exit(3)
	case panics:
		panic("failpoint " + string(p))
	case delay:
		select {
		case <-time.After(f.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	case pause:
		return r.pause(ctx, p)
	case fails:
		return verifier.Errorf(verifier.Unavailable, "failpoint %s", p)
	}
	return nil
}

// standStill stops the process, and returns at the first moment after it was
// told to go on. It spins until then: whoever slept would be woken by a timer,
// and so after those that end what took too long.
func standStill() {
	const gap = 100 * time.Millisecond
	before := time.Now()
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		fatal("stop", err)
	}
	for {
		now := time.Now()
		if now.Sub(before) > gap {
			return
		}
		before = now
	}
}

// pause waits until the step has another fault or none.
func (r *registry) pause(ctx context.Context, p Point) error {
	for {
		r.mu.Lock()
		still, changed := r.faults[p].action == pause, r.changed
		r.mu.Unlock()
		if !still {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
