package api

import (
	"context"

	"github.com/postflight/postflight/verifier"
)

type feedbackInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Decision string `json:"decision" enum:"right,wrong" doc:"right, or wrong: a keep that should have been a revert, or a revert that should have been a keep"`
		Reason   string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why; people read it beside the verdict"`
	}
}

type feedbackOutput struct {
	Body Commented
}

// Commented is a verification with what people say of its verdict.
type Commented struct {
	verifier.Verification
	Outcome string `json:"outcome" doc:"What the feedback changes, in one sentence"`
}

func (a *reads) feedback(ctx context.Context, in *feedbackInput) (*feedbackOutput, error) {
	reason, err := stated("reason", in.Body.Reason, "say why, people read it beside the verdict")
	if err != nil {
		return nil, err
	}
	f := verifier.Feedback{Decision: verifier.Rating(in.Body.Decision), By: whoIs(ctx), At: a.Now().UTC(), Reason: reason}
	v, err := a.Rater.Rate(ctx, in.ID, f)
	if err != nil {
		return nil, err
	}
	return &feedbackOutput{Body: Commented{Verification: a.record(v), Outcome: v.FeedbackOutcome(f.Decision)}}, nil
}
