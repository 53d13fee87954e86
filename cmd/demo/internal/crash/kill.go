package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// Steps are those of verifier/failpoint, which only a daemon that is built for
// it has; its control tells which it knows.
var Steps = []string{
	"intake.before_tx", "supersede.mid", "confirm.before_store", "intake.after_commit_before_reply", "lease.after_renew",
	"dispatch.after_claim", "sample.before_store", "sample.after_store", "judge.before_tx", "judge.after_commit",
	"outbox.after_claim", "outbox.after_send_before_mark", "outbox.after_mark", "notify.after_send_before_mark",
	"override.after_commit", "reload.before_swap", "reload.after_swap", "shutdown.mid",
}

// AtRandom is a kill at any moment, from outside.
const AtRandom = "at random"

const (
	provokeEvery = time.Second
	reachWithin  = 40 * time.Second
	readyWithin  = 5 * time.Second // after a kill
	atRandomMost = 1500 * time.Millisecond
)

// Kill is one end of the daemon, and its start after that.
type Kill struct {
	Step string `json:"step"`
	Nth  int    `json:"nth"` // of the step's passes since it was armed
	// Took is from the arming to the end, Back from the next start until ready.
	Took Milliseconds `json:"took_ms"`
	Back Milliseconds `json:"back_ms"`
}

// Milliseconds is a duration as results keep it.
type Milliseconds int64

func since(t time.Time) Milliseconds { return Milliseconds(time.Since(t).Milliseconds()) }

// plan is the order of a run's kills: every step once, as its seed has it, and
// some at random.
func plan(chance *rand.Rand, atRandom int) []string {
	all := append([]string(nil), Steps...)
	for range atRandom {
		all = append(all, AtRandom)
	}
	chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// kill ends the daemon at a step, and starts it again.
func (u *universe) kill(ctx context.Context, step string) (k Kill, err error) {
	k = Kill{Step: step, Nth: 1 + u.chance.IntN(2)}
	begun := time.Now()
	if step == AtRandom {
		if !sleep(ctx, time.Duration(u.chance.Int64N(int64(atRandomMost)))) {
			return k, ctx.Err()
		}
		err = u.daemon.Kill()
	} else {
		err = u.reach(ctx, &k)
	}
	if err != nil {
		return k, fmt.Errorf("%s: %w", step, err)
	}
	k.Took = since(begun)
	begun = time.Now()
	if err := u.daemon.Start(ctx); err != nil {
		return k, fmt.Errorf("after a kill at %s: %w", step, err)
	}
	if k.Back = since(begun); time.Since(begun) > readyWithin {
		return k, fmt.Errorf("after a kill at %s it was ready only after %d ms, and %s is the limit", step, k.Back, readyWithin)
	}
	return k, nil
}

// reach arms a step and does what leads there until the daemon dies of it.
func (u *universe) reach(ctx context.Context, k *Kill) error {
	spec := fmt.Sprintf("kill@%d", k.Nth)
	if rare[k.Step] {
		k.Nth, spec = 1, "kill"
	}
	if err := u.set(ctx, k.Step, spec); err != nil {
		return err
	}
	timeout := time.After(reachWithin)
	again := time.NewTicker(provokeEvery)
	defer again.Stop()
	u.load.goDo(u.leadTo(k.Step))
	for {
		select {
		case <-u.daemon.Ended():
			return u.killedBy(k.Step)
		case <-again.C:
			if k.Step != "shutdown.mid" { // a second SIGTERM ends it at once, as it should
				u.load.goDo(u.leadTo(k.Step))
			}
		case <-timeout:
			return fmt.Errorf("the step was not reached within %s", reachWithin)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rare steps are passed once in a life, or seldom: they kill at the first pass.
var rare = map[string]bool{"shutdown.mid": true, "reload.before_swap": true, "reload.after_swap": true, "confirm.before_store": true,
	"supersede.mid": true, "override.after_commit": true}

// leadTo does what makes the daemon pass a step; nil where it does by itself.
func (u *universe) leadTo(step string) func() {
	switch step {
	case "intake.before_tx", "intake.after_commit_before_reply":
		return u.load.openService
	case "supersede.mid":
		return u.load.supersede
	case "judge.before_tx", "judge.after_commit", "outbox.after_claim", "outbox.after_send_before_mark", "outbox.after_mark",
		"confirm.before_store", "notify.after_send_before_mark":
		return u.load.releaseBad
	case "override.after_commit":
		return u.load.override
	case "reload.before_swap", "reload.after_swap":
		return func() { _ = u.daemon.Signal(syscall.SIGHUP) } // seen by what comes of it
	case "shutdown.mid":
		return func() { _ = u.daemon.Signal(syscall.SIGTERM) }
	}
	return nil
}

// killedBy makes sure that the daemon died of its step, and not of a defect.
func (u *universe) killedBy(step string) error {
	if code := u.daemon.ExitCode(); code != -1 {
		return fmt.Errorf("it left with exit code %d, and was not killed:\n%s", code, u.daemon.Log())
	}
	if said := "failpoint " + step + ": kill"; !u.daemon.Said(said) {
		return errors.New("it was killed, and not by the step")
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
