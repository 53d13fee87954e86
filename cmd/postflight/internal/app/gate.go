package app

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/api"
	"github.com/postflight/postflight/verifier/gate"
	"github.com/postflight/postflight/verifier/safety"
)

// localCaller is who decides where no access is configured.
const localCaller = "local"

// gatekeeper answers the gate by what is configured, stored and seen outside,
// and logs and counts what it answers.
type gatekeeper struct {
	store   Storage
	current func() *current
	outside *scout
	metrics *metrics
	log     *slog.Logger
}

func (a *App) gatekeeper() gatekeeper {
	return gatekeeper{a.store, a.current.Load, a.outside, a.metrics, a.o.Log}
}

// waitsFor is how long after the gate was asked last a release is taken to wait
// at it: nobody says that one was given up.
const waitsFor = 24 * time.Hour

// Ask answers whether a release may be deployed. What is outside is asked
// first, for that takes a while; then everything else is read, decided and
// recorded in one transaction, so that a no or a revert which came meanwhile
// counts.
func (k gatekeeper) Ask(ctx context.Context, ask verifier.GateAsk) (verifier.GateVerdict, error) {
	cur := k.current()
	f := gate.Facts{Ask: ask}
	if p, ok := verifier.PolicyFor(cur.config.Policies, ask.Service, ask.Environment); ok {
		f.Policy = &p
		if p.Gate != nil {
			f.Ask.Before, _ = p.Gate.PhaseBefore(ask.Environment)
		}
	} else {
		f.Ask.Record = false // nobody asked for these to be watched, and any name would leave a row
	}
	if ask.Record && f.Policy != nil {
		seen := k.outside.ask(ctx, cur, *f.Policy, ask.Release)
		f.Hook, f.Smoke, f.Incidents = seen.hook, seen.smoke, seen.incidents
	}
	now := time.Now().UTC()
	g, _ := k.GateOf(ask.Location())
	f.People = people(cur.access, g)
	v, err := k.store.Gate(ctx, f.Ask, now, func(s verifier.GateState) verifier.GateVerdict {
		f.Now, f.State = now, s
		f.Frozen = safety.Frozen(s.Freezing, now, cur.limits)
		f.Frozen = slices.DeleteFunc(f.Frozen, func(z verifier.Freeze) bool { return z.Location() != ask.Location() })
		f.Brake = safety.BrakeEngaged(s.Brake, cur.limits)
		return gate.Decide(f)
	})
	if err != nil {
		return v, err
	}
	if v.ID != "" && v.At.Equal(v.LastAt) {
		k.metrics.gateDecisions.WithLabelValues(string(v.Decision)).Inc()
		k.log.Info("gate", "decision", string(v.Decision), "id", v.ID, "service", v.Service, "environment", v.Environment, "version", v.Version, "asked_by", v.AskedBy)
	}
	return v, nil
}

// people are the access entries that may decide, with what a yes of theirs may
// waive.
func people(access []api.Access, g verifier.GatePolicy) map[string]gate.Person {
	out := map[string]gate.Person{}
	for _, a := range access {
		if slices.Contains(a.May, string(api.Decide)) {
			out[a.Name] = gate.Person{Roles: a.Roles, Accounts: a.Accounts, Waives: a.Waives(g)}
		}
	}
	if len(access) == 0 {
		out[localCaller] = gate.Person{Waives: g.Final == ""}
	}
	return out
}

// Speak records a word about a release.
func (k gatekeeper) Speak(ctx context.Context, w verifier.GateWord) (verifier.GateWord, error) {
	w.At = w.At.UTC().Truncate(time.Microsecond) // as it is stored
	w, err := k.store.Speak(ctx, w)
	if err != nil {
		return w, err
	}
	k.log.Info("word about a release", "id", w.ID, "decision", string(w.Kind), "service", w.Service, "environment", w.Environment, "version", w.Version,
		"role", w.Role, "item", w.Item, "by", w.By, "reason", w.Reason)
	return w, nil
}

// Word returns what was said under an id.
func (k gatekeeper) Word(ctx context.Context, id string) (verifier.GateWord, error) {
	return k.store.Word(ctx, id)
}

// ReleaseRecord returns what is known of a version of a service.
func (k gatekeeper) ReleaseRecord(ctx context.Context, service, version, environment string) (verifier.ReleaseRecord, error) {
	return k.store.ReleaseRecord(ctx, service, version, environment)
}

// GateOf returns what is asked of the releases of a place.
func (k gatekeeper) GateOf(where verifier.Location) (g verifier.GatePolicy, known bool) {
	p, known := verifier.PolicyFor(k.current().config.Policies, where.Service, where.Environment)
	if p.Gate != nil {
		g = *p.Gate
	}
	return g, known
}
