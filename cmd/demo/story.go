package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// How long the parts of a story may take.
const (
	beyondWindow  = 60 * time.Second // for a verdict, as invariant I11 promises
	rollbackLimit = 20 * time.Second
)

// story is a scenario under way.
type story struct {
	*world.World
	*narrator
	service string
	before  func() // happens right after the next release is announced
}

// expect returns an error with what differed unless a part of the story held.
func expect(held bool, format string, args ...any) error {
	if held {
		return nil
	}
	return fmt.Errorf("the story differs: "+format, args...)
}

// release has the pipeline deploy and announce a version and waits for the
// verdict.
func (s *story) release(ctx context.Context, version, how string, changedPaths ...string) (verifier.Verification, error) {
	s.step("Release %s %s: %s", s.service, version, how)
	answer, err := s.announced(ctx, s.service, version, changedPaths...)
	if err != nil {
		return verifier.Verification{}, err
	}
	if s.before != nil {
		s.before()
		s.before = nil
	}
	return s.verdict(ctx, answer.VerificationID)
}

// announced has the pipeline deploy and announce a version of a shop.
func (s *story) announced(ctx context.Context, service, version string, changedPaths ...string) (pipeline.Answer, error) {
	answer, err := s.Pipeline.Release(ctx, service, version, changedPaths...)
	if err != nil {
		return answer, err
	}
	s.note("The pipeline announced %s %s; postflight took it in %s and watches for %s.", service, version, answer.Took.Round(time.Millisecond), s.Window())
	s.note("Watch it on %s", answer.URL)
	return answer, nil
}

// verdict waits for a verdict, showing what is known meanwhile.
func (s *story) verdict(ctx context.Context, id string) (verifier.Verification, error) {
	limited, cancel := context.WithTimeout(ctx, s.Window()+beyondWindow)
	defer cancel()
	v, err := s.Decided(limited, id, func(v verifier.Verification) { s.progress(progressLine(v, time.Now())) })
	s.progressDone()
	if err != nil {
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		return v, err
	}
	if v.Verdict == nil {
		return v, expect(false, "verification %s should have a verdict, and it is %s", id, v.State)
	}
	s.decision(v)
	return v, nil
}

// rolledBack waits until the pipeline has brought the target back and
// postflight has seen it, and returns that deploy.
func (s *story) rolledBack(ctx context.Context, v verifier.Verification) (pipeline.Announced, error) {
	limited, cancel := context.WithTimeout(ctx, rollbackLimit)
	defer cancel()
	if v.Action.State == verifier.ActionWithheld {
		return pipeline.Announced{}, expect(false, "the rollback should be requested, and guard %s withheld it: %s", v.Action.Guard, v.Action.Reason)
	}
	v, err := s.Until(limited, v.ID, func(v verifier.Verification) bool { return v.Action.State == verifier.ActionConfirmed })
	if err != nil {
		return pipeline.Announced{}, fmt.Errorf("the rollback should be confirmed: %w", err)
	}
	service := v.Deployment.Service
	deploys, calls := s.Pipeline.Announced(service), s.Pipeline.Rollbacks(service)
	calls = slices.DeleteFunc(calls, func(a pipeline.Arrival) bool { return a.Header.Get("Idempotency-Key") != v.Action.RevertID })
	last := deploys[len(deploys)-1]
	if err := expect(len(calls) == 1, "rollback %s should be called once, and was called %d times", v.Action.RevertID, len(calls)); err != nil {
		return last, err
	}
	s.good(fmt.Sprintf("postflight called the rollback hook %s after the verdict; the pipeline brought %s %s back and postflight confirmed it.",
		calls[0].At.Sub(v.Verdict.DecidedAt).Round(time.Millisecond), service, last.Version))
	return last, nil
}

// leftAlone checks that nothing was done about a release.
func (s *story) leftAlone(v verifier.Verification, version string) error {
	return errors.Join(
		expect(v.Verdict.Decision != verifier.Revert, "release %s should not be reverted", version),
		s.calls(s.service, 0),
		s.runs(s.service, version),
	)
}

// pause waits between two parts of a story.
func (s *story) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// calls checks how often the rollback hook was called for a service.
func (s *story) calls(service string, want int) error {
	n := len(s.Pipeline.Rollbacks(service))
	return expect(n == want, "the rollback hook of %s should be called %d times, and was called %d times", service, want, n)
}

// runs checks which version of a service runs.
func (s *story) runs(service, version string) error {
	running := s.Shops[service].Version()
	return expect(running == version, "%s %s should run, and %s does", service, version, running)
}
