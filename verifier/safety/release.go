package safety

import (
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
)

// membersHold asks the guards for every other deployment of the release: one
// that can't go back holds all of them. A person's revert is about one service.
func membersHold(f verifier.Facts, l Limits, revertID string, asked func(guard) bool) Ruling {
	if f.Override != nil {
		return Ruling{Allowed: true}
	}
	for _, m := range f.Release {
		r := memberHolds(f, m, l, revertID, asked)
		if !r.Allowed {
			r.Reason = fmt.Sprintf("%s %s belongs to the same release, %s, and goes back together with it or not at all: %s",
				m.Deployment.Service, m.Deployment.Version, m.Deployment.ReleaseID, r.Reason)
			return r
		}
	}
	return Ruling{Allowed: true}
}

func memberHolds(f verifier.Facts, m verifier.Member, l Limits, revertID string, asked func(guard) bool) Ruling {
	switch {
	case m.Verification == nil && m.Deployment.Status == verifier.DeployStarted:
		return Ruling{Guard: verifier.GuardFence, Reason: fmt.Sprintf("it is rolling out since %s.", clock(m.Deployment.StartedAt, f.Now))}
	case m.Verification == nil:
		return Ruling{Guard: verifier.GuardTarget, Reason: "no policy matches it, so nothing is known of the version to go back to."}
	case m.Facts.Rollback != f.Rollback:
		return Ruling{Guard: verifier.GuardMode, Reason: fmt.Sprintf("its policy names the rollback %q, and one call is made to %q.", m.Facts.Rollback, f.Rollback)}
	}
	a := m.Verification.Action
	if a.State != verifier.ActionNone && a.State != verifier.ActionWithheld && (revertID == "" || a.RevertID != revertID) {
		return Ruling{Guard: verifier.GuardFence, Reason: fmt.Sprintf("its own revert %s is %s.", a.RevertID, a.State)}
	}
	m.Facts.PastReverts = others(m.Facts.PastReverts, revertID)
	return rule(m.Facts, l, asked)
}

// services lists who goes back to what, the verification that asks first.
func services(d verifier.Deployment, f verifier.Facts) []verifier.RevertService {
	out := []verifier.RevertService{{Service: d.Service, ExpectedCurrentVersion: d.Version, TargetVersion: f.Target.Version}}
	for _, m := range f.Release {
		out = append(out, verifier.RevertService{Service: m.Deployment.Service, ExpectedCurrentVersion: m.Deployment.Version, TargetVersion: m.Facts.Target.Version})
	}
	return out
}

// together reports whether a verification's rollback takes its release along.
func together(v verifier.Verification, f verifier.Facts) bool {
	return len(f.Release) > 0 && v.PersonSays() == nil
}

// Together returns the other verifications of the release as they end when v's
// rollback is requested by action: those that still run with the verdict
// revert, the others with their verdict and a request; and the messages about
// it. There are none where the deployment belongs to no release. f must have
// passed Check.
func Together(v verifier.Verification, f verifier.Facts, action verifier.Action, now time.Time) (members []verifier.Verification, messages []verifier.Delivery, err error) {
	if !together(v, f) {
		return nil, nil, nil
	}
	because := fmt.Sprintf("goes back together with %s %s (release %s): %s", v.Deployment.Service, v.Deployment.Version, v.Deployment.ReleaseID, v.Verdict.Summary)
	for _, m := range f.Release {
		its, event := *m.Verification, verifier.EventActionChanged
		a, err := its.Action.Move(verifier.ActionRequested, "", because, now)
		if err != nil {
			return nil, nil, err
		}
		a.Rollback, a.TargetVersion, a.RevertID = action.Rollback, m.Facts.Target.Version, action.RevertID
		a.RequestedAt, a.AutomaticAt, a.ReleaseID, a.RequestedBy = action.RequestedAt, action.AutomaticAt, action.ReleaseID, v.ID
		if action.AutomaticAt != nil {
			counted := countedAt(m.Facts, *action.AutomaticAt)
			a.AutomaticAt = &counted
		}
		if its.State.Final() {
			its.Action, its.Effective = a, verifier.Revert
		} else {
			event = verifier.EventDecided
			its, err = its.Decide(verifier.Verdict{Decision: verifier.Revert, DecidedAt: now, Early: now.Before(its.ClosesAt),
				Summary: because, Reasons: v.Verdict.Reasons, By: verifier.ByPostflight}, a)
			if err != nil {
				return nil, nil, err
			}
		}
		told, err := verifier.Messages(event, its, m.Policy, now)
		if err != nil {
			return nil, nil, err
		}
		members, messages = append(members, its), append(messages, told...)
	}
	return members, messages, nil
}
