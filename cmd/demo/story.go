package main

import (
	"context"
	"fmt"
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
func (s *story) release(ctx context.Context, version, how string) (verifier.Verification, error) {
	s.step("Release %s %s: %s", s.service, version, how)
	answer, err := s.Pipeline.Release(ctx, s.service, version)
	if err != nil {
		return verifier.Verification{}, err
	}
	s.note("The pipeline announced it; postflight took it in %s and watches for %s.", answer.Took.Round(time.Millisecond), s.Window())
	s.note("Watch it on %s", answer.URL)
	if s.before != nil {
		s.before()
		s.before = nil
	}
	return s.verdict(ctx, answer.VerificationID)
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
	calls, deploys := s.Pipeline.Rollbacks(s.service), s.Pipeline.Announced(s.service)
	last := deploys[len(deploys)-1]
	if err := expect(len(calls) == 1, "the rollback hook should be called once, and was called %d times", len(calls)); err != nil {
		return last, err
	}
	s.good(fmt.Sprintf("postflight called the rollback hook %s after the verdict; the pipeline brought %s back and postflight confirmed it.",
		calls[0].At.Sub(v.Verdict.DecidedAt).Round(time.Millisecond), last.Version))
	return last, nil
}

// leftAlone checks that nothing was done about a release.
func (s *story) leftAlone(v verifier.Verification, version string) error {
	running := s.Shops[s.service].Version()
	if err := expect(v.Verdict.Decision != verifier.Revert, "release %s should not be reverted", version); err != nil {
		return err
	}
	if err := expect(len(s.Pipeline.Rollbacks(s.service)) == 0, "the rollback hook should not be called"); err != nil {
		return err
	}
	return expect(running == version, "%s should still run, and %s does", version, running)
}
