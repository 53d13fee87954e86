package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// settle is how long after a step's end it is asked for, so that what was
// scraped in it has arrived.
func settle(step time.Duration) time.Duration { return min(step/2, 5*time.Second) }

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
			observations = news(s.Observations, observations)
			mu.Lock()
			defer mu.Unlock()
			fresh[s.Signal] = observations
		})
	}
	wg.Wait()
	return fresh
}

// news leaves out what is stored already: of a source that is away, each look
// says of every step since that it could not be measured. What is stored is in
// order of time.
func news(stored, fresh []verifier.Observation) []verifier.Observation {
	known := func(o verifier.Observation) bool {
		if o.Outcome == verifier.Measured || o.Timing != nil {
			return false
		}
		i, found := slices.BinarySearchFunc(stored, o.At, func(was verifier.Observation, at time.Time) int { return was.At.Compare(at) })
		return found && stored[i].Outcome == o.Outcome && stored[i].Message == o.Message && stored[i].Span == o.Span
	}
	if !slices.ContainsFunc(fresh, known) {
		return fresh // nearly always
	}
	return slices.DeleteFunc(slices.Clone(fresh), known)
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
	if again, ok := m.(Revisitor); ok && why == "" {
		return again.MeasureAgain(ctx, signal, c.Verification.Deployment.Target(), s.Plan, step, from, to, s.Observations)
	}
	if _, ok := m.(Persistent); ok && now.Before(c.Verification.ClosesAt) { // there will be another look
		var end func()
		ctx, end = e.waiters.begin(ctx, c.Policy.Interval.D())
		defer end()
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
		if signal.Source() == verifier.FromProbe && now.After(end.Add(c.Policy.Interval.D())) {
			return end, end // what it would see now is not of the window any more
		}
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
