package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// ill is the share of requests that fail when what a shop depends on does.
const ill = 0.1

// braked is a world in which the brake engages as it does by default, and
// where each of several bad deploys is judged alone: held back as ambiguous,
// they would not get as far as the brake.
var braked = func() world.Options {
	o := shops("checkout search cart account")
	o.Brake, o.Independent = 3, true
	return o
}()

// outage: what explains the harm of all shops is not one shop's release; what
// harms one alone afterwards is.
func outage(ctx context.Context, s *story) error {
	if err := allKeptFirst(ctx, s); err != nil {
		return err
	}
	s.before = func() {
		time.Sleep(4 * time.Second) // it has begun to be watched
		s.suffer(ill, s.Options().Services...)
		s.note("The payment provider that all shops call breaks down: a tenth of every shop's requests fails.")
	}
	v, err := s.release(ctx, world.Next, "nothing is wrong with it")
	if err != nil {
		return err
	}
	s.tellNeighbours(v)
	if err := errors.Join(
		expect(v.Verdict.Decision == verifier.Inconclusive, "the verdict should be inconclusive, and it is %s", v.Verdict.Decision),
		s.withheld(v, verifier.GuardAttribution),
		s.named(v, s.Options().Services[1:]),
		s.leftAlone(v, world.Next),
	); err != nil {
		return err
	}
	s.suffer(0, s.Options().Services...)
	s.note("The payment provider is back.")
	if err := s.pause(ctx, 5*time.Second); err != nil {
		return err
	}
	v, err = s.release(ctx, world.Errors, "8 % of its requests fail, and of no other shop's")
	if err != nil {
		return err
	}
	s.tellNeighbours(v)
	if _, err := s.rolledBack(ctx, v); err != nil {
		return err
	}
	return errors.Join(s.calls(s.service, 1), s.runs(s.service, world.Good))
}

// named checks that a verdict names other shops by what they did.
func (s *story) named(v verifier.Verification, others []world.Service) error {
	for _, name := range namesOf(others) {
		if err := expect(strings.Contains(v.Verdict.Summary, name+" (errors rose"),
			"the verdict should say that %s got worse, and it says %q", name, v.Verdict.Summary); err != nil {
			return err
		}
	}
	return nil
}

// suffer has what shops depend on fail, or recover.
func (s *story) suffer(share float64, services ...world.Service) {
	for _, name := range namesOf(services) {
		s.Shops[name].Suffer(share)
	}
}

// tellNeighbours tells how the other shops fared, as a verdict took it.
func (s *story) tellNeighbours(v verifier.Verification) {
	if v.Attribution == nil {
		return
	}
	for _, n := range v.Attribution.Neighbours {
		s.note("  beside it: %s %s %s%s", n.Service, n.State, n.Change, n.Message)
	}
}

// loop: a rollback that is not marked as one is recognised, and never rolled
// back itself; and what was reverted an hour ago is not reverted again before a
// person has looked.
func loop(ctx context.Context, s *story) error {
	if err := allKeptFirst(ctx, s); err != nil {
		return err
	}
	v, err := s.release(ctx, world.Errors, "8 % of its requests fail")
	if err != nil {
		return err
	}
	back, err := s.rolledBack(ctx, v)
	if err != nil {
		return err
	}
	s.step("The old version turns bad as well: the database behind %s is ill", s.service)
	s.suffer(ill, s.Options().Services[0])
	if v, err = s.verdict(ctx, back.VerificationID); err != nil {
		return err
	}
	if err := errors.Join(
		expect(back.RevertID == "", "the pipeline should announce the rollback like any other deploy, and told %s", back.RevertID),
		expect(v.Deployment.Rollback, "the deploy of %s should be recognised as a rollback", world.Good),
		s.withheld(v, verifier.GuardLoop),
		s.calls(s.service, 1),
	); err != nil {
		return err
	}
	s.suffer(0, s.Options().Services[0])
	s.note("The database is repaired.")
	if v, err = s.release(ctx, world.Next, "a good one"); err != nil {
		return err
	}
	if err := expect(v.Verdict.Decision == verifier.Keep, "release %s should be kept, and the verdict is %s", world.Next, v.Verdict.Decision); err != nil {
		return err
	}
	return capped(ctx, s)
}

// capped plays the end of loop: the second bad release within the hour.
func capped(ctx context.Context, s *story) error {
	v, err := s.release(ctx, world.Slow, "most of its requests take three times as long")
	if err != nil {
		return err
	}
	if err := errors.Join(s.withheld(v, verifier.GuardCaps), s.calls(s.service, 1), s.runs(s.service, world.Slow)); err != nil {
		return err
	}
	s.step("Somebody on call looks at it, and unfreezes %s", s.service)
	if _, err := s.person(ctx, "unfreeze", s.service, world.Environment, "--reason", "two bad releases, not one that comes back"); err != nil {
		return err
	}
	if v, err = s.release(ctx, world.Hasty, "a hurried fix; 8 % of its requests fail"); err != nil {
		return err
	}
	if _, err := s.rolledBack(ctx, v); err != nil {
		return err
	}
	return errors.Join(s.calls(s.service, 2), s.runs(s.service, world.Next))
}

// brake: three automatic reverts at once stop the fourth.
func brake(ctx context.Context, s *story) error {
	if err := allKeptFirst(ctx, s); err != nil {
		return err
	}
	all := s.Options().Services
	s.step("Release %s of every shop: 8 %% of the requests fail in each", world.Errors)
	verdicts, err := s.releaseEverywhere(ctx, all, world.Errors)
	if err != nil {
		return err
	}
	// Whose verdict comes last can't be told beforehand.
	i := slices.IndexFunc(verdicts, func(v verifier.Verification) bool { return v.Action.State == verifier.ActionWithheld })
	if i < 0 {
		return expect(false, "the brake should withhold one of four rollbacks, and withheld none")
	}
	held := verdicts[i]
	for _, v := range slices.Delete(slices.Clone(verdicts), i, i+1) {
		if _, err := s.rolledBack(ctx, v); err != nil {
			return err
		}
	}
	name := held.Deployment.Service
	if err := errors.Join(s.withheld(held, verifier.GuardBrake), s.calls(name, 0), s.runs(name, world.Errors)); err != nil {
		return err
	}
	s.step("Somebody on call looks at it, releases the brake and has %s rolled back", name)
	if _, err := s.person(ctx, "brake", "release", "--reason", "four bad releases, nothing else is wrong"); err != nil {
		return err
	}
	if _, err := s.person(ctx, "override", held.ID, "revert", "--reason", "bad like the others"); err != nil {
		return err
	}
	if held, err = s.Verification(ctx, held.ID, 0); err != nil {
		return err
	}
	if _, err := s.rolledBack(ctx, held); err != nil {
		return err
	}
	var errs []error
	for _, name := range namesOf(all) {
		errs = append(errs, s.calls(name, 1), s.runs(name, world.Good))
	}
	return errors.Join(errs...)
}

// irreversible: going back over a changed database is a person's work, also
// when a person asks postflight for it.
func irreversible(ctx context.Context, s *story) error {
	if err := allKeptFirst(ctx, s); err != nil {
		return err
	}
	v, err := s.release(ctx, world.Errors, "8 % of its requests fail, and it drops a column of the database", "db/migrations/0042_drop_column.sql")
	if err != nil {
		return err
	}
	if err := errors.Join(
		expect(v.Verdict.Decision == verifier.Revert, "the verdict should be revert, and it is %s", v.Verdict.Decision),
		s.withheld(v, verifier.GuardIrreversible),
	); err != nil {
		return err
	}
	s.step("Somebody on call asks for the rollback all the same")
	outcome, err := s.person(ctx, "override", v.ID, "revert", "--reason", "customers can't pay")
	if err != nil {
		return err
	}
	if v, err = s.Verification(ctx, v.ID, 0); err != nil {
		return err
	}
	if err := errors.Join(
		expect(strings.Contains(outcome, string(verifier.GuardIrreversible)), "the answer should name the guard, and is %q", outcome),
		s.withheld(v, verifier.GuardIrreversible),
		s.calls(s.service, 0), s.runs(s.service, world.Errors),
	); err != nil {
		return err
	}
	s.step("They restore the column by hand, and deploy %s with the pipeline", world.Good)
	answer, err := s.announced(ctx, s.service, world.Good)
	if err != nil {
		return err
	}
	if v, err = s.verdict(ctx, answer.VerificationID); err != nil {
		return err
	}
	s.good(fmt.Sprintf("It is recognised as a rollback, for %s.", v.Deployment.RollbackWhy))
	return errors.Join(
		expect(v.Deployment.Rollback, "the deploy of %s should be recognised as a rollback", world.Good),
		expect(v.Verdict.Decision != verifier.Revert, "%s should not be reverted", world.Good),
		s.calls(s.service, 0),
	)
}
