package verifier

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Moment is one thing that happened to a release, for those who read its
// record.
type Moment struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	By   string    `json:"by,omitempty"` // who, "" where nobody in particular
	Why  string    `json:"why,omitempty"`
	ID   string    `json:"id,omitempty"` // of the verification that it is about
}

// Standing is how the release stands there, in a few words.
func (e EnvironmentOfRelease) Standing() string {
	if len(e.Deployments) > 0 {
		d := e.Deployments[0]
		if v := d.Verification; v != nil {
			return v.stands() + ", " + d.Deployment.GateWords()
		}
		return string(d.Deployment.Status) + ", " + d.Deployment.GateWords()
	}
	if len(e.Gate) > 0 {
		return fmt.Sprintf("waits at the gate: %s at %s", e.Gate[0].Decision, e.Gate[0].At.UTC().Format(time.DateTime))
	}
	return "the gate was not asked yet"
}

// stands is what counts of a verification, in a word or two.
func (v Verification) stands() string {
	switch {
	case v.Effective == Revert && v.Action.State != ActionNone && v.Action.State != "":
		return fmt.Sprintf("revert (rollback %s)", v.Action.State)
	case v.Effective != "":
		return string(v.Effective)
	case !v.State.Final() && v.ClearedAt != nil:
		return "cleared, still watched"
	case !v.State.Final():
		return "being watched"
	}
	return string(v.State)
}

// Conditions are those that the last deployment went by or, before one, of the
// last answer.
func (e EnvironmentOfRelease) Conditions() []Condition {
	if len(e.Deployments) > 0 {
		return e.Deployments[0].Deployment.Conditions()
	}
	if len(e.Gate) > 0 {
		return e.Gate[0].Conditions
	}
	return nil
}

// Evidence is everything that was attached to words, each once.
func (e EnvironmentOfRelease) Evidence() []string {
	var out []string
	for _, w := range e.Words {
		for _, link := range w.Evidence {
			if !slices.Contains(out, link) {
				out = append(out, link)
			}
		}
	}
	return out
}

// Moments are what happened to the release there, the oldest first.
func (e EnvironmentOfRelease) Moments() []Moment {
	var out []Moment
	for _, w := range e.Words {
		out = append(out, Moment{At: w.At, What: w.Sentence(), By: w.By, Why: w.Reason})
	}
	for _, g := range e.Gate {
		out = append(out, Moment{At: g.At, What: "gate: " + string(g.Decision), By: g.AskedBy, Why: strings.Join(g.Reasons, "; ")})
	}
	for _, d := range e.Deployments {
		out = append(out, d.moments()...)
	}
	for _, a := range e.Decisions {
		out = append(out, Moment{At: a.At, What: strings.TrimSpace(string(a.Action) + " " + a.Decision), By: a.By, Why: a.Reason})
	}
	slices.SortStableFunc(out, func(a, b Moment) int { return a.At.Compare(b.At) })
	for i := range out {
		out[i].Why = strings.Join(strings.Fields(out[i].Why), " ") // a reason may have several lines, a moment has one
	}
	return out
}

func (r Released) moments() []Moment {
	d := r.Deployment
	at := d.FinishedAt
	if at.IsZero() {
		at = d.ReceivedAt
	}
	out := []Moment{{At: at, What: "deploy " + string(d.Status), By: d.Actor, Why: d.GateWords()}}
	v := r.Verification
	if v == nil {
		return out
	}
	if v.ClearedAt != nil {
		out = append(out, Moment{At: *v.ClearedAt, What: "cleared", By: ByPostflight, ID: v.ID})
	}
	if v.Verdict != nil {
		out = append(out, Moment{At: v.Verdict.DecidedAt, What: "verdict " + string(v.Verdict.Decision), By: v.Verdict.By, Why: v.Verdict.Summary, ID: v.ID})
	}
	if a := v.Action; a.ChangedAt != nil && a.State != ActionNone {
		why := a.Reason
		if why == "" && a.TargetVersion != "" {
			why = "to " + a.TargetVersion
		}
		out = append(out, Moment{At: *a.ChangedAt, What: "rollback " + string(a.State), By: ByPostflight, Why: why, ID: v.ID})
	}
	return out
}
