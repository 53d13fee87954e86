package configs

import (
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// people is what gates may refer to of the access entries.
type people struct {
	names []string
	roles []string // that somebody who may decide has
	may   []string // names of those who may vote
}

// voters are the names whose votes a policy may count: of entries and of roles.
func (p people) voters() []string { return append(slices.Clone(p.may), p.roles...) }

func peopleOf(list []Access) people {
	var p people
	for _, a := range list {
		p.names = append(p.names, a.Name)
		if slices.Contains(a.May, "decide") {
			p.roles = append(p.roles, a.Roles...)
		}
		if a.votes() {
			p.may = append(p.may, a.Name)
		}
	}
	return p
}

// gate checks a policy's gate and turns it into that of the domain.
func (d *decoder) gate(p *policySpec, c context) *verifier.GatePolicy {
	if p.Gate == nil {
		return nil
	}
	g := p.Gate
	out := &verifier.GatePolicy{
		SignOffs: g.SignOffs, Final: g.Final, SelfApproval: g.SelfApproval == "allow", Expires: verifier.Duration(g.Expires),
		KnownGood: g.KnownGood, RollbackAnswers: g.RollbackAnswers, Phases: g.Phases, WhileWatching: g.WhileWatching == "go",
	}
	d.rule(&g.Expires, g.Expires >= time.Hour && g.Expires <= maxHistory, "must be between 1h and 90d")
	d.roles(g, c)
	d.unique("item of this checklist", named(g.Checklist, func(i *itemSpec) *string { return &i.Name }))
	for i := range g.Checklist {
		out.Checklist = append(out.Checklist, d.item(&g.Checklist[i], c))
	}
	for i := range g.Smoke {
		out.Smoke = append(out.Smoke, d.step(&g.Smoke[i], defaultStepTimeout, true))
	}
	for i := range g.Incidents {
		out.Incidents = append(out.Incidents, *d.alerts(&g.Incidents[i], c))
	}
	d.once("phase", g.Phases)
	if d.usable(&g.Phases) && len(g.Phases) < 2 {
		d.problem(d.at(&g.Phases), "needs at least two environments, in the order of the rollout")
	}
	if g.RollbackAnswers && d.usable(&g.RollbackAnswers) && !d.written(&p.Rollback) {
		d.problem(d.at(&g.RollbackAnswers), "needs the policy's rollback: there is no hook to ask")
	}
	return out
}

// roles checks that somebody may speak in each role: a misspelt one would hold
// every release for ever.
func (d *decoder) roles(g *gateSpec, c context) {
	d.once("role", g.SignOffs)
	fields := []*string{&g.Final}
	for i := range g.SignOffs {
		fields = append(fields, &g.SignOffs[i])
	}
	for _, field := range fields {
		if d.usable(field) {
			d.refers(d.at(field), "role", "access, as roles of an entry that may decide", c.people.roles)
		}
	}
}

// once checks that no name of a list is empty or written twice.
func (d *decoder) once(what string, list []string) {
	for i := range list {
		if !d.usable(&list[i]) {
			continue
		}
		if list[i] == "" {
			d.got(d.at(&list[i]), "must be the name of a %s", what)
		} else if slices.Contains(list[:i], list[i]) {
			d.got(d.at(&list[i]), "is written twice")
		}
	}
}

func (d *decoder) item(i *itemSpec, c context) verifier.ChecklistItem {
	for j := range i.By {
		if d.usable(&i.By[j]) {
			d.refers(d.at(&i.By[j]), "access entry", "access", c.people.names)
		}
	}
	d.between(&i.Within, time.Minute, maxHistory)
	return verifier.ChecklistItem{Name: i.Name, By: i.By, Within: verifier.Duration(i.Within)}
}
