package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

type markInput struct {
	Body struct {
		ServiceDecision
		Version string `json:"version" minLength:"1" maxLength:"253"`
		Mark    string `json:"mark" enum:"good,bad" doc:"good: it may be rolled back to. bad: it may not, and its windows count for nothing"`
	}
}

type markOutput struct {
	Body Marked
}

// Marked is what a person said of a version.
type Marked struct {
	Service     string        `json:"service"`
	Environment string        `json:"environment"`
	Version     string        `json:"version"`
	Mark        verifier.Mark `json:"mark"`
	By          string        `json:"by" doc:"Name of the access entry"`
	At          time.Time     `json:"at"`
	Reason      string        `json:"reason"`
}

// namedVersions is how many known versions an answer names.
const namedVersions = 5

func (a *reads) mark(ctx context.Context, in *markInput) (*markOutput, error) {
	e, err := a.entry(ctx, in.Body.ServiceDecision, verifier.AuditMark)
	if err != nil {
		return nil, err
	}
	e.Subject, e.Decision = strings.TrimSpace(in.Body.Version), in.Body.Mark
	known, err := a.Decider.Versions(ctx, verifier.Location{Service: e.Service, Environment: e.Environment})
	if err != nil {
		return nil, err
	}
	if !slices.Contains(known, e.Subject) {
		return nil, unknownVersion(e, known)
	}
	if e, err = a.Decider.RecordDecision(ctx, e); err != nil {
		return nil, err
	}
	return &markOutput{Body: Marked{
		Service: e.Service, Environment: e.Environment, Version: e.Subject, Mark: verifier.Mark(e.Decision), By: e.By, At: e.At, Reason: e.Reason,
	}}, nil
}

// unknownVersion says which versions could have been meant.
func unknownVersion(e verifier.AuditEntry, known []string) error {
	if len(known) == 0 {
		return wrongFieldOf("service", fmt.Sprintf("was never deployed to %s as far as postflight knows: check the names", e.Environment), e.Service)
	}
	named := strings.Join(known[:min(len(known), namedVersions)], ", ")
	if more := len(known) - namedVersions; more > 0 {
		named += fmt.Sprintf(" and %d older", more)
	}
	return wrongFieldOf("version", fmt.Sprintf("was never deployed there: %s in %s had %s", e.Service, e.Environment, named), e.Subject)
}
