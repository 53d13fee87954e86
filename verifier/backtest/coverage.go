package backtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// coverage is what the past of one signal holds.
type coverage struct {
	steps, measured int           // since the oldest sample
	oldest          time.Time     // zero where nothing was measured at all
	every           time.Duration // between two measured steps, the median
	why             string        // of the last step that was not measured
}

// date is how moments are written in notes.
const date = "2006-01-02 15:04"

func coverageOf(obs []verifier.Observation) (c coverage) {
	var apart []time.Duration
	var last time.Time
	for _, o := range obs {
		if o.Outcome != verifier.Measured {
			c.why = o.Message
		}
		if o.Outcome == verifier.Measured {
			if c.oldest.IsZero() {
				c.oldest = o.At
			} else {
				apart = append(apart, o.At.Sub(last))
			}
			last = o.At
			c.measured++
		}
		if !c.oldest.IsZero() {
			c.steps++
		}
	}
	if len(apart) > 0 {
		slices.Sort(apart)
		c.every = apart[len(apart)/2]
	}
	return c
}

// replayable reports whether the past of a signal can be read for any moment.
func replayable(s verifier.Signal) bool {
	switch s.Source() {
	case verifier.FromRatio, verifier.FromLatency, verifier.FromValue, verifier.FromTraffic:
		return true
	}
	return false
}

// place is a service in an environment under one policy, with how far back it
// can be judged.
type place struct {
	verifier.Location
	policy verifier.Policy
	oldest time.Time // before this nothing is known of a signal that must be
	// blind says why it can't be judged at all.
	blind string
}

// survey reads what a place's signals hold of the past, and tells what that is
// too little for.
func (s *side) survey(ctx context.Context, p *place, from, until time.Time) error {
	read := s.set.Ranges.deploys()
	step := p.policy.Step.D()
	since, to := from.Add(-judge.Reach(p.policy)).Truncate(step), until.Truncate(step)
	where := fmt.Sprintf("%s in %s", p.Service, p.Environment)
	usable := 0
	for _, signal := range p.policy.Signals {
		if !replayable(signal) {
			s.note("%s, signal %q: %s have no past that could be read: it was not replayed, and could have decided otherwise", where, signal.Name, sources[signal.Source()])
			continue
		}
		t := verifier.Target{Service: p.Service, Environment: p.Environment, Version: s.newestVersion(p.Location)}
		plan, err := read.Prepare(ctx, signal, t, step, to.Add(-judge.Reach(p.policy)), to)
		if err != nil {
			return err
		}
		obs, err := read.History(ctx, signal, t, plan, step, since, to)
		if err != nil {
			return err
		}
		c := coverageOf(obs)
		if c.measured == 0 {
			why := fmt.Sprintf("signal %q has no history: its query gave nothing from %s to %s (%s): ask the server the same, and mind that a step of %s needs two scrapes within it", signal.Name, since.UTC().Format(date), to.UTC().Format(date), orNothing(c.why, plan.Note), step)
			if signal.Required {
				p.blind = why
			}
			s.note("%s, %s", where, why)
			continue
		}
		usable++
		s.tell(p, signal, c, since)
	}
	if usable == 0 && p.blind == "" {
		p.blind = "none of its signals has a past that could be read"
	}
	return nil
}

var sources = map[verifier.SourceKind]string{
	verifier.FromProbe: "probes", verifier.FromTickets: "tickets", verifier.FromAlerts: "alerts", verifier.FromVotes: "votes",
}

// tell notes what a signal's past is too short or too coarse for.
func (s *side) tell(p *place, signal verifier.Signal, c coverage, since time.Time) {
	step := p.policy.Step.D()
	where := fmt.Sprintf("%s in %s, signal %q", p.Service, p.Environment, signal.Name)
	if c.every > step || 2*c.measured < c.steps {
		s.note("%s: the past is too coarse: %d of %d steps of %s could be measured since the oldest sample, one every %s: set the policy's step to at least that, or verdicts are inconclusive", where, c.measured, c.steps, step, c.every)
	}
	if c.oldest.Sub(since) > max(6*time.Hour, 2*p.policy.Window.D()) {
		s.note("%s: the oldest sample is of %s, while %s needs the time from %s on: the server's retention is shorter than that, or the service is younger; deploys before are left out, and those soon after have less history than the policy's %s",
			where, c.oldest.UTC().Format(date), s.set.Name, since.UTC().Format(date), p.policy.History)
	}
	if signal.Required && c.oldest.After(p.oldest) {
		p.oldest = c.oldest
	}
}

func orNothing(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return "no samples"
}
