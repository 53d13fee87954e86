package verifier

import (
	"slices"
	"strings"
	"time"
)

// Ballot is a person's word on a deploy that they tried.
type Ballot string

// The ballots.
const (
	Yes Ballot = "yes"
	No  Ballot = "no"
)

// VotesEach is how often a person may vote on one verification, changes of mind
// included.
const VotesEach = 20

// Vote is a person's yes or no to a deploy while it is watched. The newest of
// each person counts; the audit trail keeps all of them.
type Vote struct {
	Decision Ballot    `json:"decision"` // yes or no
	By       string    `json:"by"`       // the access entry
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
}

// VoteSource is what people say of a deploy while it is watched, after a demo
// in production or having tried it themselves.
type VoteSource struct {
	// From are the access entries whose votes count, by their name or by a role
	// of theirs; empty is everybody who may vote.
	From []string `json:"from,omitempty"`
	// NoAtLeast is how many people's no make the signal bad, at least 1.
	NoAtLeast int `json:"no_at_least"`
	// YesAtLeast is how many people's yes make it good, at least 1, while not
	// enough say no.
	YesAtLeast int `json:"yes_at_least"`
}

// Counts reports whether the vote of an access entry counts, which has those
// roles.
func (s VoteSource) Counts(by string, roles []string) bool {
	return len(s.From) == 0 || slices.Contains(s.From, by) ||
		slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(s.From, r) })
}

// Who says whose votes count, in a few words.
func (s VoteSource) Who() string {
	if len(s.From) == 0 {
		return "everybody who may vote"
	}
	return strings.Join(s.From, ", ")
}

// Votes returns the policy's signals that are votes.
func (p Policy) Votes() []Signal {
	return slices.DeleteFunc(slices.Clone(p.Signals), func(s Signal) bool { return s.VoteSource == nil })
}

// Observation is the vote as evidence of a signal; its time is its identity
// there, and its message the reason.
func (v Vote) Observation() Observation {
	o := Observation{At: v.At, Outcome: Measured, Total: 1, Voter: v.By, Message: v.Reason}
	if v.Decision == No {
		o.Bad = 1
	}
	return o
}

// Cast returns the audit entry by which a vote is recorded, nil where it says
// again what the same person said last: then nothing is new. It needs v.Votes.
// A verification that is not watched any more is a Conflict that names the
// remedy.
func (v Verification) Cast(vote Vote) (*AuditEntry, error) {
	if vote.Decision != Yes && vote.Decision != No {
		return nil, InvalidFields("the vote can't be taken", FieldError{
			Field: "decision", Message: "must be yes or no", Value: string(vote.Decision)})
	}
	switch {
	case v.State == StateSuperseded:
		return nil, Errorf(Conflict, "%s was superseded by a newer deploy of %s: vote on that one's verification", v.ID, v.Deployment.place())
	case v.State == StateCancelled:
		return nil, Errorf(Conflict, "%s was cancelled%s: nothing is watched that a vote could count for", v.ID, v.cancelledBy())
	case v.Verdict != nil:
		return nil, Errorf(Conflict, "%s has its verdict already, %s since %s: votes count until then; say now whether it was right, by feedback",
			v.ID, v.Verdict.Decision, v.Verdict.DecidedAt.UTC().Format(time.RFC3339))
	case vote.At.After(v.ClosesAt):
		return nil, Errorf(Conflict, "the window of %s closed at %s, and its verdict is being given: say then whether it was right, by feedback",
			v.ID, v.ClosesAt.UTC().Format(time.RFC3339))
	}
	said := slices.IndexFunc(v.Votes, func(other Vote) bool { return other.By == vote.By })
	if said >= 0 && v.Votes[said].Decision == vote.Decision && v.Votes[said].Reason == vote.Reason {
		return nil, nil
	}
	return &AuditEntry{At: vote.At, By: vote.By, Action: AuditVote, Service: v.Deployment.Service, Environment: v.Deployment.Environment,
		Subject: v.ID, Decision: string(vote.Decision), Reason: vote.Reason}, nil
}

// VoteOutcome says in a sentence what a vote of an access entry with those
// roles can do under the policy.
func (p Policy) VoteOutcome(by string, roles []string) string {
	votes := p.Votes()
	if len(votes) == 0 {
		return "It is recorded and shown with the verdict; policy " + p.Name + " has no votes signal, so that it decides nothing."
	}
	var counted, decisive []string
	for _, s := range votes {
		switch {
		case !s.VoteSource.Counts(by, roles):
		case s.Role == Decisive:
			decisive = append(decisive, s.Name)
		default:
			counted = append(counted, s.Name)
		}
	}
	switch {
	case len(decisive) > 0:
		return "It counts for " + strings.Join(append(decisive, counted...), ", ") + " at the next look, and may decide the verdict together with those of others. You may change it until the verdict."
	case len(counted) > 0:
		return "It counts for " + strings.Join(counted, ", ") + " at the next look, which is advisory: it reverts nothing by itself. You may change it until the verdict."
	}
	return "It is recorded and shown with the verdict; no votes signal of policy " + p.Name + " counts votes of " + by + "."
}
