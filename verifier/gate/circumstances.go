package gate

import (
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

func policy(f Facts, _ said) *result {
	var r result
	if f.Policy == nil {
		r = unknown("no policy matches %s in %s, so nothing would watch the deploy: add one to the configuration, or check the names", f.Ask.Service, f.Ask.Environment)
	} else {
		r = passed("policy %s will watch the deploy for %s", f.Policy.Name, span(f.Policy.Window.D()))
	}
	return &r
}

// phase: the version was cleared where it went before.
func phase(f Facts, _ said) *result {
	g := f.gate()
	if len(g.Phases) == 0 {
		return nil
	}
	before, known := g.PhaseBefore(f.Ask.Environment)
	v, m := f.State.Before, f.State.BeforeMark
	var r result
	switch {
	case !known:
		r = unknown("%s is none of the phases %s: add it to phases, or match it by another policy", f.Ask.Environment, strings.Join(g.Phases, ", "))
	case before == "":
		r = passed("%s is the first phase", f.Ask.Environment)
	case m != nil && m.Decision == string(verifier.MarkBad):
		r = failed("%s marked %s bad in %s, the phase before, at %s (%q): mark it good there first", m.By, f.Ask.Version, before, clock(m.At), m.Reason)
	case v == nil:
		r = failed("%s was not deployed to %s, the phase before", f.Ask.Version, before)
	case v.Effective == verifier.Revert:
		r = failed("%s was reverted in %s, the phase before (%s)", f.Ask.Version, before, v.ID)
	case v.Effective == verifier.Keep || v.ClearedAt != nil && v.Effective == "":
		r = passed("%s was cleared in %s (%s)", f.Ask.Version, before, v.ID)
	case !v.State.Final():
		r = failed("%s is still watched in %s, the phase before (%s, until %s)", f.Ask.Version, before, v.ID, clock(v.ClosesAt))
	default:
		r = failed("%s was not cleared in %s, the phase before (%s: %s)", f.Ask.Version, before, v.ID, outcome(*v))
	}
	return &r
}

func outcome(v verifier.Verification) string {
	if v.Effective != "" {
		return string(v.Effective)
	}
	return string(v.State)
}

// watching: what is deployed while an earlier deploy is watched takes its
// verdict away.
func watching(f Facts, _ said) *result {
	if d := f.State.Running; d != nil {
		r := failed("%s is being deployed since %s: wait for its end", d.Version, clock(d.StartedAt))
		return &r
	}
	if len(f.State.Watched) == 0 {
		r := passed("no earlier deploy is being watched")
		return &r
	}
	v := f.State.Watched[0]
	about := fmt.Sprintf("%s is being watched (%s, until %s)", v.Deployment.Version, v.ID, clock(v.ClosesAt))
	if f.gate().WhileWatching {
		r := passed("%s, which the policy allows", about)
		return &r
	}
	r := failed("%s: wait for its verdict, `postflight wait %s`", about, v.ID)
	return &r
}

func rollback(f Facts, _ said) *result {
	v := f.State.OpenRevert
	if v == nil {
		return nil
	}
	r := failed("the rollback %s of %s to %s is %s: wait for its end", v.Action.RevertID, v.Deployment.Version, v.Action.TargetVersion, v.Action.State)
	return &r
}

// freeze: nothing goes where a person or the calendar said stop. The caps hold
// automatic reverts alone back: the fix of what they were reached by may go.
func freeze(f Facts, _ said) *result {
	stops, since := stopped(f)
	if len(stops) > 0 {
		r := failed("%s", strings.Join(stops, "; "))
		r.since = since
		return &r
	}
	for _, z := range f.Frozen {
		if z.Kind == verifier.FrozenByCaps {
			r := passed("%s in %s is frozen by its caps (%s) %s: a deploy is judged, and not rolled back by itself; `postflight unfreeze %s %s --reason ...` ends that",
				z.Service, z.Environment, z.Reason, until(z), z.Service, z.Environment)
			return &r
		}
	}
	r := passed("nothing is frozen")
	return &r
}

// stopped is everything by which people, or the calendar, stopped releases, and
// when the last person did.
func stopped(f Facts) (stops []string, since time.Time) {
	for _, z := range f.Frozen {
		if z.Kind == verifier.FrozenByCaps {
			continue
		}
		stops = append(stops, fmt.Sprintf("%s in %s is frozen by %s (%s), %s: `postflight unfreeze %s %s --reason ...`, or a yes with `--waive freeze`",
			z.Service, z.Environment, z.By, z.Reason, until(z), z.Service, z.Environment))
		since = latest(since, z.At)
	}
	switch held := f.State.Brake.Held; {
	case held != nil:
		stops = append(stops, fmt.Sprintf("%s engaged the brake at %s (%q): nothing would be rolled back by itself until a person releases it", held.By, clock(held.At), held.Reason))
		since = latest(since, held.At)
	case f.Brake:
		stops = append(stops, "the brake is engaged: nothing would be rolled back by itself until a person releases it")
	}
	if f.Policy != nil {
		for _, p := range f.Policy.Freezes {
			if p.Contains(f.Now) {
				stops = append(stops, fmt.Sprintf("the calendar's freeze %s is in force", p.Name))
			}
		}
	}
	return stops, since
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func until(z verifier.Freeze) string {
	if z.Until.IsZero() {
		return "until somebody unfreezes it"
	}
	return "until " + clock(z.Until)
}

func window(f Facts, _ said) *result {
	if f.Policy == nil || len(f.Policy.ReleaseWindows) == 0 {
		return nil
	}
	names := make([]string, 0, len(f.Policy.ReleaseWindows))
	for _, p := range f.Policy.ReleaseWindows {
		if p.Contains(f.Now) {
			r := passed("the release window %s is open", p.Name)
			return &r
		}
		names = append(names, p.Name)
	}
	r := failed("it is outside the release windows (%s)", strings.Join(names, ", "))
	return &r
}

func knownGood(f Facts, _ said) *result {
	if !f.gate().KnownGood {
		return nil
	}
	var r result
	if t := f.State.Target; t != nil {
		r = passed("%s is known to be good, and can be returned to", t.Version)
	} else {
		r = failed("no version is known to be good: there would be none to return to; mark one, `postflight mark %s %s VERSION good --reason ...`", f.Ask.Service, f.Ask.Environment)
	}
	return &r
}

func hook(f Facts, _ said) *result {
	return answered(f.gate().RollbackAnswers, f.Hook, "the rollback hook")
}

func smoke(f Facts, _ said) *result {
	return answered(len(f.gate().Smoke) > 0, f.Smoke, "the staging address")
}

func incidents(f Facts, _ said) *result {
	return answered(len(f.gate().Incidents) > 0, f.Incidents, "the source of incidents")
}

// answered is what asking something outside says of it.
func answered(wanted bool, a *Answer, what string) *result {
	if !wanted {
		return nil
	}
	var r result
	switch {
	case a == nil:
		r = unknown("%s was not asked", what)
	case !a.Known:
		r = unknown("%s", a.Detail)
	case !a.Good:
		r = failed("%s", a.Detail)
	default:
		r = passed("%s", a.Detail)
	}
	return &r
}
