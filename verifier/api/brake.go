package api

import (
	"context"
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

type brakeStateOutput struct {
	Body BrakeState
}

// BrakeState is whether all automatic rollbacks are held back.
type BrakeState struct {
	Engaged    bool                `json:"engaged"`
	Held       *verifier.BrakeHold `json:"held,omitempty" doc:"The person who engaged it; absent where too many automatic rollbacks at once did"`
	Counted    int                 `json:"counted" doc:"Automatic rollbacks since it was released that are recent enough to engage it together with others"`
	ReleasedAt time.Time           `json:"released_at,omitzero" doc:"When a person released it last; absent: never"`
}

func (a *reads) brake(ctx context.Context, _ *struct{}) (*brakeStateOutput, error) {
	s, err := a.brakeState(ctx)
	return &brakeStateOutput{Body: s}, err
}

func (a *reads) brakeState(ctx context.Context) (BrakeState, error) {
	b, err := a.Operator.Brake(ctx)
	if err != nil {
		return BrakeState{}, err
	}
	limits := a.Settings().Limits
	return BrakeState{Engaged: safety.BrakeEngaged(b, limits), Held: b.Held, Counted: safety.BrakeCounts(b, a.Now(), limits), ReleasedAt: b.ReleasedAt}, nil
}

type engageInput struct {
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why no automatic rollback is to be sent"`
	}
}

type engageOutput struct {
	Body verifier.BrakeHold
}

// engageBrake stops automatic rollbacks. Where too many of them did so already,
// a person's word comes on top; where a person did, theirs stands.
func (a *reads) engageBrake(ctx context.Context, in *engageInput) (*engageOutput, error) {
	reason, err := stated("reason", in.Body.Reason, "say why no automatic rollback is to be sent")
	if err != nil {
		return nil, err
	}
	now, err := a.brakeState(ctx)
	switch {
	case err != nil:
		return nil, err
	case now.Held != nil:
		return nil, verifier.Errorf(verifier.Conflict, "the brake is engaged already, by %s since %s (%q): nothing was changed",
			now.Held.By, now.Held.At.UTC().Format(time.RFC3339), now.Held.Reason)
	}
	hold := verifier.BrakeHold{By: whoIs(ctx), Reason: reason, At: a.Now().UTC()}
	if err := a.Operator.EngageBrake(ctx, hold.By, hold.Reason, hold.At); err != nil {
		return nil, err
	}
	return &engageOutput{Body: hold}, nil
}

type brakeInput struct {
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why automatic rollbacks may go on"`
		Force  bool   `json:"force,omitempty" doc:"Release it though it is not engaged: the automatic rollbacks counted so far are forgotten"`
	}
}

type brakeOutput struct {
	Body BrakeRelease
}

// BrakeRelease records that a person let automatic rollbacks go on.
type BrakeRelease struct {
	By         string    `json:"by" doc:"Name of the access entry"`
	Reason     string    `json:"reason"`
	ReleasedAt time.Time `json:"released_at"`
	Engaged    bool      `json:"engaged" doc:"Whether it was engaged until then; false only with force"`
}

// releaseBrake lets automatic rollbacks go on. One that isn't engaged is left
// alone: a release begins the count anew, and two rollbacks that were counted
// would let two more pass.
func (a *reads) releaseBrake(ctx context.Context, in *brakeInput) (*brakeOutput, error) {
	reason, err := stated("reason", in.Body.Reason, "say why automatic rollbacks may go on")
	if err != nil {
		return nil, err
	}
	now, err := a.brakeState(ctx)
	switch {
	case err != nil:
		return nil, err
	case !now.Engaged && !in.Body.Force:
		forgotten := ""
		if now.Counted > 0 {
			forgotten = fmt.Sprintf(", and would forget the recent automatic rollbacks that count for it (%d)", now.Counted)
		}
		return nil, verifier.Errorf(verifier.Conflict, "the brake is not engaged, and nothing was changed: releasing it all the same takes `force`%s", forgotten)
	}
	release := BrakeRelease{By: whoIs(ctx), Reason: reason, ReleasedAt: a.Now().UTC(), Engaged: now.Engaged}
	if err := a.Operator.ReleaseBrake(ctx, release.By, release.Reason, release.ReleasedAt); err != nil {
		return nil, err
	}
	return &brakeOutput{Body: release}, nil
}
