package engine

import (
	"cmp"
	"context"
	"runtime/debug"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
	"github.com/postflight/postflight/verifier/safety"
)

// look measures, judges and commits one verification once.
func (e *Engine) look(ctx context.Context, c verifier.Check) error {
	prepared, err := e.prepare(ctx, &c)
	if err != nil {
		return err
	}
	if prepared {
		if err := e.o.Store.Prepare(ctx, c); err != nil {
			return err
		}
		c.Verification.State = verifier.StateObserving
	}
	fresh := e.measureWithin(ctx, c, measureAtMost)
	now := e.now()
	assessment := e.assess(c, fresh, now)
	c.Verification.Signals = assessment.Findings
	switch assessment.Decision {
	case "":
		return e.record(ctx, c, fresh, assessment, now)
	case verifier.Revert:
		return e.attribute(ctx, c, fresh, assessment, now)
	}
	return e.decide(ctx, c, fresh, assessment, now)
}

func (e *Engine) measureWithin(ctx context.Context, c verifier.Check, budget time.Duration) map[string][]verifier.Observation {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	return e.measure(ctx, c, e.now())
}

// assess asks the judge. Where it trips over a defect of ours, that is logged
// and the verification goes on; at the end of its window it is inconclusive,
// for every verification ends.
func (e *Engine) assess(c verifier.Check, fresh map[string][]verifier.Observation, now time.Time) verifier.Assessment {
	a, err := e.judgeSafely(evidence(c, fresh), now)
	if err == nil {
		return a
	}
	e.o.Log.Error("judge a verification", "verification", c.Verification.ID, "err", err)
	if now.Before(c.Verification.ClosesAt) {
		return verifier.Assessment{Findings: c.Verification.Signals}
	}
	return verifier.Assessment{
		Decision: verifier.Inconclusive, Findings: c.Verification.Signals,
		Summary: "the evidence could not be judged, by a fault of postflight's own: look at it yourself",
		Reasons: []string{"the daemon's log names the fault under " + c.Verification.ID},
	}
}

// judgeSafely turns a panic, and findings that can't be stored, into errors.
func (e *Engine) judgeSafely(ev verifier.Evidence, now time.Time) (a verifier.Assessment, err error) {
	j := e.assessors.take(ev.VerificationID)
	defer func() {
		if r := recover(); r != nil {
			err = verifier.Errorf(verifier.Internal, "panic: %v\n%s", r, debug.Stack())
		}
	}()
	if a, err = j.Assess(ev, now); err != nil {
		return a, err
	}
	if a.Decision == "" { // there will be another look
		e.assessors.keep(ev.VerificationID, j, now)
	}
	for _, f := range a.Findings {
		if !f.Finite() {
			return a, verifier.Errorf(verifier.Internal, "the finding about %q can't be stored: a number in it is not finite", f.Name)
		}
	}
	return a, nil
}

// record keeps what was seen and makes the next look due.
func (e *Engine) record(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, a verifier.Assessment, now time.Time) error {
	var messages []verifier.Delivery
	if a.Cleared && c.Verification.ClearedAt == nil {
		c.Verification = c.Verification.Clear(now)
		var err error
		if messages, err = verifier.Messages(verifier.EventCleared, c.Verification, c.Policy, now); err != nil {
			return err
		}
	}
	if err := failpoint.Reach(ctx, failpoint.SampleBeforeStore); err != nil {
		return err
	}
	if err := e.o.Store.Record(ctx, c, fresh, nextLook(c, now), messages); err != nil {
		return err
	}
	return failpoint.Reach(ctx, failpoint.SampleAfterStore)
}

// decide commits the verdict with everything that follows from it.
func (e *Engine) decide(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, a verifier.Assessment, now time.Time) error {
	if err := failpoint.Reach(ctx, failpoint.JudgeBeforeTx); err != nil {
		return err
	}
	var all verifier.Decided
	err := e.o.Store.Decide(ctx, c, fresh, now, func(f verifier.Facts) (verifier.Decided, error) {
		var err error
		all, err = e.verdict(c, a, f, now)
		return all, err
	})
	if err == nil {
		err = failpoint.Reach(ctx, failpoint.JudgeAfterCommit)
	}
	if err != nil {
		return err
	}
	for _, v := range append(all.Members, all.Verification) {
		if v.Verdict != nil && v.Verdict.DecidedAt.Equal(now) {
			e.o.Metrics.Decided(v)
		}
		if v.Action.State != verifier.ActionNone {
			e.o.Metrics.ActionMoved(v)
		}
		e.o.Log.Info("verdict", "verification", v.ID, "service", v.Deployment.Service,
			"environment", v.Deployment.Environment, "version", v.Deployment.Version,
			"decision", string(v.Effective), "action", string(v.Action.State), "guard", string(v.Action.Guard))
	}
	return nil
}

// verdict turns an assessment into the decided verification, its messages and,
// where the guards allow it, a rollback request. It is pure.
func (e *Engine) verdict(c verifier.Check, a verifier.Assessment, f verifier.Facts, now time.Time) (verifier.Decided, error) {
	var held safety.Attributed
	if a.Decision == verifier.Revert {
		at, by := e.attributed(c, a, f, now)
		if by.Wait {
			return verifier.Decided{}, waits{at}
		}
		c.Verification.Attribution, held, a = &at, by, by.Apply(a)
	}
	v, err := c.Verification.Decide(verifier.Verdict{
		Decision: a.Decision, DecidedAt: now, Early: a.Early,
		Summary: a.Summary, Reasons: a.Reasons, By: verifier.ByPostflight,
	}, verifier.Action{State: verifier.ActionNone})
	if err != nil {
		return verifier.Decided{}, err
	}
	d := verifier.Decided{Verification: v}
	switch {
	case held.Guard != "":
		d.Verification.Action, err = withheld(v.Action, safety.Ruling{Guard: held.Guard, Reason: held.Reason}, f, now)
	case a.Decision == verifier.Revert:
		err = e.rollBack(&d, c.Policy, f, now)
	}
	if err != nil {
		return verifier.Decided{}, err
	}
	messages, err := verifier.Messages(verifier.EventDecided, d.Verification, c.Policy, now)
	d.Deliveries = append(d.Deliveries, messages...)
	return d, err
}

// rollBack requests the rollback of a revert, and of the whole release that it
// belongs to, where the guards allow it.
func (e *Engine) rollBack(d *verifier.Decided, p verifier.Policy, f verifier.Facts, now time.Time) (err error) {
	v := d.Verification
	ruling := safety.Check(f, e.o.Limits())
	if !ruling.Allowed {
		d.Verification.Action, err = withheld(v.Action, ruling, f, now)
		return err
	}
	action, request, err := safety.Request(v, p, f, e.o.URL(v.ID), now)
	if err != nil {
		return err
	}
	d.Verification.Action = action
	members, messages, err := safety.Together(v, f, action, now)
	d.Members, d.Deliveries = members, append([]verifier.Delivery{request}, messages...)
	return err
}

// withheld is the action that a guard holds back; it names the target for
// whoever does it by hand.
func withheld(a verifier.Action, by safety.Ruling, f verifier.Facts, now time.Time) (verifier.Action, error) {
	a, err := a.Move(verifier.ActionWithheld, by.Guard, by.Reason, now)
	if f.Target != nil {
		a.TargetVersion = f.Target.Version
	}
	return a, err
}

// nextLook keeps the verification's own rhythm, so that its phase stays where
// its id put it, and never misses the end of the window.
func nextLook(c verifier.Check, now time.Time) time.Time {
	interval := c.Policy.Interval.D()
	next := c.DueAt.Add(interval)
	if missed := now.Sub(next); missed >= 0 {
		next = next.Add((missed/interval + 1) * interval)
	}
	end := c.Verification.ClosesAt.Add(settle(c.Policy.Step.D()))
	if now.Before(end) && c.DueAt.Before(end) && next.After(end) { // due counts by another clock, maybe
		return end
	}
	return next
}

// evidence is what the judge is given: what is stored, with the fresh
// observations in place of older ones of the same step.
func evidence(c verifier.Check, fresh map[string][]verifier.Observation) verifier.Evidence {
	d := c.Verification.Deployment
	ev := verifier.Evidence{
		VerificationID: c.Verification.ID, Policy: c.Policy,
		StartedAt: d.StartedAt, FinishedAt: d.FinishedAt, ClosesAt: c.Verification.ClosesAt,
		Signals: slices.Clone(c.Signals),
	}
	for i, s := range ev.Signals {
		ev.Signals[i].Observations = merge(s.Observations, fresh[s.Signal])
	}
	return ev
}

func merge(stored, fresh []verifier.Observation) []verifier.Observation {
	switch {
	case len(fresh) == 0:
		return stored
	case len(fresh) == 1 && (len(stored) == 0 || fresh[0].At.UnixMicro() > stored[len(stored)-1].At.UnixMicro()):
		return append(slices.Clip(stored), fresh...) // nearly always
	}
	replaced := make(map[int64]bool, len(fresh))
	for _, o := range fresh {
		replaced[o.At.UnixMicro()] = true
	}
	out := make([]verifier.Observation, 0, len(stored)+len(fresh))
	for _, o := range stored {
		if !replaced[o.At.UnixMicro()] {
			out = append(out, o)
		}
	}
	out = append(out, fresh...)
	slices.SortStableFunc(out, func(a, b verifier.Observation) int { return cmp.Compare(a.At.UnixMicro(), b.At.UnixMicro()) })
	return out
}
