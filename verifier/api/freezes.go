package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

type freezesOutput struct {
	Body FreezeList
}

// FreezeList is every freeze in force.
type FreezeList struct {
	Freezes []verifier.Freeze `json:"freezes" doc:"Those of people, newest first, then those by the caps (kind caps)"`
}

func (a *reads) freezes(ctx context.Context, _ *struct{}) (*freezesOutput, error) {
	in, err := a.frozen(ctx)
	if err != nil {
		return nil, err
	}
	return &freezesOutput{Body: FreezeList{Freezes: list(in)}}, nil
}

// frozen returns every freeze in force now.
func (a *reads) frozen(ctx context.Context) ([]verifier.Freeze, error) {
	now := a.Now()
	f, err := a.Decider.Freezing(ctx, now)
	if err != nil {
		return nil, err
	}
	return safety.Frozen(f, now, a.Settings().Limits), nil
}

type freezeInput struct {
	Body struct {
		ServiceDecision
		For   string `json:"for,omitempty" maxLength:"64" example:"4h" doc:"How long; instead of until. Neither: until somebody unfreezes it"`
		Until string `json:"until,omitempty" maxLength:"64" example:"2026-11-30T08:00:00Z" doc:"When it ends by itself"`
		// Unknown is the caller's word that the names are meant as they are.
		Unknown bool `json:"unknown,omitempty" doc:"Freeze it though no deploy of it is known: otherwise that is refused, for the names may be misspelt"`
	}
}

type freezeOutput struct {
	Body NewFreeze
}

// NewFreeze is a freeze that was just made.
type NewFreeze struct {
	verifier.Freeze
	Note string `json:"note,omitempty" doc:"What looks wrong about it"`
}

func (a *reads) freeze(ctx context.Context, in *freezeInput) (*freezeOutput, error) {
	e, err := a.entry(ctx, in.Body.ServiceDecision, verifier.AuditFreeze)
	if err != nil {
		return nil, err
	}
	for field, value := range map[string]string{"service": e.Service, "environment": e.Environment} {
		if strings.Contains(value, "*") {
			return nil, wrongFieldOf(field, "is a pattern, and a freeze holds one service in one environment: freeze each; for all, use freezes of the calendar in the configuration", value)
		}
	}
	if e.Until, err = freezeEnd(in.Body.For, in.Body.Until, e.At); err != nil {
		return nil, err
	}
	e.Subject = verifier.NewID(verifier.FreezePrefix)
	known, err := a.Decider.Versions(ctx, verifier.Location{Service: e.Service, Environment: e.Environment})
	if err != nil {
		return nil, err
	}
	if len(known) == 0 && !in.Body.Unknown {
		return nil, verifier.Errorf(verifier.Conflict, "no deploy of %s in %s is known, and nothing was frozen: check the names, or say `unknown` (`postflight freeze --unknown`) to freeze it before its first deploy",
			e.Service, e.Environment)
	}
	if e, err = a.Decider.RecordDecision(ctx, e); err != nil {
		return nil, err
	}
	out := NewFreeze{Freeze: verifier.Freeze{
		ID: e.Subject, Kind: verifier.FrozenByPerson, Service: e.Service, Environment: e.Environment,
		By: e.By, At: e.At, Until: e.Until, Reason: e.Reason,
	}}
	if len(known) == 0 {
		out.Note = fmt.Sprintf("no deploy of %s in %s is known yet: check the names", e.Service, e.Environment)
	}
	return &freezeOutput{Body: out}, nil
}

// freezeEnd reads when a freeze ends; zero is when somebody unfreezes.
func freezeEnd(in, until string, now time.Time) (time.Time, error) {
	switch {
	case in != "" && until != "":
		return time.Time{}, wrongFieldOf("until", "is given beside for: give one of them", until)
	case in != "":
		d, err := model.ParseDuration(in)
		if err != nil || d <= 0 {
			return time.Time{}, wrongFieldOf("for", "is no time to freeze for: write it like 4h or 3d", in)
		}
		return now.Add(time.Duration(d)), nil
	case until != "":
		end, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return time.Time{}, wrongFieldOf("until", "is no time: write it like 2026-11-30T08:00:00Z", until)
		}
		if !end.After(now) {
			return time.Time{}, wrongFieldOf("until", "is over already: it is "+now.Format(time.RFC3339)+" here", until)
		}
		return end, nil
	}
	return time.Time{}, nil
}

type liftInput struct {
	ID    string `path:"id" maxLength:"64"`
	Query string `query:"reason" maxLength:"1000" doc:"Why, for clients that send no body with DELETE"`
	Body  *struct {
		Reason string `json:"reason" maxLength:"1000" doc:"Why; recorded with who and when"`
	}
}

type liftOutput struct {
	Body Unfrozen
}

// Unfrozen is what an unfreeze ended.
type Unfrozen struct {
	By      string            `json:"by" doc:"Name of the access entry"`
	At      time.Time         `json:"at"`
	Reason  string            `json:"reason"`
	Freezes []verifier.Freeze `json:"freezes" doc:"What was in force until now"`
}

// lift ends one freeze, of a person or by the caps.
func (a *reads) lift(ctx context.Context, in *liftInput) (*liftOutput, error) {
	reason := in.Query
	if in.Body != nil && in.Body.Reason != "" {
		reason = in.Body.Reason
	}
	freezes, err := a.frozen(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(freezes, func(f verifier.Freeze) bool { return f.ID == in.ID })
	if i < 0 {
		return nil, verifier.Errorf(verifier.NotFound, "no freeze %q is in force: GET /api/v1/freezes lists those that are", in.ID)
	}
	where := ServiceDecision{Service: freezes[i].Service, Environment: freezes[i].Environment, Reason: reason}
	return a.end(ctx, where, in.ID, freezes[i:i+1])
}

type unfreezeInput struct {
	Body ServiceDecision
}

// unfreeze ends all that a place is frozen by.
func (a *reads) unfreeze(ctx context.Context, in *unfreezeInput) (*liftOutput, error) {
	freezes, err := a.frozen(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := a.entry(ctx, in.Body, verifier.AuditUnfreeze); err != nil {
		return nil, err
	}
	freezes = slices.DeleteFunc(freezes, func(f verifier.Freeze) bool {
		return f.Service != in.Body.Service || f.Environment != in.Body.Environment
	})
	if len(freezes) == 0 {
		return nil, verifier.Errorf(verifier.Conflict, "%s in %s is not frozen: GET /api/v1/freezes lists what is", in.Body.Service, in.Body.Environment)
	}
	return a.end(ctx, in.Body, "", freezes)
}

func (a *reads) end(ctx context.Context, where ServiceDecision, subject string, freezes []verifier.Freeze) (*liftOutput, error) {
	e, err := a.entry(ctx, where, verifier.AuditUnfreeze)
	if err != nil {
		return nil, err
	}
	e.Subject = subject
	if e, err = a.Decider.RecordDecision(ctx, e); err != nil {
		return nil, err
	}
	return &liftOutput{Body: Unfrozen{By: e.By, At: e.At, Reason: e.Reason, Freezes: freezes}}, nil
}
