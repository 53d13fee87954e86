package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Assess judges what is known of a verification at now. The decision is ""
// while nothing is decided, Revert as soon as a decisive signal is bad by what
// was measured lately, and Keep or Inconclusive from the window's end on. Findings has one entry for
// every signal of the policy, in its order. Observations may be in any order;
// those after now are not looked at. An error (verifier.Internal) is a
// calibration that can't be read.
func Assess(ev verifier.Evidence, now time.Time) (verifier.Assessment, error) {
	return new(Assessor).Assess(ev, now)
}

// assess leaves out the words about what is not decided where terse.
func assess(ev verifier.Evidence, now time.Time, watches []*Watch, terse bool) (a verifier.Assessment) {
	a.Findings = make([]verifier.Finding, 0, len(watches))
	for _, w := range watches {
		f := w.Finding()
		w.beganBefore(&f, evidenceOf(ev, f.Name).Before)
		a.Findings = append(a.Findings, f)
	}
	p := panel{ev: ev, now: now, watches: watches, findings: a.Findings}
	closed := !now.Before(ev.ClosesAt)
	switch {
	case p.anyBad() && p.stale() == "":
		a.Decision, a.Early = verifier.Revert, !closed
	case closed && p.whyInconclusive() != "":
		a.Decision = verifier.Inconclusive
	case closed:
		a.Decision = verifier.Keep
	}
	a.Cleared = p.cleared()
	if terse && a.Decision == "" {
		return a
	}
	for i, w := range watches {
		a.Reasons = append(a.Reasons, w.reason(a.Findings[i]))
	}
	a.Summary = p.summary(a.Decision)
	return a
}

func evidenceOf(ev verifier.Evidence, signal string) (out verifier.SignalEvidence) {
	for _, e := range ev.Signals {
		if e.Signal == signal {
			out = e
		}
	}
	return out
}

// inOrder sorts by time; among observations of one moment the order is fixed
// by what they say, so that the order of arrival never matters.
func inOrder(obs []verifier.Observation) []verifier.Observation {
	ordered := true
	for i := 1; i < len(obs) && ordered; i++ {
		ordered = compareObservations(&obs[i-1], &obs[i]) <= 0
	}
	if ordered {
		return obs
	}
	sorted := slices.Clone(obs)
	slices.SortStableFunc(sorted, func(a, b verifier.Observation) int { return compareObservations(&a, &b) })
	return sorted
}

func compareObservations(a, b *verifier.Observation) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c // nearly always
	}
	return cmp.Or(cmp.Compare(a.Outcome, b.Outcome),
		cmp.Compare(a.Bad, b.Bad), cmp.Compare(a.Total, b.Total),
		cmp.Compare(a.Count, b.Count), cmp.Compare(a.Value, b.Value), compareControls(a.Control, b.Control),
		cmp.Compare(a.Span, b.Span), cmp.Compare(a.Message, b.Message))
}

// withoutMadeUpFor drops steps that could not be measured when they were asked
// for and lie within a stretch that was measured later as a whole, as a ticket
// feed is. The observations are in order of time.
func withoutMadeUpFor(obs []verifier.Observation) []verifier.Observation {
	if !slices.ContainsFunc(obs, func(o verifier.Observation) bool { return o.Outcome != verifier.Measured }) {
		return obs
	}
	out := make([]verifier.Observation, 0, len(obs))
	for _, o := range slices.Backward(obs) {
		if o.Outcome != verifier.Measured && len(out) > 0 {
			next := out[len(out)-1]
			if next.Outcome == verifier.Measured && o.At.After(next.At.Add(-next.Span.D())) {
				continue
			}
		}
		out = append(out, o)
	}
	slices.Reverse(out)
	return out
}

// panel is all signals of a verification together.
type panel struct {
	ev       verifier.Evidence
	now      time.Time
	watches  []*Watch
	findings []verifier.Finding
}

// bad reports whether the i-th signal may revert and is bad.
func (p *panel) bad(i int) bool {
	return p.findings[i].Role == verifier.Decisive && p.findings[i].State == verifier.SignalBad
}

func (p *panel) anyBad() bool {
	for i := range p.findings {
		if p.bad(i) {
			return true
		}
	}
	return false
}

// whyInconclusive says which required signal could not be judged, "" when all
// could.
func (p *panel) whyInconclusive() string {
	var why []string
	if old := p.stale(); old != "" {
		why = append(why, old)
	}
	measured := 0
	for i, w := range p.watches {
		measured += w.due
		due := w.stepsDue()
		switch {
		case w.blameless != "" && w.signal.Role == verifier.Decisive:
			why = append(why, w.title()+" "+w.blameless)
		case !w.signal.Required:
		case w.votes != nil:
			if lacking := w.votes.lacking(); lacking != "" {
				why = append(why, w.title()+" "+lacking)
			}
		case w.probe.neverPassed():
			why = append(why, fmt.Sprintf("%s %s", w.title(), p.findings[i].Message))
		case w.probe.torn() != "":
			why = append(why, w.title()+" "+w.probe.torn())
		case w.probe.unsettled() != "":
			why = append(why, w.title()+" "+w.probe.unsettled())
		case 2*w.due < due:
			why = append(why, fmt.Sprintf("%s was measured in %d of %d steps%s", w.title(), w.due, due, because(w.lastWhy)))
		}
	}
	if len(why) == 0 && measured == 0 {
		return "nothing could be measured"
	}
	return strings.Join(why, "; ")
}

// stepsDue returns how many steps the window has for the signal: a probe runs
// once an interval, a ticket feed may be coarser than the step.
func (w *Watch) stepsDue() int {
	every := w.step
	if w.probe != nil {
		every = everyRun(w.policy)
	}
	return int(w.times.ClosesAt.Sub(w.times.FinishedAt) / max(every, w.span))
}

// cleared reports whether waiting pipelines may go on: the soak is over, every
// decisive signal that can clear has, and no other speaks against it.
func (p *panel) cleared() bool {
	if p.now.Before(p.ev.FinishedAt.Add(p.ev.Policy.Soak.D())) {
		return false
	}
	for i, w := range p.watches {
		f := p.findings[i]
		switch {
		case w.gates() && !f.Cleared:
			return false
		case w.signal.Role == verifier.Decisive && (!w.fresh(p.now) || w.suspicious(f)):
			return false
		}
	}
	return len(p.watches) > 0
}
