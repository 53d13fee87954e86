package configs

import (
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// checkMachines checks the receivers that are systems rather than people.
func (d *decoder) checkMachines(r *Receiver) {
	within := func(timeout *time.Duration) { d.between(timeout, time.Second, 20*time.Second) }
	if g := r.GitHub; g != nil {
		d.staticURL(&g.URL)
		within(&g.Timeout)
		d.naming(&g.Repository, &g.Commit, &g.Context)
		if g.Status == "deployment" {
			for _, field := range []*string{&g.Commit, &g.Context} {
				if d.usable(field) {
					d.problem(d.at(field), "goes with status: commit only")
				}
			}
		}
	}
	if g := r.GitLab; g != nil {
		d.staticURL(&g.URL)
		within(&g.Timeout)
		d.naming(&g.Project, &g.Commit, &g.StatusName)
	}
	if g := r.Grafana; g != nil {
		d.staticURL(&g.URL)
		within(&g.Timeout)
	}
	if c := r.CDEvents; c != nil {
		d.staticURL(&c.URL)
		within(&c.Timeout)
	}
	if s := r.Shoutrrr; s != nil {
		within(&s.Timeout)
		d.serviceURL(&s.URL)
	}
}

// naming checks templates of names: that they can be read, and every name in
// them. Labels differ from source to source, so nothing is tried.
func (d *decoder) naming(fields ...*string) {
	for _, field := range fields {
		if !d.usable(field) {
			continue
		}
		n := d.at(field)
		t, err := verifier.NewTemplate("", n.text)
		if err != nil {
			d.foreign(n, "is not a template that can be read", templateError(err))
			continue
		}
		if t.Tree == nil || strings.TrimSpace(n.text) == "" {
			d.got(n, "names nothing: take the key out for what the source told")
			continue
		}
		if what := unknownName(t); what != "" {
			d.detailed(n, what)
		}
	}
}

// serviceURL checks the form of a service URL of shoutrrr, which is a secret:
// what is wrong is told without it.
func (d *decoder) serviceURL(s *Secret) {
	if !d.usable(s) {
		return
	}
	if scheme, _, found := strings.Cut(s.Reveal(), "://"); !found || scheme == "" || strings.ContainsAny(s.Reveal(), " \t\r\n") {
		d.problem(d.at(s), "must hold one service URL of shoutrrr, such as ntfy://ntfy.sh/TOPIC, and nothing else")
		d.failed[s] = true
	}
}
