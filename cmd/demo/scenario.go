package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

const (
	defaultScenario = "errors"
	shopName        = "checkout"
)

// scenario is a story that the demo tells.
type scenario struct {
	name  string
	about string
	play  func(context.Context, *story) error
	world world.Options // one shop where it names none
}

var scenarios = []scenario{
	{"errors", "A good release is kept; one with 8 % errors is reverted, and the rollback is not reverted again.",
		func(ctx context.Context, s *story) error {
			return reverted(ctx, s, world.Errors, "8 % of its requests fail")
		}, world.Options{}},
	{"slow", "A good release is kept; one that is three times slower is reverted.",
		func(ctx context.Context, s *story) error {
			return reverted(ctx, s, world.Slow, "most of its requests take three times as long")
		}, world.Options{}},
	{"tickets", "Customers flood the ticket desk after a release; tickets alone revert nothing.", flooded, world.Options{}},
	{"blind", "Prometheus goes down during a release; what can't be seen is not called bad.", blinded, world.Options{}},
	{"outage", "What all shops depend on fails right after a good release; the release is not blamed for it.", outage, shops("checkout search cart account")},
	{"loop", "The version that was brought back turns bad as well; a rollback is never rolled back, and a second revert waits for a person.", loop,
		world.Options{Services: []world.Service{{Name: shopName, Unwired: true}, {Name: "search"}, {Name: "cart"}}}},
	{"brake", "Four shops break at once after their own releases; the third rollback stops all further ones until a person looks.", brake, braked},
	{"irreversible", "A bad release has changed the database; going back is advised, and left to a person.", irreversible, shops("checkout search cart")},
}

func scenarioFor(name string) (scenario, bool) {
	if name == "" {
		name = defaultScenario
	}
	for _, s := range scenarios {
		if s.name == name {
			return s, true
		}
	}
	return scenario{}, false
}

func scenarioNames() string {
	names := make([]string, 0, len(scenarios))
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// keptFirst plays the beginning of every story: postflight goes back only to a
// version that it has seen do well.
func keptFirst(ctx context.Context, s *story) error {
	v, err := s.release(ctx, world.Good, "a good one")
	if err != nil {
		return err
	}
	return expect(v.Verdict.Decision == verifier.Keep, "release %s should be kept, and the verdict is %s", world.Good, v.Verdict.Decision)
}

func reverted(ctx context.Context, s *story, version, how string) error {
	if err := keptFirst(ctx, s); err != nil {
		return err
	}
	v, err := s.release(ctx, version, how)
	if err != nil {
		return err
	}
	if err := expect(v.Verdict.Decision == verifier.Revert, "release %s should be reverted, and the verdict is %s", version, v.Verdict.Decision); err != nil {
		return err
	}
	back, err := s.rolledBack(ctx, v)
	if err != nil {
		return err
	}
	s.step("Watch the rollback like any other deploy, without ever reverting it")
	last, err := s.verdict(ctx, back.VerificationID)
	if err != nil {
		return err
	}
	return errors.Join(
		expect(last.Deployment.Rollback, "the deploy of %s should be recognised as the rollback", world.Good),
		expect(last.Verdict.Decision != verifier.Revert, "the rollback should not be reverted, and the verdict is %s", last.Verdict.Decision),
		s.calls(s.service, 1),
		s.runs(s.service, world.Good),
	)
}

func flooded(ctx context.Context, s *story) error {
	if err := keptFirst(ctx, s); err != nil {
		return err
	}
	s.before = func() {
		s.Desk.Flood(s.service, 60, 10*time.Second)
		s.note("Customers open 60 tickets within ten seconds, where six an hour are usual.")
	}
	v, err := s.release(ctx, world.Next, "nothing is wrong with it")
	if err != nil {
		return err
	}
	return s.leftAlone(v, world.Next)
}

func blinded(ctx context.Context, s *story) error {
	if err := keptFirst(ctx, s); err != nil {
		return err
	}
	s.before = func() {
		if err := s.Prometheus.Stop(); err != nil {
			s.note("Prometheus did not stop cleanly: %v", err)
			return
		}
		s.note("Prometheus goes down.")
	}
	v, err := s.release(ctx, world.Next, "nothing is wrong with it")
	if err != nil {
		return err
	}
	return errors.Join(
		expect(v.Verdict.Decision == verifier.Inconclusive, "without Prometheus the verdict should be inconclusive, and it is %s", v.Verdict.Decision),
		s.leftAlone(v, world.Next),
	)
}
