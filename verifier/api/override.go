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
		Standing string `json:"if_standing,omitempty" maxLength:"2000" doc:"The standing that the decision rests on, of a dry run: where it is another one by now, nothing is stored and the answer is 409"`
		DryRun   bool   `json:"dry_run,omitempty" doc:"Store nothing and call nothing: the outcome says what the decision would change if it were taken now"`
	}
}

type overrideOutput struct {
	Body Overruled
}

// Overruled is a verification with a person's decision, and what that could
// still change.
type Overruled struct {
	verifier.Verification
	Standing string `json:"standing" doc:"What the decision rested on in a dry run, else what the next one would rest on; for if_standing"`
	Outcome  string `json:"outcome" doc:"What the decision could still change, in one sentence: a rollback request that was sent already can't be recalled"`
}

func (a *reads) override(ctx context.Context, in *overrideInput) (*overrideOutput, error) {
	reason, err := stated("reason", in.Body.Reason, "say why, people read it beside the verdict")
	if err != nil {
		return nil, err
	}
	o := verifier.Override{Decision: verifier.Decision(in.Body.Decision), By: whoIs(ctx), At: a.Now().UTC(), Reason: reason}
	decide := func() (verifier.Verification, string, error) {
		return a.Overruler.Override(ctx, in.ID, o, in.Body.Standing)
	}
	if in.Body.DryRun {
		decide = func() (verifier.Verification, string, error) { return a.Overruler.Foresee(ctx, in.ID, o) }
	}
	v, outcome, err := decide()
	if err != nil {
		return nil, err
	}
	return &overrideOutput{Body: Overruled{Verification: a.record(v), Standing: v.Standing(), Outcome: outcome}}, nil
}
