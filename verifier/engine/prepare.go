package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// patience is how long a look waits for the past of its signals. What takes
// longer is read on in the background and taken by a later look, so that one
// slow source makes no other signal wait.
const patience = 2 * time.Second

// atHand is how long a look waits for a past that may take minutes to read: as
// long as it takes where it is known already.
const atHand = 200 * time.Millisecond

// keepPrepared is how long a past that nobody came for is kept: its
// verification has ended meanwhile, or is another engine's.
const keepPrepared = 5 * time.Minute

// preparationsAtOnce is how many pasts are read from one source at a time. Each
// takes seconds of it, so that thousands at once would all come to nothing.
const preparationsAtOnce = 16

// preparations are the pasts being read, and those that wait to be.
type preparations struct {
	mu      sync.Mutex
	running sync.WaitGroup
	under   map[preparationKey]*preparation
	lanes   map[string]*lane // by source
	swept   time.Time
}

// lane is what is to be read of one source; who came first is first.
type lane struct {
	waiting []func()
	readers int
}

type preparationKey struct{ verification, signal string }

type preparation struct {
	done     chan struct{}
	ended    time.Time // once done is closed
	evidence verifier.SignalEvidence
}

// take returns the evidence of a signal, started by read where it is not under
// way yet, as soon as it is there; ok is false when wait was over first.
func (p *preparations) take(key preparationKey, source string, read func() verifier.SignalEvidence, wait <-chan struct{}) (s verifier.SignalEvidence, ok bool) {
	job := p.start(key, source, read)
	select {
	case <-job.done:
	default: // what is there is taken, also by those who can't wait
		select {
		case <-job.done:
		case <-wait:
			return s, false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.under, key)
	return job.evidence, true
}

func (p *preparations) start(key preparationKey, source string, read func() verifier.SignalEvidence) *preparation {
	p.mu.Lock()
	defer p.mu.Unlock()
	if job, ok := p.under[key]; ok {
		return job
	}
	p.sweep(time.Now())
	job := &preparation{done: make(chan struct{})}
	if p.under == nil {
		p.under, p.lanes = map[preparationKey]*preparation{}, map[string]*lane{}
	}
	p.under[key] = job
	l := p.lanes[source]
	if l == nil {
		l = &lane{}
		p.lanes[source] = l
	}
	l.waiting = append(l.waiting, func() {
		evidence := read()
		p.mu.Lock()
		defer p.mu.Unlock()
		job.evidence, job.ended = evidence, time.Now()
		close(job.done)
	})
	if l.readers < preparationsAtOnce {
		l.readers++
		p.running.Go(func() { p.readOn(l) })
	}
	return job
}

// readOn reads what waits in a lane, until nothing does.
func (p *preparations) readOn(l *lane) {
	for {
		p.mu.Lock()
		if len(l.waiting) == 0 {
			l.readers--
			p.mu.Unlock()
			return
		}
		next := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		p.mu.Unlock()
		next()
	}
}

// sweep forgets what nobody came for.
func (p *preparations) sweep(now time.Time) {
	if now.Sub(p.swept) < keepPrepared/10 {
		return
	}
	p.swept = now
	for key, job := range p.under {
		if !job.ended.IsZero() && now.Sub(job.ended) > keepPrepared {
			delete(p.under, key)
		}
	}
}

// sourceOf names what a signal's past is read from.
func sourceOf(s verifier.Signal) string {
	switch {
	case s.RatioSource != nil:
		return "prometheus " + s.RatioSource.Server
	case s.LatencySource != nil:
		return "prometheus " + s.LatencySource.Server
	case s.ValueSource != nil:
		return "prometheus " + s.ValueSource.Server
	case s.TrafficSource != nil:
		return "prometheus " + s.TrafficSource.Server
	case s.TicketSource != nil:
		return "feed " + s.TicketSource.Feed
	}
	return string(s.Source())
}

// prepare makes concrete and calibrates each signal that is not yet, and
// reports whether there is anything to store. A source that can't be read now
// is tried again at the next look.
func (e *Engine) prepare(ctx context.Context, c *verifier.Check) (bool, error) {
	missing := unprepared(c)
	if len(missing) == 0 {
		return false, nil
	}
	d, now := c.Verification.Deployment, e.now()
	leftOut, err := e.o.Store.LeftOut(ctx, d.Service, d.Environment, d.StartedAt.Add(-judge.Reach(c.Policy)))
	if err != nil {
		return false, err
	}
	wait := time.Duration(0) // what a later look may take, it takes without waiting
	if c.Verification.State == verifier.StatePending {
		wait = patience
	}
	if now.Add(patience).After(c.Verification.ClosesAt) { // this look will be the last
		wait = prepareAtEnd + time.Second // to learn what stood in the way
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	briefly, cancelBriefly := context.WithTimeout(ctx, min(wait, atHand))
	defer cancelBriefly()
	asked, before := *c, slices.Clone(c.Signals) // what is read in the background outlives this look, which changes c
	var wg sync.WaitGroup
	for _, i := range missing {
		wg.Go(func() {
			signal := c.Policy.Signals[i]
			until, note := waiting, func() string { return "its past is still being read" }
			if slow, ok := e.o.Measurers()[signal.Source()].(SlowHistorian); ok {
				until, note = briefly, func() string { return slow.HistoryProgress(signal, d.Target()) }
			}
			s, ok := e.preparing.take(preparationKey{c.Verification.ID, signal.Name}, sourceOf(signal),
				func() verifier.SignalEvidence { return e.prepareSafely(asked, asked.Policy.Signals[i], leftOut) }, until.Done())
			if !ok {
				s = verifier.SignalEvidence{Signal: signal.Name, Plan: verifier.Plan{Note: note()}}
			}
			// Only the past is new: what was stored of the window stays evidence.
			s.Observations = c.Signals[i].Observations
			c.Signals[i] = s
		})
	}
	wg.Wait()
	changed := c.Verification.State == verifier.StatePending
	for _, i := range missing {
		changed = changed || len(c.Signals[i].Calibration) > 0 || c.Signals[i].Plan != before[i].Plan
	}
	return changed, nil
}

// unprepared brings c.Signals into the policy's order, and returns the places
// of those without a calibration.
func unprepared(c *verifier.Check) []int {
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
	return missing
}

// prepareSafely prepares one signal within its budget.
func (e *Engine) prepareSafely(c verifier.Check, signal verifier.Signal, leftOut []verifier.Span) (s verifier.SignalEvidence) {
	ctx, cancel := context.WithTimeout(e.background, prepareBudget(c, e.now()))
	defer cancel()
	s.Signal = signal.Name
	if e.now().After(c.Verification.ClosesAt.Add(lookTimeout)) { // it waited for too long to be of use
		s.Plan = verifier.Plan{Note: "its past was not read before the window's end"}
		return s
	}
	defer e.recovered("prepare a signal", c.Verification.ID, func(why string) {
		s = verifier.SignalEvidence{Signal: signal.Name, Plan: verifier.Plan{Note: why}}
	})
	e.prepareSignal(ctx, c, signal, &s, leftOut)
	return s
}

// prepareBudget is how long the past may take to read: most of a minute, and
// not so long that it would be of no use any more.
func prepareBudget(c verifier.Check, now time.Time) time.Duration {
	return max(prepareAtEnd, min(prepareAtMost, c.Verification.ClosesAt.Sub(now)/2))
}

// prepareSignal fills s. Without a calibration s stays to be prepared; its
// plan's note then says what stood in the way.
func (e *Engine) prepareSignal(ctx context.Context, c verifier.Check, signal verifier.Signal, s *verifier.SignalEvidence, leftOut []verifier.Span) {
	step, d := c.Policy.Step.D(), c.Verification.Deployment
	until := d.StartedAt.Truncate(step)
	since := until.Add(-judge.Reach(c.Policy)).Truncate(step)
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
	learnt := judge.Calibrate(signal, c.Policy, history, leftOut, d.StartedAt)
	if signal.Source() == verifier.FromProbe && !learnt.Passed {
		if learnt.Passed, err = e.o.Store.PassedBefore(ctx, d, signal, since); err != nil {
			s.Plan = verifier.Plan{Note: err.Error()}
			return
		}
	}
	calibration, err := json.Marshal(learnt)
	if err != nil {
		s.Plan = verifier.Plan{Note: fmt.Sprintf("write calibration: %v", err)}
		return
	}
	if n := learnt.Spared; n > 0 {
		plan.Note = strings.TrimPrefix(plan.Note+fmt.Sprintf("; counts as usual what followed %d deploys whose verdict people called wrong: too little of the past would be left without", n), "; ")
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

// tail returns what a chart needs of a history, by itself: a part of it would
// keep all of it in memory.
func tail(history []verifier.Observation, since time.Time) []verifier.Observation {
	for len(history) > 0 && (len(history) > beforePoints || history[0].At.Before(since)) {
		history = history[1:]
	}
	return slices.Clone(history)
}
