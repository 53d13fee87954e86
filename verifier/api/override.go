package api

import (
	"context"

	"github.com/postflight/postflight/verifier"
)

type overrideInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Decision string `json:"decision" enum:"keep,revert,cancel" doc:"keep, revert, or cancel: the end of a running watch without a verdict"`
		Reason   string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why; people read it beside the verdict"`
	}
}

type overrideOutput struct {
	Body Overruled
}

// Overruled is a verification with a person's decision, and what that could
// still change.
type Overruled struct {
	verifier.Verification
	Outcome string `json:"outcome" doc:"What the decision could still change, in one sentence: a rollback request that was sent already can't be recalled"`
}

func (a *reads) override(ctx context.Context, in *overrideInput) (*overrideOutput, error) {
	reason, err := stated("reason", in.Body.Reason, "say why, people read it beside the verdict")
	if err != nil {
		return nil, err
	}
	v, outcome, err := a.Overruler.Override(ctx, in.ID, verifier.Override{
		Decision: verifier.Decision(in.Body.Decision), By: whoIs(ctx), At: a.Now().UTC(), Reason: reason,
	})
	if err != nil {
		return nil, err
	}
	return &overrideOutput{Body: Overruled{Verification: a.record(v), Outcome: outcome}}, nil
}
