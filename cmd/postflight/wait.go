package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

const (
	untilVerdict = "verdict"
	untilCleared = "cleared"
	untilSettled = "settled"
	longPoll     = 10 * time.Second // of a question, where nobody looks on
	livePoll     = 2 * time.Second  // and where somebody does
	retryEvery   = 2 * time.Second
	// quietFor is how long nothing is said where nothing changes and no line is
	// renewed: some pipelines end a job that is silent for long.
	quietFor = time.Minute
)

func waitFlags(f *pflag.FlagSet) {
	f.Duration("timeout", 40*time.Minute, "give up waiting after this long (exit 13)")
	f.String("until", untilVerdict, "verdict; cleared: go on as soon as harm of twice the usual is ruled out; settled: the verdict, and how the rollback ends that it asks for")
}

func waitCommand(s streams) *cobra.Command {
	var service, environment, version string
	cmd := &cobra.Command{
		Use:   "wait ID | wait --service S --environment E --version V",
		Short: "Wait for the verdict; the exit code tells it",
		Long: `Waits for a verification's verdict. Exit codes: 0 keep (or cleared), 10 revert,
11 inconclusive, 12 superseded or cancelled, 13 timeout, 14 revert advised but
withheld by a guard, 1 a fault of the tool or the network, 2 usage.

Each change is told in a line on the standard error stream; on a terminal a line
below says how it stands. The verdict is the output.`,
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
			w.once("no verification of this deploy yet; waiting for its notification")
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
	ctx     context.Context
	stop    context.CancelFunc
	s       streams
	c       *client
	json    bool
	until   string
	screen  *terminal.Screen
	line    *terminal.Line
	journal journal
	last    string    // what was said last of what is no change, so that it isn't said twice
	said    time.Time // when anything was
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
	if !slices.Contains(untils, until) {
		return nil, usagef("--until: verdict, cleared or settled (got %q)", until)
	}
	if timeout <= 0 {
		return nil, usagef("--timeout: more than 0, such as 40m (got %s)", timeout)
	}
	ctx, stop := context.WithTimeout(cmd.Context(), timeout)
	look := screen(cmd, s.err)
	return &waiting{ctx: ctx, stop: stop, s: s, c: c, json: asJSON(cmd), until: until,
		screen: look, line: terminal.NewLine(look), fault: errNoAnswer}, nil
}

var untils = []string{untilVerdict, untilCleared, untilSettled}

// cancel ends the wait, and takes its line from the terminal.
func (w *waiting) cancel() {
	w.stop()
	w.line.Close()
}

func (w *waiting) wait(id string) error {
	// The first look is answered at once, so that people see how it stands.
	for poll := time.Duration(0); ; poll = w.poll() {
		v, err := w.c.verification(w.ctx, id, poll, w.question())
		if err == nil {
			w.fault = nil
			done := v.State.Final() || w.until == untilCleared && v.ClearedAt != nil
			if !done || w.journal.begun { // what is over already has its headline
				w.tell(v)
			}
			if done {
				return w.end(w.settled(v))
			}
			if w.ctx.Err() == nil {
				continue
			}
		}
		if err := w.pause(err); err != nil {
			return err
		}
	}
}

// question is what the daemon is asked to wait for.
func (w *waiting) question() string {
	if w.until == untilCleared {
		return untilCleared
	}
	return untilVerdict
}

func (w *waiting) poll() time.Duration {
	if w.screen.Live() {
		return livePoll
	}
	return longPoll
}

// settled follows the rollback of a verdict to its end where that was asked
// for. However that goes, the verdict is known and tells the exit code.
func (w *waiting) settled(v verifier.Verification) verifier.Verification {
	if w.until != untilSettled || !v.State.Final() {
		return v
	}
	for v.Action.Open() && sleep(w.ctx, retryEvery) == nil {
		now, err := w.c.verification(w.ctx, v.ID, 0, "")
		if err != nil {
			w.once(err.Error() + "; trying again")
			continue
		}
		v = now
		w.tell(v)
	}
	if v.Action.Open() {
		w.once("the time is up, and the rollback is not settled yet: it goes on")
	}
	return v
}

// pause decides what a failed call means: tried again until the time is up,
// unless trying again can't help.
func (w *waiting) pause(err error) error {
	if err != nil && w.ctx.Err() == nil {
		if !temporary(err) {
			return err
		}
		w.fault = err
		w.once(err.Error() + "; trying again")
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
	if !w.journal.begun {
		return exit{code: exitTimeout, message: "no verdict in time: no such deploy was announced yet"}
	}
	return exit{code: exitTimeout, message: "no verdict in time; the verification goes on"}
}

// tell says what has changed, on the error stream, so that the output stays
// clean, and keeps the line that is renewed.
func (w *waiting) tell(v verifier.Verification) {
	for _, n := range w.journal.notes(v) {
		w.say(n.on(w.screen))
	}
	if v.State.Final() && !v.Action.Open() {
		w.line.Set(nil)
		return
	}
	w.line.Set(func(now time.Time) string { return "◌ " + progress(v, now) })
	if !w.screen.Live() && time.Since(w.said) >= quietFor {
		w.say(terminal.Clean("◌ " + progress(v, time.Now())))
	}
	w.last = ""
}

// once says what is no change of a verification, and not twice in a row.
func (w *waiting) once(text string) {
	if text != w.last {
		w.last = text
		w.say(terminal.Clean(text))
	}
}

func (w *waiting) say(line string) {
	w.said = time.Now()
	w.line.Print(w.said.Format(time.TimeOnly) + "  " + line)
}

func (w *waiting) end(v verifier.Verification) error {
	w.line.Set(nil)
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
