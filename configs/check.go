package configs

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/theory/jsonpath"
)

// check checks everything that a single value can't tell about itself, and
// turns policies into those of the domain.
func (d *decoder) check(f *file) {
	d.storageURL(&f.Storage)
	d.unique("source", named(f.Sources, func(s *Source) *string { return &s.Name }))
	d.unique("Prometheus", named(f.Prometheus, func(p *Prometheus) *string { return &p.Name }))
	d.unique("feed", named(f.Feeds, func(f *Feed) *string { return &f.Name }))
	d.unique("receiver", named(f.Receivers, func(r *Receiver) *string { return &r.Name }))
	d.unique("rollback", named(f.Rollbacks, func(r *Rollback) *string { return &r.Name }))
	d.unique("access", named(f.Access, func(a *Access) *string { return &a.Name }))
	d.unique("policy", named(f.Policies, func(p *policySpec) *string { return &p.Name }))
	d.checkSources(f)
	d.checkPrometheus(f.Prometheus)
	d.checkFeeds(f)
	d.checkReceivers(f.Receivers)
	for i := range f.Rollbacks {
		d.checkKind(&f.Rollbacks[i], f.Rollbacks[i].Webhook)
		d.staticURL(&f.Rollbacks[i].Ready)
	}
	d.checkAccess(f.Access)
	d.checkEgress(&f.Egress)
	d.checkSafety(&f.Safety)
	d.count(&f.Metrics.Series, 10, 10_000)
	if f.SelfCheck != nil {
		step := d.step(f.SelfCheck, 10*time.Second, false)
		f.Config.SelfCheck = &step
	}
	d.policies(f)
	d.checkRetention(f)
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func named[T any](list []T, name func(*T) *string) []*string {
	out := make([]*string, len(list))
	for i := range list {
		out[i] = name(&list[i])
	}
	return out
}

// unique checks the form of names, and that there are no two alike.
func (d *decoder) unique(what string, names []*string) {
	first := map[string]int{}
	for _, name := range names {
		if d.at(name) == nil || !d.usable(name) {
			continue
		}
		n := d.at(name)
		if !nameForm.MatchString(*name) {
			d.got(n, "must be a name of 1 to 63 letters, digits, dots, dashes and underscores")
			continue
		}
		if line, seen := first[*name]; seen {
			d.got(n, "another %s has that name already, on line %d", what, line)
			continue
		}
		first[*name] = n.line
	}
}

// refers checks a reference to one of the configured names.
func (d *decoder) refers(n *node, what, section string, names []string) {
	if slices.Contains(names, n.text) {
		return
	}
	if len(names) == 0 {
		d.got(n, "unknown %s: there is none under %s", what, section)
		return
	}
	near := suggestion(n.text, names)
	if near == "" {
		near = "; configured: " + choices(names)
	}
	d.got(n, "unknown %s%s", what, near)
}

func values(names []*string) []string {
	var out []string
	for _, name := range names {
		if *name != "" {
			out = append(out, *name)
		}
	}
	return out
}

// between checks that a duration that was written lies within limits, both
// included.
func (d *decoder) between(field *time.Duration, least, most time.Duration) bool {
	if d.usable(field) && (*field < least || *field > most) {
		d.fail(d.at(field), field, "must be between %s and %s%s", text(least), text(most), d.usual(field))
	}
	return !d.failed[field]
}

// count checks that a whole number that was written lies within limits.
func (d *decoder) count(field *int, least, most int) bool {
	if d.usable(field) && (*field < least || *field > most) {
		d.fail(d.at(field), field, "must be between %d and %d%s", least, most, d.usual(field))
	}
	return !d.failed[field]
}

// usual tells what a field is that isn't written, "" where it is nothing.
func (d *decoder) usual(field any) string {
	if def := d.defaults[field]; def != "" && def != "0" && def != "0s" {
		return ", by default " + def
	}
	return ""
}

// text writes a duration as it would be written in the file.
func text(v time.Duration) string {
	units := []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
	out := ""
	for _, u := range units {
		if count := v / u.d; count > 0 {
			out += fmt.Sprintf("%d%s", count, u.name)
			v -= count * u.d
		}
	}
	if out == "" {
		return "0s"
	}
	return out
}

func (d *decoder) checkSafety(s *Safety) {
	d.count(&s.Brake.Reverts, 1, 100)
	d.between(&s.Brake.Within, time.Minute, 24*time.Hour)
	d.between(&s.RevertExpiresAfter, time.Minute, 24*time.Hour)
	d.count(&s.Attribution.Ask, 1, 50)
	d.count(&s.Attribution.Worse, 1, 50)
	if d.usable(&s.Attribution.WorseShare) && (s.Attribution.WorseShare <= 0 || s.Attribution.WorseShare > 1) {
		d.got(d.at(&s.Attribution.WorseShare), "must be more than 0 and at most 100%%")
	}
	hour, day := d.count(&s.Caps.PerHour, 1, 100), d.count(&s.Caps.PerDay, 1, 100)
	if hour && day && s.Caps.PerDay < s.Caps.PerHour {
		n := d.at(&s.Caps.PerDay)
		if !d.written(&s.Caps.PerDay) {
			n = d.at(&s.Caps.PerHour)
		}
		d.got(n, "allows more reverts in an hour than in a day (%d and %d): write per_day as well, at least per_hour", s.Caps.PerHour, s.Caps.PerDay)
	}
}

func (d *decoder) checkEgress(e *Egress) {
	for i, p := range e.Allow {
		if p.IsValid() && p.Addr().Unmap().IsLinkLocalUnicast() {
			d.got(d.at(&e.Allow[i]), "is link-local, where metadata services are: those addresses are refused always")
		}
	}
}

// path checks an RFC 9535 path, at n.
func (d *decoder) path(n *node, path string) {
	if _, err := jsonpath.Parse(path); err != nil {
		d.foreign(n, "is not a JSON path such as $.count", without(err, "jsonpath: "))
	}
}

// checkKind checks that a receiver or rollback, given as pointer, is of
// exactly one kind.
func (d *decoder) checkKind(owner any, webhook *Webhook) {
	var known, written []string
	var second *node
	for _, k := range kindsOf(owner) {
		known = append(known, k.name)
		if d.written(k.field) {
			written = append(written, k.name)
			second = d.at(k.field)
		}
	}
	n := d.at(owner)
	switch {
	case d.failed[owner] || d.strange[owner]:
	case len(written) == 0:
		d.problem(n, "has no kind: write one of %s", choices(known))
	case len(written) > 1:
		d.problem(second, "is of more than one kind: keep one of %s", choices(written))
	}
	if webhook != nil {
		d.staticURL(&webhook.URL)
		d.between(&webhook.Timeout, time.Second, 20*time.Second)
		d.signingSecret(&webhook.Secret)
	}
}

const retentionAtMost = 3650 * 24 * time.Hour

// checkRetention checks the times for which things are kept against one another,
// and against the past that policies look at.
func (d *decoder) checkRetention(f *file) {
	r := &f.Storage.Retention
	usable := true
	for _, field := range []*time.Duration{&r.Observations, &r.Verifications, &r.DeliveryIDs} {
		usable = d.between(field, 24*time.Hour, retentionAtMost) && usable
	}
	if !usable {
		return
	}
	for _, p := range f.Config.Policies {
		least := p.History.D() + p.Window.D()
		switch {
		case r.Observations >= least:
		case !d.written(&r.Observations):
			r.Observations = least
		default:
			d.got(d.at(&r.Observations), "must be at least the history and window of policy %q, %s: raise it, or lower the policy's history", p.Name, text(least))
			return
		}
	}
	for _, shorter := range []struct {
		name  string
		field *time.Duration
	}{{"observations", &r.Observations}, {"delivery_ids", &r.DeliveryIDs}} {
		if *shorter.field <= r.Verifications {
			continue
		}
		n := d.at(shorter.field)
		if !d.written(shorter.field) {
			n = d.at(&r.Verifications)
		}
		d.got(n, "%s would be kept for longer than what they belong to (%s and %s): raise verifications, or lower %s",
			shorter.name, text(*shorter.field), text(r.Verifications), shorter.name)
	}
}
