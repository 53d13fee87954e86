package backtest

import (
	"slices"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
)

// judged is a deploy under one set of policies.
type judged struct {
	Deploy
	policy verifier.Policy
	// result is what the replay made of it; nil before, and where it was not
	// replayed.
	result *verifier.Verification
}

// past is what is known of all deploys under one set of policies: engine.Past.
type past struct {
	mu      sync.RWMutex
	deploys []*judged // in order of their start
}

// known returns what was known of a deploy at a moment: what the replay made of
// it, or else what the daemon did; nil where neither did anything.
func (j *judged) known(now time.Time) *verifier.Verification {
	v := j.result
	if v == nil {
		v = j.Recorded
	}
	if v == nil {
		return nil
	}
	then := *v
	if then.Verdict != nil && then.Verdict.DecidedAt.After(now) {
		then.State, then.Verdict, then.Effective, then.Action, then.Signals = verifier.StateObserving, nil, "", verifier.Action{State: verifier.ActionNone}, nil
	}
	return &then
}

// spoilt reports whether what was measured after a deploy says nothing of what
// is usual: it was reverted by then, or its harm was held as not proven to be
// its own, or people say that it was bad.
func (j *judged) spoilt(now time.Time) bool {
	return j.Label == Bad || j.calledWrong() || j.reverted(now)
}

// reverted is spoilt without what people say.
func (j *judged) reverted(now time.Time) bool {
	v := j.known(now)
	return v != nil && (v.Effective == verifier.Revert || v.Effective == verifier.Inconclusive && v.Action.State == verifier.ActionWithheld)
}

// calledWrong reports whether people say that the daemon's verdict was wrong,
// and nobody decided otherwise: whatever it was, the daemon leaves it out.
func (j *judged) calledWrong() bool {
	v := j.Recorded
	return v != nil && v.Verdict != nil && v.Effective == v.Verdict.Decision &&
		slices.ContainsFunc(v.Feedback, func(f verifier.Feedback) bool { return f.Decision == verifier.Wrong })
}

// closes is the end of a deploy's window.
func (j *judged) closes() time.Time { return j.FinishedAt.Add(j.policy.Window.D()) }

// LeftOut returns, as the daemon's store does, the time from the start of each
// spoilt deploy until the one after it had finished, two windows at most, and
// one window where none came after.
func (p *past) LeftOut(service, environment string, since, now time.Time) []verifier.Span {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []verifier.Span
	here := p.at(service, environment, now)
	for i, j := range here {
		if !j.spoilt(now) {
			continue
		}
		to := j.closes()
		if i+1 < len(here) {
			if to = to.Add(j.policy.Window.D()); here[i+1].FinishedAt.Before(to) {
				to = here[i+1].FinishedAt
			}
		}
		if to.After(since) {
			out = append(out, verifier.Span{From: j.StartedAt, To: to, Feedback: !j.reverted(now)})
		}
	}
	return out
}

// at returns the deploys of a place that had started by now.
func (p *past) at(service, environment string, now time.Time) []*judged {
	var out []*judged
	for _, j := range p.deploys {
		if j.Service == service && j.Environment == environment && !j.StartedAt.After(now) {
			out = append(out, j)
		}
	}
	return out
}

// Surroundings returns, as the daemon's store does, the newest deploy of each
// other service of the environment that was not deployed within the window, and
// the deploys of other services that overlap with it.
func (p *past) Surroundings(v verifier.Verification, policy verifier.Policy, since, now time.Time, limit int) ([]verifier.Deployment, []verifier.Overlap) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	d := v.Deployment
	from := d.StartedAt.Add(-policy.Window.D())
	newest := map[string]*judged{}
	var overlapping []verifier.Overlap
	for _, j := range p.deploys {
		if j.Environment != d.Environment || j.Service == d.Service || j.StartedAt.After(now) {
			continue
		}
		newest[j.Service] = j
		its := j.known(now)
		if its == nil || j.StartedAt.Before(from) || j.StartedAt.After(v.ClosesAt) || its.ClosesAt.Before(d.StartedAt) {
			continue
		}
		overlapping = append(overlapping, verifier.Overlap{Deployment: j.Deployment, Verification: its, Policy: j.policy})
	}
	var neighbours []verifier.Deployment
	for _, j := range newest {
		if j.FinishedAt.After(since) && !j.FinishedAt.After(from) {
			neighbours = append(neighbours, j.Deployment)
		}
	}
	slices.SortFunc(neighbours, func(a, b verifier.Deployment) int { return b.FinishedAt.Compare(a.FinishedAt) })
	return neighbours[:min(limit, len(neighbours))], overlapping
}

// overlaps reports whether a deploy of another service lies so near that both
// may have done the same harm.
func (p *past) overlaps(j *judged) bool {
	return slices.ContainsFunc(p.deploys, func(other *judged) bool {
		return other.Service != j.Service && other.Environment == j.Environment && !other.closes().Before(j.StartedAt) && !other.StartedAt.After(j.closes())
	})
}

// settle keeps what a replay made of a deploy.
func (p *past) settle(j *judged, v verifier.Verification) {
	p.mu.Lock()
	defer p.mu.Unlock()
	j.result = &v
}
