// Package votes stands for the people who vote on a deploy while it is watched.
// There is nothing to ask them: who votes writes the evidence, see
// store.Store.Cast.
package votes

import (
	"context"
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Measurer prepares signals that are votes, and measures nothing.
type Measurer struct{}

// Prepare says whose votes count.
func (Measurer) Prepare(_ context.Context, s verifier.Signal, t verifier.Target, _ time.Duration, _, _ time.Time) (verifier.Plan, error) {
	if s.VoteSource == nil {
		return verifier.Plan{}, verifier.Errorf(verifier.Invalid, "signal %q counts no votes", s.Name)
	}
	return verifier.Plan{Query: fmt.Sprintf("votes on %s %s in %s of %s", t.Service, t.Version, t.Environment, s.VoteSource.Who())}, nil
}

// Measure returns nothing: votes come by themselves.
func (Measurer) Measure(context.Context, verifier.Signal, verifier.Target, verifier.Plan, time.Duration, time.Time, time.Time) []verifier.Observation {
	return nil
}

// History returns nothing: what was said of an earlier deploy is no measure of
// this one.
func (Measurer) History(context.Context, verifier.Signal, verifier.Target, verifier.Plan, time.Duration, time.Time, time.Time) ([]verifier.Observation, error) {
	return nil, nil
}
