package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// stopWithin is what SIGTERM promises.
const stopWithin = 10 * time.Second

// terminateAtEveryStep asks the daemon to end while it is held up at each step:
// it leaves in time, with exit code 0, and what it did not finish is done by
// the next.
func terminateAtEveryStep(ctx context.Context, u *universe) error {
	for _, step := range plan(u.chance, 0) {
		if err := u.terminate(ctx, step); err != nil {
			return fmt.Errorf("SIGTERM at %s: %w", step, err)
		}
		if err := u.daemon.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (u *universe) terminate(ctx context.Context, step string) error {
	if err := u.set(ctx, step, "delay(1s)@1"); err != nil {
		return err
	}
	if step != "shutdown.mid" {
		if err := u.await(ctx, step); err != nil {
			return err
		}
	}
	if err := u.daemon.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-u.daemon.Ended():
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("it still runs after %s", stopWithin), u.daemon.Kill())
	}
	if code := u.daemon.ExitCode(); code != 0 {
		return fmt.Errorf("it left with exit code %d:\n%s", code, u.daemon.Log())
	}
	return nil
}

// terminateTwice: whoever asks again doesn't wait.
func terminateTwice(ctx context.Context, u *universe) error {
	if err := u.set(ctx, "shutdown.mid", "pause"); err != nil {
		return err
	}
	for range 2 {
		if err := u.daemon.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
	select {
	case <-u.daemon.Ended():
		return u.daemon.Start(ctx)
	case <-time.After(time.Second):
		return errors.New("it still runs after the second SIGTERM")
	}
}

// set puts a fault at a step.
func (u *universe) set(ctx context.Context, step, fault string) error {
	res, err := u.daemon.steps.R().SetContext(ctx).SetBody(fault).Put("/" + step)
	if err == nil && res.IsError() {
		err = errors.New(res.String())
	}
	if err != nil {
		return fmt.Errorf("put %s at %s: %w", fault, step, err)
	}
	return nil
}

// await does what leads to a step until its fault has struck.
func (u *universe) await(ctx context.Context, step string) error {
	for end := time.Now().Add(reachWithin); time.Now().Before(end); {
		u.load.goDo(u.leadTo(step))
		for range 20 {
			if !sleep(ctx, provokeEvery/20) {
				return ctx.Err()
			}
			struck, err := u.struck(ctx, step)
			if err != nil || struck {
				return err
			}
		}
	}
	return fmt.Errorf("the step was not reached within %s", reachWithin)
}

func (u *universe) struck(ctx context.Context, step string) (bool, error) {
	res, err := u.daemon.steps.R().SetContext(ctx).Get("/")
	if err != nil {
		return false, err
	}
	var states map[string]struct{ Struck int }
	err = json.Unmarshal(res.Body(), &states)
	return states[step].Struck > 0, err
}
