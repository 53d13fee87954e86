package configs

import (
	"regexp"
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
		d.literal(&g.Repository, repositoryForm, "must be OWNER/NAME, such as acme/checkout, or a template of it")
		d.literal(&g.Commit, commitForm, wholeHash)
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
		d.literal(&g.Project, projectForm, "must be a project's path, such as acme/checkout, its number, or a template of either")
		d.literal(&g.Commit, commitForm, wholeHash)
	}
	if g := r.Grafana; g != nil {
		d.staticURL(&g.URL)
		d.literal(&g.Dashboard, uidForm, "must be the uid of a dashboard, which stands in its address behind /d/: 1 to 40 letters, digits, dashes and underscores")
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

var (
	projectForm = regexp.MustCompile(`^([0-9]+|[^/\s]+(/[^/\s]+)+)$`)
	commitForm  = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	uidForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
)

const wholeHash = "must be a template of a whole hash, such as {{ .Deployment.Labels.git_sha }}: 40 or 64 letters and digits"

// literal checks a name that is written out and so is the same for every deploy.
func (d *decoder) literal(field *string, form *regexp.Regexp, must string) {
	if d.usable(field) && !strings.Contains(*field, "{{") && strings.TrimSpace(*field) != "" && !form.MatchString(strings.TrimSpace(*field)) {
		d.fail(d.at(field), field, "%s", must)
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
