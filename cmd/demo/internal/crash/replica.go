package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/postflight/postflight/cmd/demo/internal/powerloss"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/cmd/internal/invariant"
)

// replica is one daemon, in a folder of its own.
type replica struct {
	*world.Daemon
	steps   *resty.Client // its failpoints, where it has any
	earlier bool          // its version
}

// newReplica prepares a daemon of that name, with a configuration and a log of
// its own.
func (u *universe) newReplica(ctx context.Context, name, binary string) (*replica, error) {
	config, err := u.writeConfig(filepath.Join(u.dir, name))
	if err != nil {
		return nil, err
	}
	control, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	environment := []string{"POSTFLIGHT_FAILPOINTS_LISTEN=" + control}
	if u.scenario.storeFaults != "" {
		environment = append(environment, "POSTFLIGHT_STORE_FAULTS="+u.scenario.storeFaults)
	}
	earlier := binary != u.binaries.Current
	if u.scenario.traced {
		if binary, err = powerloss.Program(u.dir, binary); err != nil {
			return nil, err
		}
	}
	r := &replica{Daemon: world.NewDaemon(binary, config).With(environment, nil),
		earlier: earlier, steps: resty.New().SetBaseURL("http://" + control).SetTimeout(5 * time.Second)}
	u.replicas = append(u.replicas, r)
	return r, nil
}

// join starts a replica and puts it into service.
func (u *universe) join(ctx context.Context, r *replica) error {
	if err := r.Start(ctx); err != nil {
		return err
	}
	u.front.add(r.Address())
	return nil
}

// leave takes a replica out of service and ends it, as an upgrade does.
func (u *universe) leave(r *replica) error {
	u.front.remove(r.Address())
	return r.Stop()
}

// stopAll ends every daemon as a service manager does.
func (u *universe) stopAll() error {
	var errs []error
	for _, r := range u.replicas {
		errs = append(errs, r.Stop())
	}
	return errors.Join(errs...)
}

// logs is what all daemons logged.
func (u *universe) logs() ([]byte, error) {
	var out bytes.Buffer
	for _, r := range u.replicas {
		if len(r.Lives()) == 0 {
			continue // never started
		}
		log, err := r.WholeLog()
		if err != nil {
			return nil, err
		}
		if len(u.replicas) > 1 {
			fmt.Fprintf(&out, "=== %s\n", r.Address())
		}
		out.Write(log)
	}
	return out.Bytes(), nil
}

// lives are the times in which some daemon lived.
func (u *universe) lives() []invariant.Life {
	var all []invariant.Life
	for _, r := range u.replicas {
		for _, l := range r.Lives() {
			all = append(all, invariant.Life(l))
		}
	}
	return together(all)
}

// together makes one life of those that overlap.
func together(all []invariant.Life) (out []invariant.Life) {
	slices.SortFunc(all, func(a, b invariant.Life) int { return a.Started.Compare(b.Started) })
	for _, l := range all {
		n := len(out)
		switch {
		case n == 0 || !out[n-1].Ended.IsZero() && out[n-1].Ended.Before(l.Started):
			out = append(out, l)
		case !out[n-1].Ended.IsZero() && (l.Ended.IsZero() || l.Ended.After(out[n-1].Ended)):
			out[n-1].Ended, out[n-1].Killed = l.Ended, l.Killed
		}
	}
	return out
}

// decision is the line that a daemon logs with a verdict of its own.
var decision = regexp.MustCompile(`(?m)^.* msg=verdict verification=(\S+) .*$`)

// decided returns the verifications that a daemon decided by itself.
func (r *replica) decided() (ids []string, err error) {
	log, err := r.WholeLog()
	if err != nil {
		return nil, err
	}
	for _, m := range decision.FindAllSubmatch(log, -1) {
		ids = append(ids, string(m[1]))
	}
	return ids, nil
}

// looks is how many looks the daemon has begun since its start.
func (r *replica) looks(ctx context.Context) (float64, error) {
	res, err := resty.New().SetTimeout(5 * time.Second).SetRetryCount(5).R().SetContext(ctx).Get(r.URL() + "/metrics")
	if err != nil {
		return 0, err
	}
	var n float64
	for line := range strings.Lines(res.String()) {
		if _, err := fmt.Sscanf(line, "postflight_check_lag_seconds_count %g", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("the metrics of postflight have no postflight_check_lag_seconds_count:\n%s", res)
}
