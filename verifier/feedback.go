package verifier

import (
	"slices"
	"time"
)

// Rating is what a person says of a verdict afterwards.
type Rating string

// The ratings. Wrong is a keep that should have been a revert, a revert that
// should have been a keep, or an inconclusive of what was plain to see.
const (
	Right Rating = "right"
	Wrong Rating = "wrong"
)

// Feedback is whether a verdict was right, as a person says. The newest of
// each person counts; the audit trail keeps all of them.
type Feedback struct {
	Decision Rating    `json:"decision"` // right or wrong
	By       string    `json:"by"`       // the access entry
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
}

// Rate returns the audit entry by which f is recorded, nil where it says again
// what the same person said last: then nothing is new. A verification without
// a verdict is a Conflict that names the remedy.
func (v Verification) Rate(f Feedback) (*AuditEntry, error) {
	if f.Decision != Right && f.Decision != Wrong {
		return nil, InvalidFields("the feedback can't be taken", FieldError{
			Field: "decision", Message: "must be right or wrong", Value: string(f.Decision)})
	}
	switch {
	case v.State == StateSuperseded:
		return nil, Errorf(Conflict, "%s was superseded by a newer deploy of %s before it had a verdict: say it of that one's",
			v.ID, v.Deployment.place())
	case v.State == StateCancelled:
		return nil, Errorf(Conflict, "%s was cancelled%s and has no verdict that could be right or wrong", v.ID, v.cancelledBy())
	case v.Verdict == nil:
		return nil, Errorf(Conflict, "%s has no verdict yet: wait for it, or decide yourself by an override", v.ID)
	}
	said := slices.IndexFunc(v.Feedback, func(other Feedback) bool { return other.By == f.By })
	if said >= 0 && v.Feedback[said].Decision == f.Decision && v.Feedback[said].Reason == f.Reason {
		return nil, nil
	}
	return &AuditEntry{At: f.At, By: f.By, Action: AuditFeedback, Service: v.Deployment.Service, Environment: v.Deployment.Environment,
		Subject: v.ID, Decision: string(f.Decision), Reason: f.Reason}, nil
}

// FeedbackOutcome says in one sentence what feedback changes, and what it
// leaves to its author.
func (v Verification) FeedbackOutcome(r Rating) string {
	switch {
	case v.Verdict == nil:
		return ""
	case r == Right && v.Verdict.By != ByPostflight:
		return "It is stored beside the verdict, which " + v.Verdict.By + " gave: the accuracy that the board shows is of postflight's own."
	case r == Right && v.Verdict.Decision == Inconclusive:
		return "It is stored beside the verdict; the accuracy that the board shows is of keeps and reverts."
	case r == Right:
		return "It counts for the accuracy that the board shows, and changes nothing else."
	case v.leavesBaselines() && v.Verdict.Decision == Keep:
		return "What was measured after this deploy no longer counts as usual for later ones, while enough of the past is left. The verdict stays, and nothing is called: " +
			v.Deployment.Version + " can still be gone back to until it is marked bad."
	case v.leavesBaselines():
		return "What was measured after this deploy counts as usual for no later one, while enough of the past is left. The verdict stays, and nothing is called."
	}
	return "The verdict stays, and nothing is called; what was measured goes on counting as usual, as " + v.Override.By + " decided."
}

// leavesBaselines reports whether wrong feedback keeps what was measured out of
// later baselines: a person who decided otherwise has said already what counts.
func (v Verification) leavesBaselines() bool {
	return v.Override == nil || v.Effective == v.Verdict.Decision
}
