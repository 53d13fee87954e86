//go:build failpoints

package failpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

type action string

const (
	kill   action = "kill"
	stop   action = "stop"
	exit   action = "exit"
	panics action = "panic"
	fails  action = "error"
	delay  action = "delay"
	pause  action = "pause"
	off    action = "off"
)

var actions = []action{kill, stop, exit, panics, fails, delay, pause, off}

// fault is what happens at a step.
type fault struct {
	action action
	delay  time.Duration
	nth    int     // at this pass only; 0 is any
	share  float64 // of the passes; 0 is all
}

func parsePoint(name string) (Point, error) {
	p := Point(strings.TrimSpace(name))
	if !slices.Contains(Points, p) {
		return "", fmt.Errorf("no step %q: use one of %v", name, Points)
	}
	return p, nil
}

func parseFault(spec string) (f fault, err error) {
	what, when, timed := strings.Cut(strings.TrimSpace(spec), "@")
	if timed {
		if f.nth, f.share, err = parseWhen(when); err != nil {
			return fault{}, err
		}
	}
	name, argument, argued := strings.Cut(strings.TrimSuffix(what, ")"), "(")
	f.action = action(name)
	if !slices.Contains(actions, f.action) {
		return fault{}, fmt.Errorf("no fault %q: use one of %v", what, actions)
	}
	if (f.action == delay) != argued {
		return fault{}, fmt.Errorf("delay, and no other fault, needs a time, as in delay(2s) (got %q)", what)
	}
	if argued {
		if f.delay, err = time.ParseDuration(argument); err != nil || f.delay <= 0 {
			return fault{}, fmt.Errorf("delay must be a time such as 2s (got %q)", argument)
		}
	}
	return f, nil
}

// parseWhen reads 3 or 10%.
func parseWhen(when string) (nth int, share float64, err error) {
	if percent, ok := strings.CutSuffix(when, "%"); ok {
		share, err = strconv.ParseFloat(percent, 64)
		if err != nil || share <= 0 || share > 100 {
			return 0, 0, fmt.Errorf("after @ must be a share of the passes such as 10%% (got %q)", when)
		}
		return 0, share / 100, nil
	}
	if nth, err = strconv.Atoi(when); err != nil || nth < 1 {
		return 0, 0, fmt.Errorf("after @ must be the number of a pass, or a share such as 10%% (got %q)", when)
	}
	return nth, 0, nil
}
