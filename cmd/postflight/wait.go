package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postflight/postflight/verifier"
)

const (
	untilVerdict = "verdict"
	untilCleared = "cleared"
	longPoll     = 10 * time.Second // between progress lines
	retryEvery   = 2 * time.Second
)

func waitFlags(f *pflag.FlagSet) {
	f.Duration("timeout", 40*time.Minute, "give up waiting after this long (exit 13)")
	f.String("until", untilVerdict, "verdict, or cleared: go on as soon as harm of twice the usual is ruled out")
}

func waitCommand(s streams) *cobra.Command {
	var service, environment, version string
	cmd := &cobra.Command{
		Use:   "wait ID | wait --service S --environment E --version V",
		Short: "Wait for the verdict; the exit code tells it",
		Long: `Waits for a verification's verdict. Exit codes: 0 keep (or cleared), 10 revert,
11 inconclusive, 12 superseded or cancelled, 13 timeout, 14 revert advised but
withheld by a guard, 1 a fault of the tool or the network, 2 usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			named := service != "" || environment != "" || version != ""
			switch {
			case len(args) > 1, len(args) == 1 && named:
				return usagef("wait takes an ID, or --service, --environment and --version")
			case len(args) == 0 && (service == "" || environment == "" || version == ""):
				return usagef("wait needs an ID, or all of --service, --environment and --version")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return waitFor(cmd, s, c, args[0])
			}
			return waitForDeploy(cmd, s, c, url.Values{"service": {service}, "environment": {environment}, "version": {version}, "limit": {"1"}})
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "service of the deploy")
	cmd.Flags().StringVar(&environment, "environment", "", "environment of the deploy")
	cmd.Flags().StringVar(&version, "version", "", "version of the deploy")
	waitFlags(cmd.Flags())
	clientFlags(cmd.Flags())
	outputFlag(cmd.Flags())
	return cmd
}

// waitForDeploy waits for the deploy's newest verification, also where its
// notification is still on its way.
func waitForDeploy(cmd *cobra.Command, s streams, c *client, query url.Values) error {
	w, err := newWaiting(cmd, s, c)
	if err != nil {
		return err
	}
	defer w.cancel()
	for {
		page, err := c.verifications(w.ctx, query)
		if err == nil && len(page.Verifications) > 0 {
			return w.wait(page.Verifications[0].ID)
		}
		if err == nil {
			w.fault = nil
			w.say("no verification of this deploy yet; waiting for its notification")
		}
		if err := w.pause(err); err != nil {
			return err
		}
	}
}

func waitFor(cmd *cobra.Command, s streams, c *client, id string) error {
	w, err := newWaiting(cmd, s, c)
	if err != nil {
		return err
	}
	defer w.cancel()
	return w.wait(id)
}

// waiting is one wait under way.
type waiting struct {
	ctx    context.Context
	cancel context.CancelFunc
	s      streams
	c      *client
	json   bool
	until  string
	last   string // the last line said, so that none is said twice
	// fault is that of the last call; nil when it went well. Before the first
	// answer there is one: no answer must not look like no verdict.
	fault error
}

var errNoAnswer = errors.New("the daemon has not answered")

func newWaiting(cmd *cobra.Command, s streams, c *client) (*waiting, error) {
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err != nil {
		return nil, err
	}
	until, err := cmd.Flags().GetString("until")
	if err != nil {
		return nil, err
	}
	if until != untilVerdict && until != untilCleared {
		return nil, usagef("--until: verdict or cleared (got %q)", until)
	}
	if timeout <= 0 {
		return nil, usagef("--timeout: more than 0, such as 40m (got %s)", timeout)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	return &waiting{ctx: ctx, cancel: cancel, s: s, c: c, json: asJSON(cmd), until: until, fault: errNoAnswer}, nil
}

func (w *waiting) wait(id string) error {
	// The first look is answered at once, so that people see how it stands.
	for poll := time.Duration(0); ; poll = longPoll {
		v, err := w.c.verification(w.ctx, id, poll, w.until)
		if err == nil {
			w.fault = nil
			if v.State.Final() || w.until == untilCleared && v.ClearedAt != nil {
				return w.end(v)
			}
			w.say(progress(v, time.Now()))
			if w.ctx.Err() == nil {
				continue
			}
		}
		if err := w.pause(err); err != nil {
			return err
		}
	}
}

// pause decides what a failed call means: tried again until the time is up,
// unless trying again can't help.
func (w *waiting) pause(err error) error {
	if err != nil && w.ctx.Err() == nil {
		if !temporary(err) {
			return err
		}
		w.fault = err
		w.say(err.Error() + "; trying again")
	}
	if sleep(w.ctx, retryEvery) == nil {
		return nil
	}
	switch {
	case !errors.Is(w.ctx.Err(), context.DeadlineExceeded):
		return exit{code: exitFault, message: "interrupted"}
	case w.fault != nil:
		return fmt.Errorf("no verdict in time, for the last call went wrong: %w", w.fault)
	}
	return exit{code: exitTimeout, message: "no verdict in time; the verification goes on"}
}

// say tells progress on the error stream, so that the output stays clean.
func (w *waiting) say(line string) {
	if line != w.last {
		w.last = line
		fmt.Fprintf(w.s.err, "%s  %s\n", time.Now().Format(time.TimeOnly), line)
	}
}

func (w *waiting) end(v verifier.Verification) error {
	code := verdictExit(v)
	if !v.State.Final() {
		code = exitKeep // cleared
	}
	if w.json {
		if err := json.NewEncoder(w.s.out).Encode(v); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(w.s.out, headline(v))
		if line := actionLine(v.Action); line != "" {
			fmt.Fprintln(w.s.out, line)
		}
		if v.URL != "" {
			fmt.Fprintln(w.s.out, v.URL)
		}
	}
	if code == exitKeep {
		return nil
	}
	return exit{code: code}
}

// actionLine says what was done about the verdict, for a pipeline's log.
func actionLine(a verifier.Action) string {
	switch a.State {
	case verifier.ActionNone, "":
		return ""
	case verifier.ActionWithheld:
		return fmt.Sprintf("nothing was rolled back: withheld by the guard %s: %s", a.Guard, a.Reason)
	case verifier.ActionRequested:
		return fmt.Sprintf("a rollback to %s is being requested (%s)", a.TargetVersion, a.RevertID)
	}
	line := fmt.Sprintf("rollback to %s (%s): %s", a.TargetVersion, a.RevertID, a.State)
	if a.Reason != "" {
		line += ": " + a.Reason
	}
	return line
}
