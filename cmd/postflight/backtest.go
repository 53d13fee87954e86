package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
	"github.com/postflight/postflight/verifier/judge"
)

// backtestFlags is what backtest was asked for.
type backtestFlags struct {
	config, against       string
	from, until           string
	service, environment  string
	deploys, html         string
	versionLabel, version string
	history               bool
	placebos              int
	rate                  float64
}

const defaultPlacebos, defaultRate = 200, 2.0

func backtestCommand(s streams) *cobra.Command {
	f := backtestFlags{}
	cmd := &cobra.Command{
		Use:   "backtest",
		Short: "Judge past deploys and quiet moments again, under this policy and a proposed one",
		Long: `Judges the deploys of the past as the daemon would have, from what Prometheus
still knows, and moments at which nothing was deployed (placebos): whatever is
reverted there is a false revert. With --against FILE it does the same under the
policies of a proposed configuration and shows the difference.

Deploys come from the daemon's history (--url, --token-file; --history=false
leaves it out), from a CSV (--deploys: the columns service, environment, version,
deployed_at and, if known, label: good or bad), or from when a value of a
metric's label appeared first (--version-label). Whether a verdict was right is
told by the label in the CSV, or by feedback.

Only Prometheus signals have a past that can be read: probes, tickets and alerts
are left out, and it says so. Progress goes to stderr.
Exit code 0: judged, whatever the verdicts; 1: it could not; 2: usage.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(cmd); err != nil {
				return err
			}
			return f.run(cmd, s, time.Now())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config.file", "postflight.yml", "configuration to judge by")
	flags.StringVar(&f.against, "against", "", "proposed configuration to compare with")
	flags.StringVar(&f.from, "from", "-30d", "since when: so long ago (-30d), or a time (2026-11-01T00:00:00Z)")
	flags.StringVar(&f.until, "until", "now", "until when, likewise")
	flags.StringVar(&f.service, "service", "", "only this service")
	flags.StringVar(&f.environment, "environment", "", "only this environment")
	flags.StringVar(&f.deploys, "deploys", "", "CSV of deploys")
	flags.BoolVar(&f.history, "history", true, "ask the daemon at --url for the deploys that it verified")
	flags.StringVar(&f.versionLabel, "version-label", "", "find deploys by when a value of this label appeared in --version-query")
	flags.StringVar(&f.version, "version-query", "", "PromQL template whose series carry --version-label (default: the policy's live_version query)")
	flags.IntVar(&f.placebos, "placebos", defaultPlacebos, "judge so many moments without a deploy; 0 for none")
	flags.Float64Var(&f.rate, "query-rate", defaultRate, "at most so many queries a second, one at a time, each of at most 10,000 points as the daemon's own: at 2 a server gives at most 20,000 points a second")
	flags.StringVar(&f.html, "html", "", "also write a report with charts to this file")
	clientFlags(flags)
	outputFlag(flags)
	return cmd
}

// times are the bounds that were asked for.
func (f *backtestFlags) times(now time.Time) (from, until time.Time, err error) {
	if from, err = ago(f.from, now); err != nil {
		return from, until, usagef("--from: %v", err)
	}
	if until, err = ago(f.until, now); err != nil {
		return from, until, usagef("--until: %v", err)
	}
	switch {
	case until.After(now):
		return from, until, usagef("--until: lies in the future (got %q)", f.until)
	case !from.Before(until):
		return from, until, usagef("--from must lie before --until (got %q and %q)", f.from, f.until)
	case f.placebos < 0 || f.placebos > 10_000:
		return from, until, usagef("--placebos: 0 to 10000 (got %d)", f.placebos)
	case !(f.rate > 0 && f.rate <= 100):
		return from, until, usagef("--query-rate: above 0, at most 100 queries a second (got %v)", f.rate)
	case f.version != "" && f.versionLabel == "":
		return from, until, usagef("--version-query needs --version-label: the label that holds the version")
	}
	return from, until, nil
}

// ago reads "-30d" as that long before now, and "now".
func ago(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if len(text) > 1 && text[0] == '-' {
		if d, err := model.ParseDuration(text[1:]); err == nil && d > 0 {
			return now.Add(-time.Duration(d)), nil
		}
	}
	at, err := backtest.Moment(text)
	if err != nil {
		return at, fmt.Errorf("so long ago as in -30d, or %w", err)
	}
	return at, nil
}

func (f *backtestFlags) run(cmd *cobra.Command, s streams, now time.Time) error {
	from, until, err := f.times(now)
	if err != nil {
		return err
	}
	if f.html != "" {
		if err := writable(f.html); err != nil {
			return usagef("--html: %v", err)
		}
	}
	o := backtest.Options{From: from, Until: until, Placebos: f.placebos, Log: slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn})), Only: f.only()}
	files := []string{f.config}
	if f.against != "" {
		files = append(files, f.against)
	}
	p := newProgress(s.err, f.rate)
	base, err := f.sets(&o, files, p)
	defer base.close()
	if err != nil {
		return err
	}
	if o.Deploys, err = f.past(cmd, s, base, o); err != nil {
		return err
	}
	o.Places = f.places(o.Sets)
	o.Progress = p.tell
	r, err := backtest.Run(cmd.Context(), o)
	if err != nil {
		return told(err)
	}
	report := reportOf(r, files, p.queries())
	if f.html != "" {
		if err := writeBacktestPage(f.html, report); err != nil {
			return err
		}
	}
	if asJSON(cmd) {
		return encode(s.out, report)
	}
	return printBacktest(s.out, report)
}

// writable says before the work, not after it, that a report can't be written.
func writable(file string) error {
	probe, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return err
	}
	return probe.Close()
}

// told turns an interruption into words.
func told(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: nothing was judged to the end")
	}
	return err
}

func (f *backtestFlags) only() func(verifier.Location) bool {
	return func(at verifier.Location) bool {
		return (f.service == "" || f.service == at.Service) && (f.environment == "" || f.environment == at.Environment)
	}
}

// replayers are what the configurations ask, to be closed.
type replayers struct {
	all     []*app.Replayer
	configs []*configs.Config
}

func (r replayers) close() {
	for _, one := range r.all {
		one.Close()
	}
}

// sets loads the configurations. Where the second asks the same servers, what
// was read for the first is not read again.
func (f *backtestFlags) sets(o *backtest.Options, files []string, p *progressLines) (r replayers, err error) {
	for i, file := range files {
		c, err := configs.Load(file, os.LookupEnv)
		if err != nil {
			return r, fmt.Errorf("%w", err)
		}
		one, err := app.NewReplayer(c, p.slot, p.asked)
		if err != nil {
			return r, fmt.Errorf("%s: %w", file, err)
		}
		r.all, r.configs = append(r.all, one), append(r.configs, c)
		o.Sets = append(o.Sets, backtest.Set{Name: setNames[i], Policies: c.Policies, Limits: one.Limits})
	}
	var reach time.Duration
	for _, c := range r.configs {
		for _, policy := range c.Policies {
			reach = max(reach, judge.Reach(policy))
		}
	}
	for i := range o.Sets {
		o.Sets[i].Ranges = backtest.NewRanges(r.all[i].Prometheus, o.From.Add(-reach-time.Hour), o.Until)
		if i > 0 && reflect.DeepEqual(r.configs[0].Prometheus, r.configs[i].Prometheus) {
			o.Sets[i].Ranges = o.Sets[0].Ranges
		}
	}
	return r, nil
}

// places are those that the policies and flags name outright, for placebos.
func (f *backtestFlags) places(sets []backtest.Set) []verifier.Location {
	var out []verifier.Location
	for _, p := range sets[0].Policies {
		at := verifier.Location{Service: p.Match.Service, Environment: p.Match.Environment}
		if f.service != "" {
			at.Service = f.service
		}
		if f.environment != "" {
			at.Environment = f.environment
		}
		if literal(at.Service) && literal(at.Environment) && p.Match.Matches(at.Service, at.Environment) {
			out = append(out, at)
		}
	}
	return out
}
