package api

import (
	"context"
	"time"
)

type brakeInput struct {
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why automatic rollbacks may go on"`
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
}

func (a *reads) releaseBrake(ctx context.Context, in *brakeInput) (*brakeOutput, error) {
	reason, err := stated("reason", in.Body.Reason, "say why automatic rollbacks may go on")
	if err != nil {
		return nil, err
	}
	release := BrakeRelease{By: whoIs(ctx), Reason: reason, ReleasedAt: a.Now().UTC()}
	if err := a.Operator.ReleaseBrake(ctx, release.By, release.Reason, release.ReleasedAt); err != nil {
		return nil, err
	}
	return &brakeOutput{Body: release}, nil
}
