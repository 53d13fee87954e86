package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// shops are the options of a world with several of them.
func shops(names string) world.Options {
	var o world.Options
	for _, name := range strings.Fields(names) {
		o.Services = append(o.Services, world.Service{Name: name})
	}
	return o
}

// shopsOf names the shops of a world in words.
func shopsOf(o world.Options) string {
	names := namesOf(o.Services)
	if len(names) == 1 {
		return "the shop " + names[0]
	}
	last := len(names) - 1
	return "the shops " + strings.Join(names[:last], ", ") + " and " + names[last]
}

func namesOf(services []world.Service) []string {
	names := make([]string, 0, len(services))
	for _, service := range services {
		names = append(names, service.Name)
	}
	return names
}

// releaseEverywhere has the pipeline deploy a version of each of these shops,
// one right after the other, and returns their verdicts in the same order.
func (s *story) releaseEverywhere(ctx context.Context, services []world.Service, version string) ([]verifier.Verification, error) {
	var ids []string
	for _, service := range services {
		answer, err := s.announced(ctx, service.Name, version)
		if err != nil {
			return nil, err
		}
		ids = append(ids, answer.VerificationID)
	}
	var out []verifier.Verification
	for _, id := range ids {
		v, err := s.verdict(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// allKeptFirst plays the beginning of the stories with several shops: each has
// a version to go back to, and none was deployed within the window of what
// follows, so that each says something about the others' surroundings.
func allKeptFirst(ctx context.Context, s *story) error {
	s.step("Release %s of every shop: a good one", world.Good)
	verdicts, err := s.releaseEverywhere(ctx, s.Options().Services, world.Good)
	for _, v := range verdicts {
		err = errors.Join(err, expect(v.Verdict.Decision == verifier.Keep,
			"%s %s should be kept, and the verdict is %s", v.Deployment.Service, world.Good, v.Verdict.Decision))
	}
	return err
}

// withheld checks that a guard held a rollback back, and tells why it did.
func (s *story) withheld(v verifier.Verification, guard verifier.Guard) error {
	if err := expect(v.Action.State == verifier.ActionWithheld && v.Action.Guard == guard,
		"the guard %s should withhold the rollback of %s %s, and the action is %s (%s): %s",
		guard, v.Deployment.Service, v.Deployment.Version, v.Action.State, v.Action.Guard, v.Action.Reason); err != nil {
		return err
	}
	s.good(fmt.Sprintf("No rollback is called, for the guard %q withholds it: %s", guard, v.Action.Reason))
	return nil
}

// person runs a command of postflight as somebody on call does, and shows what
// it answers.
func (s *story) person(ctx context.Context, args ...string) (string, error) {
	shown := make([]string, 0, len(args))
	for _, arg := range args {
		if strings.Contains(arg, " ") {
			arg = fmt.Sprintf("%q", arg)
		}
		shown = append(shown, arg)
	}
	s.note("$ postflight %s", strings.Join(shown, " "))
	out, err := s.Command(ctx, args...)
	if err != nil {
		return out, err
	}
	for line := range strings.Lines(out) {
		s.note("  %s", strings.TrimRight(line, "\n"))
	}
	return out, nil
}
