package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/safety"
)

const (
	neighboursAtMost = 10 * time.Second    // for all of them; who is slower counts neither way
	neighboursAtOnce = 4                   // beside the limit of calls to one host
	neighbourDeploys = 30 * 24 * time.Hour // a service that was deployed within is still there
	neighboursRead   = 60                  // of which those are asked that a policy can judge
	// neighbourPast is enough to say what is usual of a window of an hour, with
	// a day before at the same clock time.
	neighbourPast = 2 * 24 * time.Hour
)

// waits is why a verdict can't be given yet: it has to wait for what overlaps.
type waits struct{ at verifier.Attribution }

func (w waits) Error() string { return w.at.Waiting }

// attribute decides a verification whose own signals say revert: it looks at
// the surroundings first, and waits where they can't be told yet.
func (e *Engine) attribute(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, a verifier.Assessment, now time.Time) error {
	v := c.Verification
	deployed, overlapping, err := e.o.Store.Surroundings(ctx, v, c.Policy, now.Add(-neighbourDeploys), neighboursRead)
	if err != nil {
		return err
	}
	at := safety.Surrounded(v, c.Policy, a.Findings, overlapping, e.o.Limits(), now)
	if safety.Attribute(v.Deployment, a.Findings, at, now) == (safety.Attributed{}) {
		h := judge.HarmOf(c.Policy, a.Findings, v.Deployment.StartedAt)
		at.Neighbours, at.AskedAt = e.askNeighbours(ctx, c, h, deployed, now), now
	}
	c.Verification.Attribution = &at
	err = e.decide(ctx, c, fresh, a, now)
	var w waits
	if !errors.As(err, &w) {
		return err
	}
	c.Verification.Attribution, a.Cleared = &w.at, false
	return e.record(ctx, c, fresh, a, now)
}

// attributed applies what the surroundings are by the facts of this moment,
// with the neighbours as they were asked: another deploy may have been decided
// meanwhile.
func (e *Engine) attributed(c verifier.Check, a verifier.Assessment, f verifier.Facts, now time.Time) (verifier.Attribution, safety.Attributed) {
	asked := c.Verification.Attribution
	at := safety.Surrounded(c.Verification, c.Policy, a.Findings, f.Overlapping, e.o.Limits(), now)
	at.Neighbours, at.AskedAt = asked.Neighbours, asked.AskedAt
	held := safety.Attribute(c.Verification.Deployment, a.Findings, at, now)
	if held.Wait {
		at.Waiting = held.Reason
	}
	return at, held
}

// neighbour is a service to be asked.
type neighbour struct {
	service, version string
	policy           verifier.Policy
	dependency       bool
}

// askNeighbours judges the services around a deploy as if they had been
// deployed with it: first those that it depends on, then the most recently
// deployed ones.
func (e *Engine) askNeighbours(ctx context.Context, c verifier.Check, h judge.Harm, deployed []verifier.Deployment, now time.Time) []verifier.Neighbour {
	if !e.unhurried {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, neighboursAtMost)
		defer cancel()
	}
	asked := e.neighbours(c, deployed)
	out := make([]verifier.Neighbour, len(asked))
	slots := make(chan struct{}, neighboursAtOnce)
	var wg sync.WaitGroup
	for i, n := range asked {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out[i] = e.askSafely(ctx, c, h, n, now)
		})
	}
	wg.Wait()
	return out
}

// neighbours chooses whom to ask. A service that declares to depend on the
// deployed one says nothing of the environment: the deploy may have harmed it.
func (e *Engine) neighbours(c verifier.Check, deployed []verifier.Deployment) []neighbour {
	d, policies := c.Verification.Deployment, e.o.Policies()
	var out []neighbour
	for _, name := range c.Policy.DependsOn {
		if name == d.Service {
			continue // a policy may match what it names
		}
		n := neighbour{service: name, dependency: true}
		if i := slices.IndexFunc(deployed, func(d verifier.Deployment) bool { return d.Service == name }); i >= 0 {
			n.version = deployed[i].Version
		}
		n.policy, _ = verifier.PolicyFor(policies, name, d.Environment)
		out = append(out, n)
	}
	room := e.o.Limits().AskNeighbours
	for _, other := range deployed {
		p, ok := verifier.PolicyFor(policies, other.Service, d.Environment)
		if !ok || room <= 0 || len(datable(p)) == 0 || slices.Contains(c.Policy.DependsOn, other.Service) || slices.Contains(p.DependsOn, d.Service) {
			continue
		}
		room--
		out = append(out, neighbour{service: other.Service, version: other.Version, policy: p})
	}
	return out
}

// datable returns the signals whose past can be read for any moment: the
// decisive ones from Prometheus.
func datable(p verifier.Policy) []verifier.Signal {
	return slices.DeleteFunc(p.Decisive(), func(s verifier.Signal) bool {
		return slices.Contains([]verifier.SourceKind{verifier.FromProbe, verifier.FromTickets, verifier.FromAlerts, verifier.FromVotes}, s.Source())
	})
}

func (e *Engine) askSafely(ctx context.Context, c verifier.Check, h judge.Harm, n neighbour, now time.Time) (out verifier.Neighbour) {
	defer e.recovered("ask a neighbour", c.Verification.ID, func(why string) {
		out.State, out.Message = verifier.NeighbourUnknown, why
	})
	out = verifier.Neighbour{Service: n.service, Dependency: n.dependency, State: verifier.NeighbourUnknown}
	fared := e.askNeighbour(ctx, asIfDeployed(c, n, now), h, now)
	out.State = fared.State
	switch fared.State {
	case verifier.NeighbourWorse:
		out.Change, out.Onset = fared.Worst.Change(), fared.Worst.Onset
	case verifier.NeighbourUnknown:
		out.Message = fared.Why
	}
	return out
}

// asIfDeployed is the check of a neighbour as if it had been deployed at the
// moment of c's deploy, or as far back as its own window reaches. Nothing of it
// was restarted, so it has no warm-up.
func asIfDeployed(c verifier.Check, n neighbour, now time.Time) verifier.Check {
	p, at := n.policy, c.Verification.Deployment.StartedAt
	if reach := now.Add(-p.Window.D()); at.Before(reach) {
		at = reach
	}
	p.Signals, p.Warmup, p.History = datable(p), 0, min(p.History, verifier.Duration(max(neighbourPast, 12*p.Window.D())))
	out := verifier.Check{Policy: p, Verification: verifier.Verification{ID: c.Verification.ID, ClosesAt: at.Add(p.Window.D()),
		Deployment: verifier.Deployment{Service: n.service, Environment: c.Verification.Deployment.Environment, Version: n.version, StartedAt: at, FinishedAt: at}}}
	unprepared(&out)
	return out
}

// askNeighbour measures and judges a neighbour.
func (e *Engine) askNeighbour(ctx context.Context, c verifier.Check, h judge.Harm, now time.Time) judge.Fared {
	if len(c.Signals) == 0 {
		return unknown("no policy has a decisive signal of it from Prometheus")
	}
	d := c.Verification.Deployment
	leftOut, err := e.o.Store.LeftOut(ctx, d.Service, d.Environment, d.StartedAt.Add(-judge.Reach(c.Policy)))
	if err != nil {
		return unknown(err.Error())
	}
	for i := range c.Signals {
		s := &c.Signals[i]
		e.prepareSignal(ctx, c, c.Policy.Signals[i], s, leftOut)
		s.Observations = e.measureSignal(ctx, c, c.Policy.Signals[i], *s, now)
	}
	fared, err := judge.Fare(evidence(c, nil), h, now)
	if err != nil {
		return unknown(err.Error())
	}
	return fared
}

func unknown(why string) judge.Fared {
	return judge.Fared{State: verifier.NeighbourUnknown, Why: why}
}
