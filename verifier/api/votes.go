package api

import (
	"context"

	"github.com/postflight/postflight/verifier"
)

type voteInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Decision string `json:"decision" enum:"yes,no" doc:"yes, or no: the deploy does harm, or does not what it was meant to"`
		Reason   string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why; people read it beside the verdict"`
	}
}

type voteOutput struct {
	Body Voted
}

// Voted is a verification with what people say of its deploy.
type Voted struct {
	verifier.Verification
	Outcome string `json:"outcome" doc:"What the vote can do, in one sentence"`
}

func (a *reads) vote(ctx context.Context, in *voteInput) (*voteOutput, error) {
	reason, err := stated("reason", in.Body.Reason, "say why, people read it beside the verdict")
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx)
	vote := verifier.Vote{Decision: verifier.Ballot(in.Body.Decision), By: who.Name, At: a.Now().UTC(), Reason: reason}
	v, outcome, err := a.Ballotbox.Cast(ctx, in.ID, vote, who.Roles)
	if err != nil {
		return nil, err
	}
	return &voteOutput{Body: Voted{Verification: a.record(v), Outcome: outcome}}, nil
}
