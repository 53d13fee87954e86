package engine

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/safety"
)

// Past is what Replay asks beside the sources of evidence: what was known of a
// service and of its surroundings at a moment. Its methods are those of Store
// with the moment added, which for the daemon is now.
type Past interface {
	// LeftOut returns the stretches before a moment that say nothing about what
	// is usual for a service.
	LeftOut(service, environment string, since, now time.Time) []verifier.Span
	// Surroundings returns the deployments that a deploy's harm may be compared
	// with, and the deploys that overlap with it, as far as they were known then.
	Surroundings(v verifier.Verification, p verifier.Policy, since, now time.Time, limit int) ([]verifier.Deployment, []verifier.Overlap)
}

// ReplayOptions is what a replay is made of. Every field is required.
type ReplayOptions struct {
	Past Past
	// Measurers read the past by History; whatever they can't read ends the
	// replay. A source that is missing, as probes are, is never measured.
	Measurers map[verifier.SourceKind]Measurer
	Policies  []verifier.Policy // by which the services around a deploy are judged
	Limits    safety.Limits
	Log       *slog.Logger
}

// Replay judges a deploy of the past as Run would have judged it then, and
// returns it with its verdict: each look is the daemon's own, at the moments at
// which one could have learnt something, and sees nothing that was measured
// later. Nothing is stored, sent or called, for the policy counts as shadow.
// The check needs a verification, as verifier.Open makes it, and its policy.
func Replay(ctx context.Context, o ReplayOptions, c verifier.Check) (verifier.Verification, error) {
	c.Policy.Mode, c.Policy.Receivers, c.Policy.Rollback = verifier.Shadow, nil, ""
	c.Policy.Signals = slices.Clone(c.Policy.Signals)
	c.Verification.Mode = verifier.Shadow
	unprepared(&c)
	d := c.Verification.Deployment
	// The daemon's looks come at any phase of the interval; these come as soon as
	// a step can be known, and so see the whole window.
	r := &replay{check: c, past: o.Past, now: d.FinishedAt.Add(settle(c.Policy.Step.D()))}
	source := recorded{inner: o.Measurers, of: d.Target(), window: map[string][]verifier.Observation{}}
	e := New(Options{
		Store: r, Metrics: nobody{}, Log: o.Log, Now: func() time.Time { return r.now },
		Measurers: source.measurers,
		Limits:    func() safety.Limits { return o.Limits }, Policies: func() []verifier.Policy { return o.Policies },
		URL: func(string) string { return "" },
	})
	e.unhurried = true
	if err := e.readPast(ctx, r, source); err != nil {
		return r.check.Verification, err
	}
	return r.check.Verification, e.lookBack(ctx, r)
}

// readPast reads each signal's history, as the first look does, and what was
// measured in the window.
func (e *Engine) readPast(ctx context.Context, r *replay, source recorded) error {
	c, d := &r.check, r.check.Verification.Deployment
	leftOut := r.past.LeftOut(d.Service, d.Environment, d.StartedAt.Add(-judge.Reach(c.Policy)), d.FinishedAt)
	for i, signal := range c.Policy.Signals {
		s := &c.Signals[i]
		e.prepareSignal(ctx, *c, signal, s, leftOut)
		_, known := source.inner[signal.Source()]
		switch {
		case len(s.Calibration) == 0:
			return verifier.Errorf(verifier.Unavailable, "%s", s.Plan.Note)
		case !known: // it keeps its share of the budget of false reverts, and stands in nobody's way
			c.Policy.Signals[i].Required = false
			s.Plan.Error = "its past can't be read: it was not replayed"
			continue
		case s.Plan.Error != "":
			return verifier.Errorf(verifier.Invalid, "%s", s.Plan.Error)
		}
		from, to := unmeasured(*c, signal, *s, c.Verification.ClosesAt.Add(settle(c.Policy.Step.D())))
		window, err := source.inner[signal.Source()].History(ctx, signal, d.Target(), s.Plan, c.Policy.Step.D(), from, to)
		if err != nil {
			return err
		}
		source.window[signal.Name] = window
	}
	c.Verification.State = verifier.StateObserving
	return nil
}

// lookBack looks at a deploy until it is decided.
func (e *Engine) lookBack(ctx context.Context, r *replay) error {
	step := r.check.Policy.Step.D()
	end := r.check.Verification.ClosesAt.Add(settle(step))
	var seen time.Time
	r.check.DueAt = r.now
	for {
		known := r.now.Add(-settle(step)).Truncate(step)
		// Between two steps a look learns nothing, unless it waits for others.
		if known.After(seen) || r.check.Verification.Attribution != nil || !r.now.Before(end) {
			seen = known
			if err := e.look(ctx, r.check); err != nil {
				return err
			}
		}
		if r.check.Verification.State.Final() {
			return nil
		}
		if r.now.After(end.Add(r.check.Policy.Interval.D())) {
			return verifier.Errorf(verifier.Internal, "the replay of %s ended without a verdict", r.check.Verification.ID)
		}
		r.now = nextLook(r.check, r.now)
		r.check.DueAt = r.now
	}
}

// replay is the Store of one deploy of the past, which it keeps in memory. What
// it does not answer is never asked by a look.
type replay struct {
	Store
	past  Past
	check verifier.Check
	now   time.Time
}

// LeftOut asks the past as it was known by now.
func (r *replay) LeftOut(_ context.Context, service, environment string, since time.Time) ([]verifier.Span, error) {
	return r.past.LeftOut(service, environment, since, r.now), nil
}

// PastObservations are those of probes, which have no past.
func (r *replay) PastObservations(context.Context, verifier.Deployment, verifier.Signal, time.Time) ([]verifier.Observation, error) {
	return nil, nil
}

// PassedBefore is of probes, which have no past.
func (r *replay) PassedBefore(context.Context, verifier.Deployment, verifier.Signal, time.Time) (bool, error) {
	return false, nil
}

// Surroundings asks the past as it was known by now.
func (r *replay) Surroundings(_ context.Context, v verifier.Verification, p verifier.Policy, since time.Time, limit int) ([]verifier.Deployment, []verifier.Overlap, error) {
	deployed, overlapping := r.past.Surroundings(v, p, since, r.now, limit)
	return deployed, overlapping, nil
}

// Record keeps what a look saw for the next one.
func (r *replay) Record(_ context.Context, c verifier.Check, fresh map[string][]verifier.Observation, _ time.Time, _ []verifier.Delivery) error {
	c.Signals = evidence(c, fresh).Signals
	r.check = c
	return nil
}

// Decide keeps the verdict.
func (r *replay) Decide(_ context.Context, c verifier.Check, fresh map[string][]verifier.Observation, now time.Time, decide verifier.DecideFunc) error {
	d := c.Verification.Deployment
	_, overlapping := r.past.Surroundings(c.Verification, c.Policy, now, now, 0)
	decided, err := decide(verifier.Facts{Now: now, Mode: verifier.Shadow, Deployment: d, Current: d, Overlapping: overlapping})
	if err != nil {
		return err
	}
	c.Verification = decided.Verification
	return r.Record(context.Background(), c, fresh, now, nil)
}

// recorded hands the looks at a deploy what was measured in its window; what is
// asked of other services goes to the sources.
type recorded struct {
	inner  map[verifier.SourceKind]Measurer
	of     verifier.Target
	window map[string][]verifier.Observation // by signal
}

func (s recorded) measurers() map[verifier.SourceKind]Measurer {
	out := make(map[verifier.SourceKind]Measurer, len(s.inner))
	for kind, m := range s.inner {
		out[kind] = recordedBy{m, s}
	}
	return out
}

type recordedBy struct {
	Measurer
	recorded
}

// Measure returns what was measured in (from, to].
func (m recordedBy) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	if t != m.of {
		return m.Measurer.Measure(ctx, s, t, p, step, from, to)
	}
	var out []verifier.Observation
	for _, o := range m.window[s.Name] {
		if o.At.After(from) && !o.At.After(to) {
			out = append(out, o)
		}
	}
	return out
}

// nobody is told of what happens in a replay.
type nobody struct{}

func (nobody) Observed(verifier.SourceKind, verifier.Outcome, int) {}
func (nobody) Late(time.Duration)                                  {}
func (nobody) Decided(verifier.Verification)                       {}
func (nobody) ActionMoved(verifier.Verification)                   {}
