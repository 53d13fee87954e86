// Package faulty stands between the daemon and its store and makes calls fail,
// as databases do: before anything happened, by a conflict that wasn't one,
// after a while, or although everything was done. Only tests and a daemon that
// is built with the tag `failpoints` have it.
package faulty

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Kind is a way to fail.
type Kind string

// The ways to fail.
const (
	Unavailable Kind = "unavailable" // nothing was done
	TimedOut    Kind = "timeout"     // nothing was done, and it took as long as the caller waits, a second at most
	Conflict    Kind = "conflict"    // nothing was done; the caller's lease is lost, or another came first
	Executed    Kind = "executed"    // all was done, and the caller is told that it timed out
	Slow        Kind = "slow"        // all was done, a second late
)

// Kinds are all ways to fail.
var Kinds = []Kind{Unavailable, TimedOut, Conflict, Executed, Slow}

// late is how long a slow call takes, and a timeout at most.
const late = time.Second

// Rule makes a share of the calls of a method fail.
type Rule struct {
	Method string // "*" is any
	Kind   Kind
	Share  float64 // 0 to 1
}

// Parse reads rules such as Record=executed@10%;*=unavailable@1%.
func Parse(text string) (out []Rule, err error) {
	for one := range strings.SplitSeq(text, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		method, fault, named := strings.Cut(one, "=")
		kind, percent, shared := strings.Cut(strings.TrimSuffix(fault, "%"), "@")
		share, err := strconv.ParseFloat(percent, 64)
		switch {
		case !named || !shared || err != nil || share <= 0 || share > 100:
			return nil, fmt.Errorf("must be METHOD=FAULT@SHARE, such as Record=executed@10%% (got %q)", one)
		case !slices.Contains(Kinds, Kind(kind)):
			return nil, fmt.Errorf("no fault %q: use one of %v", kind, Kinds)
		case method != "*" && !slices.Contains(Methods, method):
			return nil, fmt.Errorf("the store has no method %q: use * or one of %v", method, Methods)
		}
		out = append(out, Rule{method, Kind(kind), share / 100})
	}
	return out, nil
}

// Faults are what happens to the calls. They may be changed at any time.
type Faults struct {
	mu     sync.Mutex
	rules  []Rule
	chance *rand.Rand
	struck map[string]int // by method and kind
}

// NewFaults returns faults that chance deals out, the same for a seed as long
// as the calls come in the same order.
func NewFaults(seed uint64, rules ...Rule) *Faults {
	return &Faults{rules: rules, chance: rand.New(rand.NewPCG(seed, 3)), struck: map[string]int{}} // #nosec G404 -- to be the same again
}

// Set replaces the rules; none lets every call through.
func (f *Faults) Set(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = rules
}

// Struck says how often each fault was dealt, by "METHOD KIND".
func (f *Faults) Struck() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]int, len(f.struck))
	for k, n := range f.struck {
		out[k] = n
	}
	return out
}

func (f *Faults) deal(method string) Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if (r.Method == "*" || r.Method == method) && f.chance.Float64() < r.Share {
			f.struck[method+" "+string(r.Kind)]++
			return r.Kind
		}
	}
	return ""
}

// around makes one call, or doesn't, and returns the error that the caller is
// to get; results must then be dropped.
func (f *Faults) around(ctx context.Context, method string, call func() error) error {
	switch f.deal(method) {
	case Unavailable:
		return verifier.Errorf(verifier.Unavailable, "%s: the store can't be reached (a fault put in by the test)", method)
	case Conflict:
		return verifier.Errorf(verifier.Conflict, "%s: another came first (a fault put in by the test)", method)
	case TimedOut:
		wait(ctx)
		return verifier.Errorf(verifier.Unavailable, "%s: %w (a fault put in by the test)", method, context.DeadlineExceeded)
	case Executed:
		if err := call(); err != nil {
			return err
		}
		return verifier.Errorf(verifier.Unavailable, "%s: %w, and it was done (a fault put in by the test)", method, context.DeadlineExceeded)
	case Slow:
		err := call()
		wait(ctx)
		return err
	}
	return call()
}

func wait(ctx context.Context) {
	select {
	case <-time.After(late):
	case <-ctx.Done():
	}
}
