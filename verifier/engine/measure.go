package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// settle is how long after a step's end it is asked for, so that what was
// scraped in it has arrived.
func settle(step time.Duration) time.Duration { return min(step/2, 5*time.Second) }

// prepare makes concrete and calibrates each signal that is not yet, and
// reports whether there is anything to store. A source that can't be read now
// is tried again at the next look.
func (e *Engine) prepare(ctx context.Context, c *verifier.Check) (bool, error) {
	stored := make(map[string]verifier.SignalEvidence, len(c.Signals))
	for _, s := range c.Signals {
		stored[s.Signal] = s
	}
	signals := make([]verifier.SignalEvidence, len(c.Policy.Signals))
	var missing []int
	for i, s := range c.Policy.Signals {
		signals[i] = stored[s.Name]
		signals[i].Signal = s.Name
		if len(signals[i].Calibration) == 0 {
			missing = append(missing, i)
		}
	}
	c.Signals = signals
	if len(missing) == 0 {
		return false, nil
	}
	d := c.Verification.Deployment
	leftOut, err := e.o.Store.LeftOut(ctx, d.Service, d.Environment, d.StartedAt.Add(-c.Policy.History.D()))
	if err != nil {
		return false, err
	}
	var wg sync.WaitGroup
	for _, i := range missing {
		wg.Go(func() {
			defer e.recovered("prepare a signal", c.Verification.ID, func(why string) { c.Signals[i].Plan = verifier.Plan{Note: why} })
			e.prepareSignal(ctx, *c, c.Policy.Signals[i], &c.Signals[i], leftOut)
		})
	}
	wg.Wait()
	return true, nil
}

// prepareSignal fills s. Without a calibration s stays to be prepared; its
// plan's note then says what stood in the way.
func (e *Engine) prepareSignal(ctx context.Context, c verifier.Check, signal verifier.Signal, s *verifier.SignalEvidence, leftOut []verifier.Span) {
	step, d := c.Policy.Step.D(), c.Verification.Deployment
	until := d.StartedAt.Truncate(step)
	since := until.Add(-c.Policy.History.D()).Truncate(step)
	var history []verifier.Observation
	m, known := e.o.Measurers()[signal.Source()]
	plan, err := verifier.Plan{}, verifier.Errorf(verifier.Invalid, "nothing measures a %s signal", signal.Source())
	if known {
		plan, err = m.Prepare(ctx, signal, d.Target(), step, since, until)
	}
	switch {
	case verifier.KindOf(err) == verifier.Invalid:
		plan = verifier.Plan{Error: err.Error()}
	case err != nil:
		s.Plan = verifier.Plan{Note: err.Error()}
		return
	default:
		if history, err = e.history(ctx, m, c, signal, plan, since, until); err != nil {
			s.Plan = verifier.Plan{Note: err.Error()}
			return
		}
	}
	calibration, err := json.Marshal(judge.Calibrate(signal, c.Policy, history, leftOut, d.StartedAt))
	if err != nil {
		s.Plan = verifier.Plan{Note: fmt.Sprintf("write calibration: %v", err)}
		return
	}
	s.Plan, s.Calibration, s.Before = plan, calibration, tail(history, until.Add(-2*c.Policy.Window.D()))
}

// history reads a signal's past: from its source, or, for probes, from what
// earlier verifications saw.
func (e *Engine) history(ctx context.Context, m Measurer, c verifier.Check, signal verifier.Signal, plan verifier.Plan, since, until time.Time) ([]verifier.Observation, error) {
	if signal.Source() == verifier.FromProbe {
		return e.o.Store.PastObservations(ctx, c.Verification.Deployment, signal, since)
	}
	return m.History(ctx, signal, c.Verification.Deployment.Target(), plan, c.Policy.Step.D(), since, until)
}

func tail(history []verifier.Observation, since time.Time) []verifier.Observation {
	for len(history) > 0 && (len(history) > beforePoints || history[0].At.Before(since)) {
		history = history[1:]
	}
	return history
}

// measure asks every signal's source for the steps that are not known yet, all
// at once: a slow source makes no other late.
func (e *Engine) measure(ctx context.Context, c verifier.Check, now time.Time) map[string][]verifier.Observation {
	var mu sync.Mutex
	var wg sync.WaitGroup
	fresh := make(map[string][]verifier.Observation, len(c.Signals))
	for i, s := range c.Signals {
		wg.Go(func() {
			signal := c.Policy.Signals[i]
			var observations []verifier.Observation
			func() {
				defer e.recovered("measure a signal", c.Verification.ID, func(why string) {
					from, to := unmeasured(c, signal, s, now)
					observations = failedSteps(signal, c.Policy.Step.D(), from, to, why)
				})
				observations = e.measureSignal(ctx, c, signal, s, now)
			}()
			e.count(signal, observations)
			mu.Lock()
			defer mu.Unlock()
			fresh[s.Signal] = observations
		})
	}
	wg.Wait()
	return fresh
}

func (e *Engine) count(signal verifier.Signal, observations []verifier.Observation) {
	counts := map[verifier.Outcome]int{}
	for _, o := range observations {
		counts[o.Outcome]++
	}
	for outcome, n := range counts {
		e.o.Metrics.Observed(signal.Source(), outcome, n)
	}
}

// recovered turns a panic over what a source sent into a signal that could not
// be measured: one bad reply must not end the watch over everything else.
func (e *Engine) recovered(doing, verification string, unmeasured func(why string)) {
	if r := recover(); r != nil {
		e.o.Log.Error(doing, "verification", verification, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		unmeasured("a fault of postflight's own; the daemon's log has more")
	}
}

func (e *Engine) measureSignal(ctx context.Context, c verifier.Check, signal verifier.Signal, s verifier.SignalEvidence, now time.Time) []verifier.Observation {
	step := c.Policy.Step.D()
	from, to := unmeasured(c, signal, s, now)
	if !to.After(from) {
		return nil
	}
	why := s.Plan.Error
	if why == "" && len(s.Calibration) == 0 {
		why = s.Plan.Note
	}
	m, known := e.o.Measurers()[signal.Source()]
	if why == "" && !known {
		why = fmt.Sprintf("nothing measures a %s signal", signal.Source())
	}
	if why == "" {
		return m.Measure(ctx, signal, c.Verification.Deployment.Target(), s.Plan, step, from, to)
	}
	return failedSteps(signal, step, from, to, why)
}

// unmeasured is the stretch of steps to ask for: from the last measured one,
// so that steps missed while a source was away are asked for again, to the
// last one that is complete. A probe is run once, now.
func unmeasured(c verifier.Check, signal verifier.Signal, s verifier.SignalEvidence, now time.Time) (from, to time.Time) {
	step, d := c.Policy.Step.D(), c.Verification.Deployment
	if end := c.Verification.ClosesAt.Add(settle(step)); now.After(end) {
		now = end
	}
	to = now
	from = d.StartedAt
	if signal.Source() != verifier.FromProbe {
		to = now.Add(-settle(step)).Truncate(step)
		// The first step begins after the deploy: one that began before it
		// would blame the deploy for the past, or hide it in it.
		from = d.StartedAt.Add(step - time.Nanosecond).Truncate(step)
	}
	for _, o := range s.Observations {
		if o.Outcome == verifier.Measured && o.At.After(from) {
			from = o.At
		}
	}
	return from, to
}

// failedSteps says of each step why it could not be measured.
func failedSteps(signal verifier.Signal, step time.Duration, from, to time.Time, why string) []verifier.Observation {
	if signal.Source() == verifier.FromProbe {
		return []verifier.Observation{{At: to, Span: verifier.Duration(step), Outcome: verifier.Failed, Message: why}}
	}
	var out []verifier.Observation
	for at := from.Add(step); !at.After(to); at = at.Add(step) {
		out = append(out, verifier.Observation{At: at, Span: verifier.Duration(step), Outcome: verifier.Failed, Message: why})
	}
	return out
}
