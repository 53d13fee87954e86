package app

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// SignalAnswer is what one signal of a policy yields now.
type SignalAnswer struct {
	Policy, Signal string
	// Target is the deploy that was asked about as if it were one.
	Target verifier.Target
	// Said tells what was measured, Doubts what may keep a verdict from being
	// good. Asked is false where nothing could be asked.
	Said   string
	Doubts []string
	Asked  bool
	// Err is why the signal can't be measured as it stands.
	Err error
}

// AskPrometheus returns what asks one Prometheus, as the daemon would.
func AskPrometheus(p configs.Prometheus) (*promql.Measurer, error) {
	cur, err := measuring(&configs.Config{Prometheus: []configs.Prometheus{p}})
	return cur.prometheus, err
}

// AskSignals measures every signal of every policy once, with its past, as a
// deploy of now would be, and judges nothing. only names the service and the
// environment to ask about where they are given; else each policy is asked about
// the first service that its labels show.
func AskSignals(ctx context.Context, c *configs.Config, only verifier.Target, told func(SignalAnswer)) error {
	cur, err := measuring(c)
	defer cur.close()
	if err != nil {
		return err
	}
	for _, p := range c.Policies {
		if only.Service != "" && !p.Match.Matches(only.Service, orSample(only.Environment)) {
			continue
		}
		target := cur.sampleOf(ctx, p, only)
		for _, s := range p.Signals {
			if err := ctx.Err(); err != nil {
				return err
			}
			a := cur.askSignal(ctx, p, s, target)
			a.Policy, a.Signal, a.Target = p.Name, s.Name, target
			told(a)
		}
	}
	return nil
}

// sampleEnvironment stands for the environment where a policy leaves it open.
const sampleEnvironment = "production"

func orSample(environment string) string {
	if environment == "" {
		return sampleEnvironment
	}
	return environment
}

// named finds the metric and the label that a template holds a field of the
// deploy to.
func named(field string) *regexp.Regexp {
	return regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{[^{}]*?([a-zA-Z_][a-zA-Z0-9_]*)\s*=~?\s*"\{\{\s*\.` + field + `\s*\}\}"`)
}

var namesService, namesEnvironment = named("Service"), named("Environment")

// sampleOf chooses a service and an environment that a policy judges: those
// asked for, those that it names, or the first that its queries' labels have.
func (cur *current) sampleOf(ctx context.Context, p verifier.Policy, only verifier.Target) verifier.Target {
	t := verifier.Target{Service: only.Service, Environment: only.Environment, Version: "1.42.0"}
	if t.Environment == "" {
		fits := func(v string) bool {
			return p.Match.Matches(orAny(p.Match.Service), v) || p.Match.Matches(t.Service, v)
		}
		t.Environment = cur.labelled(ctx, p, namesEnvironment, p.Match.Environment, fits, sampleEnvironment)
	}
	if t.Service == "" {
		fits := func(v string) bool { return p.Match.Matches(v, t.Environment) }
		t.Service = cur.labelled(ctx, p, namesService, p.Match.Service, fits, "checkout")
	}
	return t
}

// orAny is a service that a pattern without wildcards matches.
func orAny(pattern string) string { return strings.ReplaceAll(pattern, "*", "x") }

// labelled returns what stands in the policy where that is no pattern, else the
// first value of the label that fits, else otherwise.
func (cur *current) labelled(ctx context.Context, p verifier.Policy, where *regexp.Regexp, pattern string, fits func(string) bool, otherwise string) string {
	if pattern != "" && !strings.ContainsAny(pattern, `*?[\`) {
		return pattern
	}
	now := time.Now()
	for _, s := range p.Signals {
		m := where.FindStringSubmatch(asks(s))
		if m == nil {
			continue
		}
		metric := m[1]
		if s.LatencySource != nil {
			metric = `{__name__=~"` + metric + `(_bucket)?"}`
		}
		values, err := cur.prometheus.LabelValues(ctx, s.Server(), m[2], []string{metric}, now.Add(-time.Hour), now)
		if err != nil {
			continue // the signal itself will tell
		}
		slices.Sort(values)
		for _, v := range values {
			if v != "" && fits(v) {
				return v
			}
		}
	}
	return otherwise
}

// asks returns one query of a signal that Prometheus measures, "" of another.
func asks(s verifier.Signal) string {
	switch {
	case s.RatioSource != nil:
		return s.RatioSource.Total
	case s.LatencySource != nil:
		return s.LatencySource.Histogram
	case s.TrafficSource != nil:
		return s.TrafficSource.Total
	case s.ValueSource != nil:
		return s.ValueSource.Query
	}
	return ""
}

func (cur *current) askSignal(ctx context.Context, p verifier.Policy, s verifier.Signal, t verifier.Target) SignalAnswer {
	switch s.Source() {
	case verifier.FromAlerts:
		return SignalAnswer{Said: fmt.Sprintf("source %q pushes its alerts", s.AlertSource.Source)}
	case verifier.FromVotes:
		return SignalAnswer{Said: fmt.Sprintf("people vote: %s; bad from %d no, good from %d yes", s.VoteSource.Who(), s.VoteSource.NoAtLeast, s.VoteSource.YesAtLeast)}
	case verifier.FromTickets:
		return cur.askTickets(ctx, s, t)
	case verifier.FromProbe:
		return cur.askProbe(ctx, p, s, t)
	}
	step := p.Step.D()
	until := time.Now().Truncate(step)
	since := until.Add(-judge.Reach(p)).Truncate(step)
	m := cur.measurers[s.Source()]
	plan, err := m.Prepare(ctx, s, t, step, since, until)
	if err != nil {
		return SignalAnswer{Err: err}
	}
	past, err := m.History(ctx, s, t, plan, step, since, until)
	if err != nil {
		return SignalAnswer{Err: err}
	}
	return cur.described(ctx, p, s, past, until)
}

// askTickets counts those of a day.
func (cur *current) askTickets(ctx context.Context, s verifier.Signal, t verifier.Target) SignalAnswer {
	feed := s.TicketSource.Feed
	if slices.ContainsFunc(cur.config.Feeds, func(f configs.Feed) bool { return f.Name == feed && f.Kind() == "push" }) {
		return SignalAnswer{Said: fmt.Sprintf("tickets are pushed to feed %q", feed)}
	}
	now := time.Now().UTC().Truncate(time.Second)
	trial, err := cur.feeds.Try(ctx, feed, t, now.Add(-24*time.Hour), now)
	if err != nil {
		return SignalAnswer{Err: err}
	}
	said := fmt.Sprintf("feed %q counts %s tickets in the last 24 hours", feed, verifier.Digits(trial.Count))
	if trial.Last != nil {
		said += ", the newest of " + trial.Last.UTC().Format(time.RFC3339)
	}
	return SignalAnswer{Asked: true, Said: said, Doubts: trial.Notes}
}

// askProbe runs a probe once.
func (cur *current) askProbe(ctx context.Context, p verifier.Policy, s verifier.Signal, t verifier.Target) SignalAnswer {
	m, now := cur.measurers[verifier.FromProbe], time.Now()
	plan, err := m.Prepare(ctx, s, t, p.Step.D(), now, now)
	if err != nil {
		return SignalAnswer{Err: err}
	}
	for _, o := range m.Measure(ctx, s, t, plan, p.Interval.D(), now.Add(-p.Interval.D()), now) {
		switch {
		case o.Outcome != verifier.Measured:
			return SignalAnswer{Err: fmt.Errorf("%s", o.Message)}
		case o.Bad > 0:
			return SignalAnswer{Err: fmt.Errorf("it fails now: %s", o.Message)}
		}
	}
	return SignalAnswer{Asked: true, Said: fmt.Sprintf("passes, in %s", time.Since(now).Round(time.Millisecond))}
}

const (
	enoughHistory = 24 * time.Hour // less says little of what is usual
	holes         = 0.2            // a larger share of steps without a measurement is told
	grossHarm     = 3              // a detectable harm of more than this factor is told
)

// described says what the past of a signal looks like to the judge.
func (cur *current) described(ctx context.Context, p verifier.Policy, s verifier.Signal, past []verifier.Observation, until time.Time) SignalAnswer {
	var levels []float64
	var first, last verifier.Observation
	var failed, none string
	for _, o := range past {
		switch o.Outcome {
		case verifier.Measured:
			if len(levels) == 0 {
				first = o
			}
			last = o
			levels = append(levels, levelOf(s, o))
		case verifier.Failed:
			failed = o.Message
		default:
			none = o.Message
		}
	}
	if len(levels) == 0 {
		why := "no sample in " + model.Duration(judge.Reach(p)).String()
		if said := cmp.Or(failed, none); said != "" {
			why += ": " + said
		}
		return SignalAnswer{Err: fmt.Errorf("has no history: %s; are the labels those of the service?", why)}
	}
	if failed != "" && past[len(past)-1].Outcome == verifier.Failed {
		return SignalAnswer{Err: fmt.Errorf("can't be measured now: %s", failed)}
	}
	calibration := judge.Calibrate(s, p, past, nil, until)
	now := levels[len(levels)-1]
	slices.Sort(levels)
	a := SignalAnswer{Asked: true}
	a.Said = fmt.Sprintf("now %s, usually %s to %s; %s of history", s.Kind.Level(now), s.Kind.Level(quantileOf(levels, 0.05)), s.Kind.Level(quantileOf(levels, 0.95)), roughly(until.Sub(first.At)))
	if calibration.Detectable > 0 {
		a.Said += fmt.Sprintf("; the smallest harm that a window can prove is %sx the usual", verifier.Digits(calibration.Detectable))
	}
	if until.Sub(last.At) > 3*p.Step.D() {
		a.Doubts = append(a.Doubts, fmt.Sprintf("nothing was measured since %s", last.At.UTC().Format(time.RFC3339)))
	}
	if have := until.Sub(first.At); have < enoughHistory && p.History.D() >= enoughHistory {
		a.Doubts = append(a.Doubts, fmt.Sprintf("there are only %s of history: what is usual is not known yet", roughly(have)))
	}
	if share := cur.gaps(past, first.At, p.Step.D(), until); share > holes {
		a.Doubts = append(a.Doubts, fmt.Sprintf("%s%% of the steps since then hold nothing: is step (%s) at least four scrape intervals, and is there traffic? %s", verifier.Digits(100*share), model.Duration(p.Step.D()), none))
	}
	if s.Role == verifier.Decisive && s.Kind == verifier.Ratio && (calibration.Detectable == 0 || calibration.Detectable > grossHarm) {
		how := "no harm at all"
		if calibration.Detectable > 0 {
			how = "only harm of more than " + verifier.Digits(calibration.Detectable) + "x the usual"
		}
		a.Doubts = append(a.Doubts, how+" could be told from chance in "+model.Duration(p.Window.D()).String()+": there is too little traffic, or it changes too much; a longer window, or at_most, helps")
	}
	return a
}

// gaps is the share of steps between two moments without a measurement.
func (cur *current) gaps(past []verifier.Observation, since time.Time, step time.Duration, until time.Time) float64 {
	var measured time.Duration
	for _, o := range past {
		if o.Outcome == verifier.Measured {
			measured += o.Span.D()
		}
	}
	whole := until.Sub(since) + step
	return math.Max(0, 1-measured.Seconds()/whole.Seconds())
}

// levelOf is an observation in the unit of its signal's kind.
func levelOf(s verifier.Signal, o verifier.Observation) float64 {
	switch s.Kind {
	case verifier.Ratio:
		if o.Total == 0 {
			return 0
		}
		return o.Bad / o.Total
	case verifier.Count:
		return o.Count / o.Span.D().Hours()
	}
	return o.Value
}

func quantileOf(sorted []float64, q float64) float64 {
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}

// roughly writes how long in days, hours or minutes.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d/time.Hour))
	}
	return fmt.Sprintf("%d minutes", int(d/time.Minute))
}
