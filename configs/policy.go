package configs

import (
	"path"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	minWindow  = 5 * time.Second
	maxWindow  = 7 * 24 * time.Hour
	maxHistory = 90 * 24 * time.Hour
	maxStep    = 5 * time.Minute
)

// policies checks the policies and turns them into those of the domain.
func (d *decoder) policies(f *file) {
	c := context{
		servers:   values(named(f.Prometheus, func(p *Prometheus) *string { return &p.Name })),
		feeds:     values(named(f.Feeds, func(f *Feed) *string { return &f.Name })),
		alerting:  alerting(f.Sources),
		receivers: values(named(f.Receivers, func(r *Receiver) *string { return &r.Name })),
		rollbacks: values(named(f.Rollbacks, func(r *Rollback) *string { return &r.Name })),

		periods:     d.calendar(f.Calendar),
		periodNames: values(named(f.Calendar, func(p *periodSpec) *string { return &p.Name })),
		people:      peopleOf(f.Access),
	}
	for i := range f.Policies {
		p := &f.Policies[i]
		d.match(p, f.Policies[:i])
		d.times(p)
		if d.usable(&p.FalseReverts) && (p.FalseReverts <= 0 || p.FalseReverts > 0.2) {
			d.got(d.at(&p.FalseReverts), "must be more than 0 and at most 20%%")
		}
		d.told(p, c)
		d.dependsOn(p)
		out := verifier.Policy{
			Name: p.Name, Match: verifier.Match{Service: p.Match.Service, Environment: p.Match.Environment},
			Mode: verifier.Mode(p.Mode), Window: verifier.Duration(p.Window), Interval: verifier.Duration(p.Interval),
			Step: verifier.Duration(p.Step), Warmup: verifier.Duration(p.Warmup), Soak: verifier.Duration(p.Soak),
			FalseReverts: float64(p.FalseReverts), OnInconclusive: verifier.Inconclusiveness(p.OnInconclusive),
			History: verifier.Duration(p.History), Receivers: p.Receivers, Tell: tell(f.Receivers, p.Receivers), Rollback: p.Rollback,
			RevertExpires: verifier.Duration(f.Safety.RevertExpiresAfter),
			DependsOn:     p.DependsOn, OnAmbiguous: verifier.OnAmbiguous(p.OnAmbiguous),
		}
		d.acting(p, &out, c)
		out.Gate = d.gate(p, c)
		d.unique("signal of this policy", named(p.Signals, func(s *signalSpec) *string { return &s.Name }))
		if d.usable(&p.Signals) && len(p.Signals) == 0 {
			d.problem(d.at(&p.Signals), "has no signal: there would be nothing to judge")
		}
		for j := range p.Signals {
			out.Signals = append(out.Signals, d.signal(&p.Signals[j], c, p.Interval))
		}
		f.Config.Policies = append(f.Config.Policies, out)
	}
	for _, list := range []struct {
		field any
		empty bool
		what  string
	}{
		{&f.Policies, len(f.Policies) == 0, "has no policy: there would be nothing to verify"},
		{&f.Sources, len(f.Sources) == 0, "has no source: nobody could announce a deploy"},
	} {
		if d.usable(list.field) && list.empty {
			d.problem(d.at(list.field), "%s", list.what)
		}
	}
}

// context is what policies may refer to.
type context struct {
	servers, feeds, receivers, rollbacks []string
	alerting                             []string // sources of alerts

	periods     map[string]verifier.Period
	periodNames []string
	people      people
}

// match checks the patterns, and that an earlier policy leaves something over.
func (d *decoder) match(p *policySpec, earlier []policySpec) {
	for _, pattern := range []*string{&p.Match.Service, &p.Match.Environment} {
		if !d.usable(pattern) {
			continue
		}
		if _, err := path.Match(*pattern, ""); err != nil || *pattern == "" {
			d.got(d.at(pattern), "must be a pattern such as checkout or shop-*; a [ needs its ]")
			d.failed[pattern] = true
		}
	}
	if d.failed[&p.Match] || d.failed[&p.Match.Service] || d.failed[&p.Match.Environment] {
		return
	}
	for i := range earlier {
		e := &earlier[i]
		if d.failed[e] || d.failed[&e.Match] || d.failed[&e.Match.Service] || d.failed[&e.Match.Environment] {
			continue
		}
		if (e.Match == matchSpec{} || e.Match == p.Match) {
			d.problem(d.at(p), "is never used: the policy on line %d comes first and matches all that this one does", d.at(e).line)
			return
		}
	}
}

// told checks who hears of the verdict and what acts on it.
func (d *decoder) told(p *policySpec, c context) {
	seen := map[string]bool{}
	for i := range p.Receivers {
		n := d.at(&p.Receivers[i])
		if !d.usable(&p.Receivers[i]) {
			continue
		}
		d.refers(n, "receiver", "receivers", c.receivers)
		if seen[n.text] {
			d.got(n, "is written twice: it would be told twice")
		}
		seen[n.text] = true
	}
	switch {
	case d.usable(&p.Rollback):
		d.refers(d.at(&p.Rollback), "rollback", "rollbacks", c.rollbacks)
	case p.Mode == string(verifier.Enforce) && !d.written(&p.Rollback):
		d.problem(d.at(&p.Mode), "needs a rollback: write which one is to be called, or mode shadow")
	}
}

// dependsOn checks the names of dependencies. A service that is matched may
// itself be among them: it doesn't count for itself.
func (d *decoder) dependsOn(p *policySpec) {
	for i := range p.DependsOn {
		if !d.usable(&p.DependsOn[i]) {
			continue
		}
		switch name := p.DependsOn[i]; {
		case name == "":
			d.got(d.at(&p.DependsOn[i]), "must be the name of a service")
		case slices.Contains(p.DependsOn[:i], name):
			d.got(d.at(&p.DependsOn[i]), "is written twice")
		}
	}
}

// times caps the defaults that don't fit a short window, and checks what was
// written.
func (d *decoder) times(p *policySpec) {
	if !d.between(&p.Window, minWindow, maxWindow) {
		return // nothing can be said about the others
	}
	d.capped(&p.Interval, p.Window)
	d.capped(&p.Step, p.Window/5)
	d.capped(&p.Warmup, p.Window/4)
	d.capped(&p.Soak, p.Window/2)
	if !d.written(&p.History) {
		p.History = max(p.History, 2*p.Window)
	}
	window := text(p.Window)
	d.rule(&p.Interval, p.Interval >= time.Second && p.Interval <= p.Window, "must be between 1s and the window, "+window)
	d.rule(&p.Step, p.Step >= time.Second && p.Step <= maxStep && p.Step%time.Second == 0, "must be whole seconds between 1s and 5m")
	d.rule(&p.Step, p.Step <= p.Window/5, "must be at most a fifth of the window, "+text(p.Window/5)+": there would be too few steps to judge")
	d.rule(&p.Warmup, p.Warmup < p.Window, "must be less than the window, "+window+": nothing would be judged")
	d.rule(&p.Soak, p.Soak <= p.Window, "must be at most the window, "+window)
	d.rule(&p.History, p.History >= 2*p.Window && p.History <= maxHistory, "must be between two windows, "+text(2*p.Window)+", and 90d")
}

// capped lowers a default to what fits, in whole seconds.
func (d *decoder) capped(field *time.Duration, most time.Duration) {
	if !d.written(field) {
		*field = min(*field, max(most.Truncate(time.Second), time.Second))
	}
}

// rule reports what was written and doesn't hold, once a field.
func (d *decoder) rule(field *time.Duration, holds bool, what string) {
	if d.usable(field) && !holds {
		d.fail(d.at(field), field, "%s", what)
	}
}

// alerting returns the names of the sources that tell of alerts.
func alerting(sources []Source) []string {
	var out []string
	for _, s := range sources {
		if s.Format == "alertmanager" {
			out = append(out, s.Name)
		}
	}
	return out
}
