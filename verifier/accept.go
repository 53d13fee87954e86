package verifier

import (
	"fmt"
	"slices"
	"time"
)

// History is what is known of a service and environment when a notification
// comes in, read in the transaction that will store it.
type History struct {
	// Seen is the deployment stored earlier for the same source and
	// deployment id, service and environment.
	Seen *Deployment
	// SeenVerification is the id of its verification; "" when it has none.
	SeenVerification string
	// Current is the newest finished deployment by its source's order,
	// Before the newest finished one before it with another version.
	Current *Deployment
	Before  *Deployment
	// OfSource is the last that became current among those of the
	// notification's own source.
	OfSource *Deployment
	// Running is the verification that is not final yet, with its policy.
	Running       *Verification
	RunningPolicy Policy
	// Reverting is the verification whose rollback is open, with its policy.
	Reverting       *Verification
	RevertingPolicy Policy
	// AskedFor is the version that our rollback request with the notification's
	// revert id asked for in this place; "" where we issued no such id here.
	AskedFor string
	// Answers are the gate's last answers about the release since it last
	// became another one's, the newest first.
	Answers []GateVerdict
}

// Acceptance is what storing a notification will change, all in one
// transaction.
type Acceptance struct {
	Deployment   Deployment
	Replaces     bool          // Deployment updates the one in History.Seen
	Verification *Verification // to be opened
	Policy       Policy        // of Verification
	Superseded   *Verification // to be ended
	Confirmed    *Verification // whose action changed
	Deliveries   []Delivery    // messages about all that
	Ignored      string        // why no verification is opened
	Existing     string        // id of the verification that this notification already had
	Again        bool          // the deploy is known already: nothing is to be stored
}

// Accept decides what a notification means: which deployment it is, whether
// it opens a verification, ends another, or confirms a rollback. It is pure.
// A deploy announced before with another version is a Conflict.
func Accept(n Notification, h History, policies []Policy, now time.Time) (Acceptance, error) {
	policy, matched := PolicyFor(policies, n.Deployment.Service, n.Deployment.Environment)
	d := withFewPaths(irreversible(clamp(n.Deployment, policy, now), policy))
	if h.Seen != nil {
		again, done, err := acceptAgain(d, h)
		if done || err != nil {
			return again, err
		}
	}
	replaces := h.Seen != nil && h.Seen.Status != DeployFinished
	if replaces {
		d.ID = h.Seen.ID
		if h.Seen.StartedAt.Before(d.StartedAt) && !h.Seen.Queued {
			d.StartedAt = h.Seen.StartedAt
		}
	} else {
		d.ID = NewID(DeploymentPrefix)
	}
	d.Rollback, d.RollbackWhy = classifyRollback(d, h)
	resurfaces := d.resurfaces(h)
	follows := d.comesAfter(h) && !resurfaces
	if follows && d.Status == DeployFinished {
		d.Place = 1
		if h.Current != nil {
			d.Place = h.Current.Place + 1
		}
	}
	if d.Gate = answered(d, h.Answers); d.Gate == nil && replaces {
		d.Gate = h.Seen.Gate
	}
	a := Acceptance{Deployment: d, Replaces: replaces, Policy: policy}
	if follows {
		if err := a.confirm(h, now); err != nil {
			return a, err
		}
	}
	switch {
	case d.Status == DeployStarted:
		a.Ignored = "the deploy has only started: its verification opens when it has finished"
		return a, nil
	case d.Status == DeployFailed:
		a.Ignored = "the deploy failed: there is nothing to verify"
		return a, nil
	case resurfaces:
		a.Ignored = fmt.Sprintf("%s; it is no newer deploy, and is not verified: announce it again once that rollback has ended, if it is to stay", d.RollbackWhy)
		return a, nil
	case !follows:
		a.Ignored = fmt.Sprintf("a newer deploy (%s, finished %s) is known already", h.Current.Version, h.Current.FinishedAt.UTC().Format(time.RFC3339))
		return a, nil
	}
	if err := a.supersede(h, now); err != nil {
		return a, err
	}
	if !matched {
		a.Ignored = fmt.Sprintf("no policy matches service %q in environment %q", d.Service, d.Environment)
		return a, nil
	}
	v := Open(d, policy, now)
	v.URL = n.ExternalURL + "/verifications/" + v.ID
	a.Verification = &v
	messages, err := Messages(EventOpened, v, policy, now)
	a.Deliveries = append(a.Deliveries, messages...)
	return a, err
}

// comesAfter reports whether d is what runs now: it follows the current
// deployment and the last one of its own source, whose clock is the one that
// it can be compared with best. Whoever echoes the id of our open revert has
// acted upon it, whatever their clock says.
func (d Deployment) comesAfter(h History) bool {
	if d.echoes(h) {
		return true
	}
	return (h.Current == nil || d.Follows(*h.Current)) && (h.OfSource == nil || d.Follows(*h.OfSource))
}

// echoes reports whether d is what our open revert asked for, by its id. An id
// alone proves nothing: a job that is built again keeps the parameters of its
// last build, and brings something else.
func (d Deployment) echoes(h History) bool {
	return h.Reverting != nil && d.RevertID != "" && d.RevertID == h.Reverting.Action.RevertID && d.Version == h.Reverting.Action.TargetVersion
}

// ResurfacesWithin is how long after its rollback was requested the reverted
// version, announced anew, is taken for that rollback's own pipeline while
// nobody knows how it ended. It is how long the version that runs is asked for.
const ResurfacesWithin = 24 * time.Hour

// resurfaces reports whether d is the version that an open revert takes away,
// announced anew. Pipelines that roll back announce what they ran from, and
// that is often the head of the branch, the reverted version itself. What runs
// then is the target, so d is not what runs now.
func (d Deployment) resurfaces(h History) bool {
	if h.Reverting == nil || d.Version != h.Reverting.Deployment.Version {
		return false
	}
	requested := h.Reverting.Action.RequestedAt
	return requested == nil || d.ReceivedAt.Before(requested.Add(ResurfacesWithin))
}

// acceptAgain handles a deploy that its source announced before. done is
// false where the announcement moves it on, as from started to finished.
func acceptAgain(d Deployment, h History) (a Acceptance, done bool, err error) {
	seen := *h.Seen
	if seen.Version != d.Version {
		return Acceptance{}, true, &Error{Kind: Conflict,
			Message: fmt.Sprintf("deployment_id %q was announced before for version %q: a new deploy needs a new deployment_id", d.DeploymentID, seen.Version),
			Fields:  []FieldError{{Field: "version", Message: "differs from the version announced before, " + seen.Version, Value: d.Version}}}
	}
	// Events overtake one another: a finished deploy stays finished, and what
	// its source told for an earlier time than it did before is old news. A
	// failed one may be run again, and so may one that finished and has been
	// followed by others since: a pipeline rolls back by running an old job.
	old := !d.ToldAt.IsZero() && d.ToldAt.Before(seen.ToldAt)
	begins := seen.Queued && !d.Queued && d.Status == DeployStarted // it has waited long enough
	rerun := d.Status == DeployFinished && h.Current != nil && h.Current.ID != seen.ID && d.ToldAt.After(seen.ToldAt)
	if seen.Status == DeployFinished && !rerun || seen.Status != DeployFinished && (seen.Status == d.Status && !begins || old && d.Status != DeployFinished) {
		a := Acceptance{Deployment: seen, Existing: h.SeenVerification, Again: true}
		switch {
		case a.Existing == "":
			a.Ignored = fmt.Sprintf("the deploy is known already as %s", seen.Status)
		case h.Current != nil && h.Current.ID != seen.ID && d.Status == DeployFinished:
			a.Ignored = fmt.Sprintf("deployment_id %q was announced before and %s has been deployed since: to announce that it was run again, give a new deployment_id, or finished_at", d.DeploymentID, h.Current.Version)
		}
		return a, true, nil
	}
	return Acceptance{}, false, nil
}

// clamp moves source times that can't be true to the receipt, and says so: in
// the future, or more than a window back.
func clamp(d Deployment, p Policy, now time.Time) Deployment {
	d.ReceivedAt, d.ToldAt = now, d.FinishedAt
	if d.Status == DeployStarted {
		d.ToldAt = d.StartedAt
	}
	if d.ToldAt.After(now) {
		d.ToldAt = now // a clock that is ahead would make later deploys the older ones
	}
	back := p.Window.D()
	if back <= 0 {
		back = time.Hour
	}
	if d.FinishedAt.IsZero() {
		d.FinishedAt = now
	} else if d.FinishedAt.After(now) || d.FinishedAt.Before(now.Add(-back)) {
		d.FinishedAt, d.Clamped = now, true
	}
	switch {
	case d.StartedAt.IsZero():
		d.StartedAt = d.FinishedAt
	case d.StartedAt.After(d.FinishedAt), d.StartedAt.Before(d.FinishedAt.Add(-24 * time.Hour)):
		d.StartedAt, d.Clamped = d.FinishedAt, true
	}
	return d
}

// irreversible applies the policy's rule on changed paths.
func irreversible(d Deployment, p Policy) Deployment {
	changed, pattern := touches(p.IrreversiblePaths, d.ChangedPaths)
	if changed != "" && !d.Irreversible {
		d.Irreversible, d.IrreversibleWhy = true, fmt.Sprintf("it changes %s, which matches %s", changed, pattern)
	}
	return d
}

// What is kept of the paths that a deploy changed. Every look writes its record
// and every neighbour's verdict reads it, so that one sender's long lists would
// hold up all others.
const (
	pathsKept     = 50
	pathBytesKept = 8 << 10
)

// withFewPaths keeps the first changed paths and the number of all.
func withFewPaths(d Deployment) Deployment {
	bytes := 0
	for i, path := range d.ChangedPaths {
		if bytes += len(path); i == pathsKept || bytes > pathBytesKept {
			d.ChangedPathsAll, d.ChangedPaths = len(d.ChangedPaths), slices.Clone(d.ChangedPaths[:i])
			break
		}
	}
	return d
}

// classifyRollback recognises a rollback, which is itself a deployment, so
// that it is watched and never reverted.
func classifyRollback(d Deployment, h History) (bool, string) {
	open := h.Reverting
	switch {
	case d.resurfaces(h):
		return true, fmt.Sprintf("%s is being rolled back to %s by %s: announced meanwhile, it may be the pipeline of that rollback, which ran from the reverted version",
			d.Version, open.Action.TargetVersion, open.Action.RevertID)
	case d.RevertID != "" && (d.echoes(h) || d.Version == h.AskedFor):
		return true, "it carries the id of our own revert " + d.RevertID
	case d.Rollback:
		return true, "its source says so"
	case open != nil && d.Version == open.Action.TargetVersion:
		return true, "it brings the target of the open revert " + open.Action.RevertID
	case h.Before != nil && h.Current != nil && d.Version == h.Before.Version && d.Version != h.Current.Version:
		return true, "it returns to the version that ran before " + h.Current.Version
	}
	return false, ""
}

// confirm moves an open rollback on when its target arrives, or ends it when
// another version does. It is asked only about a deployment that follows the
// current one: late news of the past confirms nothing.
func (a *Acceptance) confirm(h History, now time.Time) error {
	if h.Reverting == nil || a.Deployment.Status == DeployFailed {
		return nil
	}
	v, d := *h.Reverting, a.Deployment
	echoed, ours := d.echoes(h), d.Version == v.Action.TargetVersion
	// A target that was live again before it was asked for was not asked for by
	// us; while the request is still being sent nothing less certain stops it.
	before := !echoed && v.Action.RequestedAt != nil && d.FinishedAt.Before(*v.Action.RequestedAt) &&
		(v.Action.State == ActionRequested || d.FinishedAt.Before(v.Action.RequestedAt.Add(-ClockTolerance)))
	since := v.Action.RequestedAt != nil && !d.StartedAt.Before(v.Action.RequestedAt.Add(-ClockTolerance))
	var to ActionState
	var guard Guard
	var reason string
	switch {
	case (echoed || ours && since) && d.Status == DeployStarted && v.Action.State == ActionRequested:
		to, reason = ActionAccepted, "its pipeline has started to deploy "+d.Version
	case ours && d.Status == DeployFinished && !before:
		to, reason = ActionConfirmed, d.Version+" was announced as live again"
	case !ours && d.Status == DeployFinished && d.RevertID == v.Action.RevertID && d.RevertID != "":
		to, guard, reason = ActionFenced, GuardFence, d.Version+" was announced with its revert id, which asked for "+v.Action.TargetVersion
	case !ours && d.Status == DeployFinished:
		to, guard, reason = ActionFenced, GuardFence, "a newer deploy, "+d.Version+", came first"
	default:
		return nil
	}
	action, err := v.Action.Move(to, guard, reason, now)
	if err != nil {
		return err
	}
	v.Action = action
	a.Confirmed = &v
	messages, err := Messages(EventActionChanged, v, h.RevertingPolicy, now)
	a.Deliveries = append(a.Deliveries, messages...)
	return err
}

func (a *Acceptance) supersede(h History, now time.Time) error {
	if h.Running == nil {
		return nil
	}
	v, err := h.Running.Supersede(a.Deployment)
	if err != nil {
		return err
	}
	a.Superseded = &v
	messages, err := Messages(EventSuperseded, v, h.RunningPolicy, now)
	a.Deliveries = append(a.Deliveries, messages...)
	return err
}
