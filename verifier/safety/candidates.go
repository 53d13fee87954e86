package safety

import (
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// How long a revert waits for overlapping deploys to show what they are: until
// this much after they, and the harm, could be seen, and no longer than its
// own window.
const waitForCandidate = 10 * time.Minute

// Surrounded returns the attribution of a verification whose findings say
// revert, before its neighbours are asked.
func Surrounded(v verifier.Verification, p verifier.Policy, findings []verifier.Finding, overlapping []verifier.Overlap, l Limits, now time.Time) verifier.Attribution {
	l = l.orDefaults()
	at := verifier.Attribution{OnAmbiguous: p.OnAmbiguous, Worse: l.WorseNeighbours, Share: l.WorseShare,
		Candidates: Candidates(v, p, findings, overlapping, now)}
	if at.OnAmbiguous == "" {
		at.OnAmbiguous = verifier.AmbiguousHold
	}
	for _, o := range overlapping {
		if o.Verification != nil && tells(*o.Verification, v.ID) {
			at.ToldBy = o.Verification.ID
		}
	}
	return at
}

// tells reports whether another verification that was held as ambiguous has
// told people of this one already.
func tells(other verifier.Verification, id string) bool {
	if other.Action.Guard != verifier.GuardAmbiguity || other.Attribution == nil || other.Attribution.ToldBy != "" {
		return false
	}
	return slices.ContainsFunc(other.Attribution.Candidates, func(c verifier.Candidate) bool { return c.VerificationID == id })
}

// Candidates returns the overlapping deploys that may have done the harm of the
// verification v, whose findings are given, in order of their start: all of
// another service and release that overlap with its window and began before the
// harm did. Left out are those that declare to depend on the verified service:
// the harm done to it explains theirs.
func Candidates(v verifier.Verification, p verifier.Policy, findings []verifier.Finding, overlapping []verifier.Overlap, now time.Time) []verifier.Candidate {
	began := onset(findings)
	var out []verifier.Candidate
	for _, o := range overlapping {
		d := o.Deployment
		switch {
		case d.Service == v.Deployment.Service || d.Environment != v.Deployment.Environment:
		case d.ReleaseID != "" && d.ReleaseID == v.Deployment.ReleaseID:
		case began != nil && d.StartedAt.After(began.Add(max(verifier.ClockTolerance, 2*p.Step.D()))):
		case slices.Contains(o.Policy.DependsOn, v.Deployment.Service) && !slices.Contains(p.DependsOn, d.Service):
		case o.Verification != nil && (o.Verification.State == verifier.StateSuperseded || o.Verification.State == verifier.StateCancelled):
		default:
			out = append(out, candidate(o, v, p, began, now))
		}
	}
	slices.SortStableFunc(out, func(a, b verifier.Candidate) int { return a.StartedAt.Compare(b.StartedAt) })
	return out
}

func candidate(o verifier.Overlap, v verifier.Verification, p verifier.Policy, began *time.Time, now time.Time) verifier.Candidate {
	d := o.Deployment
	c := verifier.Candidate{Service: d.Service, Version: d.Version, StartedAt: d.StartedAt, State: verifier.CandidateGood,
		Dependency: slices.Contains(p.DependsOn, d.Service)}
	if o.Verification == nil {
		return unclear(c, d.ReceivedAt, v, now)
	}
	its := *o.Verification
	c.VerificationID = its.ID
	worst, bad := worstOf(its.Signals)
	if worst != nil {
		c.Change, c.Onset = worst.Change(), worst.Onset
	}
	c.Held = its.Action.State == verifier.ActionWithheld && its.Action.Guard == verifier.GuardAmbiguity
	earlier := c.Onset != nil && c.Onset.Before(d.StartedAt) && !d.Rollback
	switch decided := its.Verdict; {
	case decided != nil && (decided.Decision == verifier.Revert || c.Held || its.Action.Guard == verifier.GuardAttribution && !earlier):
		c.State = verifier.CandidateBad
	case decided != nil:
	case earlier: // harm that isn't its own can't explain ours
	case bad:
		c.State = verifier.CandidateBad
	default:
		visible := its.Deployment.FinishedAt.Add(o.Policy.Warmup.D())
		if began != nil && began.After(visible) {
			visible = *began
		}
		if worst != nil || now.Before(visible.Add(enoughToTell(o.Policy, its.Signals))) {
			return unclear(c, visible, v, now)
		}
	}
	return c
}

// unclear marks a candidate that can't be told yet, as long as it is worth
// waiting for.
func unclear(c verifier.Candidate, visible time.Time, v verifier.Verification, now time.Time) verifier.Candidate {
	until := visible.Add(waitForCandidate)
	if v.ClosesAt.Before(until) {
		until = v.ClosesAt
	}
	if now.Before(until) {
		c.State, c.Until = verifier.CandidateUnclear, until
	}
	return c
}

// enoughToTell is how long harm must have been visible before a deploy that
// shows none is taken for good: as many of the judge's bins as it needs to call
// harm bad, whenever that began, less where it calls the deploy good by then,
// and the look that stores it.
func enoughToTell(p verifier.Policy, findings []verifier.Finding) time.Duration {
	bins := time.Duration(5)
	for _, f := range findings {
		if f.Role == verifier.Decisive && f.State == verifier.SignalPending {
			bins = 8
		}
	}
	return bins*max(p.Step.D(), min(time.Minute, p.Window.D()/30)) + p.Interval.D()
}

// worstOf returns the decisive finding that speaks loudest against a deploy,
// nil when none does, and whether one is bad.
func worstOf(findings []verifier.Finding) (worst *verifier.Finding, bad bool) {
	for i, f := range findings {
		switch {
		case f.Role != verifier.Decisive:
		case f.State == verifier.SignalBad:
			return &findings[i], true
		case worst == nil && suspicious(f):
			worst = &findings[i]
		}
	}
	return worst, false
}

// suspicious reports whether a signal is beyond what is tolerated, and harm is
// not ruled out. What its e-value is doesn't matter: it stays at 1 while it
// rests on too little.
func suspicious(f verifier.Finding) bool { return f.Matters.Yes && !f.Cleared }

// onset returns when the harm of the bad signals seems to have begun, nil when
// that isn't known.
func onset(findings []verifier.Finding) *time.Time {
	var first *time.Time
	for _, f := range findings {
		bad := f.Role == verifier.Decisive && f.State == verifier.SignalBad
		if bad && f.Onset != nil && (first == nil || f.Onset.Before(*first)) {
			first = f.Onset
		}
	}
	return first
}
