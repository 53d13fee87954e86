package configs

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// kindDefaults is what a signal has when nothing else is written: the
// tolerances of the decision research, section 2.5.
type kindDefaults struct {
	kind     verifier.SignalKind
	role     verifier.Role
	relative float64
	absolute float64
}

var signalDefaults = map[verifier.SourceKind]kindDefaults{
	verifier.FromRatio:   {verifier.Ratio, verifier.Decisive, 0.25, 1e-4},
	verifier.FromLatency: {verifier.Ratio, verifier.Decisive, 0.15, 2e-3},
	verifier.FromProbe:   {verifier.Ratio, verifier.Decisive, 0.25, 1e-2},
	verifier.FromAlerts:  {verifier.Ratio, verifier.Advisory, 0.25, 5e-2},
	verifier.FromTickets: {verifier.Count, verifier.Advisory, 0.5, 0.5},
	verifier.FromValue:   {verifier.Value, verifier.Decisive, 0.05, 0},
	verifier.FromTraffic: {verifier.Value, verifier.Advisory, 0.3, 0},
	verifier.FromVotes:   {kind: verifier.Voting, role: verifier.Advisory},
}

// signal checks a signal and turns it into that of the domain.
func (d *decoder) signal(s *signalSpec, c context, interval time.Duration) verifier.Signal {
	out := verifier.Signal{Name: s.Name}
	if !d.oneSource(s) {
		return out
	}
	switch {
	case s.Ratio != nil:
		out.RatioSource = d.ratio(s.Ratio, c)
	case s.Latency != nil:
		out.LatencySource = d.latency(s.Latency, c)
	case s.Value != nil:
		out.ValueSource = d.value(s.Value, c)
		out.Worse = verifier.Worse(s.Value.Worse)
	case s.Traffic != nil:
		out.TrafficSource = d.traffic(s.Traffic, c)
		out.Worse = verifier.WorseLower
	case s.Probe != nil:
		out.ProbeSource = d.probe(s.Probe, interval)
	case s.Alerts != nil:
		out.AlertSource = d.alerts(s.Alerts, c)
	case s.Votes != nil:
		out.VoteSource = d.votes(s.Votes, c)
	case s.Tickets != nil:
		out.TicketSource = &verifier.TicketSource{Feed: s.Tickets.Feed}
		if d.usable(&s.Tickets.Feed) {
			d.refers(d.at(&s.Tickets.Feed), "feed", "feeds", c.feeds)
		}
	}
	defaults := signalDefaults[out.Source()]
	out.Kind, out.Role = defaults.kind, defaults.role
	if s.Role != "" {
		out.Role = verifier.Role(s.Role)
	}
	out.Required = out.Role == verifier.Decisive && out.VoteSource == nil // whoever has no time to vote holds nothing up
	if d.usable(&s.Required) {
		out.Required = s.Required
	}
	if out.VoteSource != nil {
		d.uncounted(s)
		return out
	}
	d.tolerance(&s.Tolerance, &out, defaults)
	d.limits(s, &out)
	return out
}

// oneSource checks that there is exactly one thing to measure.
func (d *decoder) oneSource(s *signalSpec) bool {
	var written []string
	var second *node
	for _, source := range []struct {
		name  verifier.SourceKind
		field any
	}{
		{verifier.FromRatio, &s.Ratio}, {verifier.FromLatency, &s.Latency}, {verifier.FromValue, &s.Value},
		{verifier.FromTraffic, &s.Traffic}, {verifier.FromProbe, &s.Probe}, {verifier.FromTickets, &s.Tickets},
		{verifier.FromAlerts, &s.Alerts}, {verifier.FromVotes, &s.Votes},
	} {
		if d.written(source.field) {
			written = append(written, string(source.name))
			second = d.at(source.field)
		}
	}
	switch {
	case d.failed[s] || d.strange[s] && len(written) == 0:
		return false
	case len(written) == 0:
		d.problem(d.at(s), "has nothing to judge: write one of ratio, latency, value, traffic, probe, tickets, alerts or votes")
		return false
	case len(written) > 1:
		d.problem(second, "is the second thing to judge in one signal: keep one of %s, and make a signal of each other", choices(written))
		return false
	}
	return true
}

// alerts checks whose alerts count.
func (d *decoder) alerts(a *alertsSpec, c context) *verifier.AlertSource {
	if d.usable(&a.Source) {
		d.refers(d.at(&a.Source), "source of format alertmanager", "sources", c.alerting)
	}
	if d.usable(&a.Heartbeat) && a.Heartbeat < time.Minute {
		d.fail(d.at(&a.Heartbeat), &a.Heartbeat, "must be at least 1m")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if _, err := path.Match(a.Labels[name], ""); err != nil {
			d.problem(d.at(&a.Labels), "%s: %q is not a pattern such as crit*", name, a.Labels[name])
		}
	}
	return &verifier.AlertSource{Source: a.Source, Labels: a.Labels, Heartbeat: verifier.Duration(a.Heartbeat)}
}

// mostVoters is more people than any policy needs.
const mostVoters = 1000

// votes checks whose votes count, and how many it takes.
func (d *decoder) votes(v *votesSpec, c context) *verifier.VoteSource {
	d.once("role or access entry", v.From)
	for i := range v.From {
		if d.usable(&v.From[i]) && v.From[i] != "" {
			d.refers(d.at(&v.From[i]), "role or access entry", "access, of entries that may vote or decide", c.people.voters())
		}
	}
	for _, n := range []*int{&v.NoAtLeast, &v.YesAtLeast} {
		if d.usable(n) && (*n < 1 || *n > mostVoters) {
			d.fail(d.at(n), n, "must be between 1 and %d people", mostVoters)
		}
	}
	return &verifier.VoteSource{From: v.From, NoAtLeast: v.NoAtLeast, YesAtLeast: v.YesAtLeast}
}

// uncounted refuses what is about levels: votes have none.
func (d *decoder) uncounted(s *signalSpec) {
	for _, field := range []any{&s.Tolerance, &s.AtMost, &s.AtLeast} {
		if d.written(field) {
			d.problem(d.at(field), "means nothing for votes: they are counted, see no_at_least and yes_at_least under votes")
		}
	}
}

// figure reads a number in the signal's own unit: a share for ratios.
func figure(kind verifier.SignalKind, text string) (float64, error) {
	if kind == verifier.Ratio {
		v, err := parseShare(text)
		return float64(v), err
	}
	return parseNumber(text)
}

func (d *decoder) tolerance(t *toleranceSpec, out *verifier.Signal, defaults kindDefaults) {
	out.Delta, out.Epsilon = defaults.relative, defaults.absolute
	if d.usable(&t.Relative) {
		out.Delta = float64(t.Relative)
		if t.Relative > 10 {
			d.got(d.at(&t.Relative), "must be at most 1000%%: more than that would never be noticed")
		}
	}
	if d.usable(&t.Absolute) {
		v, err := figure(out.Kind, t.Absolute)
		switch {
		case err != nil:
			d.fail(d.at(&t.Absolute), &t.Absolute, "%s", err)
		case v < 0:
			d.fail(d.at(&t.Absolute), &t.Absolute, "must not be negative")
		case out.Kind == verifier.Ratio && v >= 1:
			d.fail(d.at(&t.Absolute), &t.Absolute, "must be less than 100%%: more than that would never be noticed")
		default:
			out.Epsilon = v
		}
	}
	if d.usable(t) && !d.failed[&t.Relative] && !d.failed[&t.Absolute] && out.Delta == 0 && out.Epsilon == 0 {
		d.problem(d.at(t), "leaves no tolerance at all: relative or absolute must be more than 0")
	}
}

func (d *decoder) limits(s *signalSpec, out *verifier.Signal) {
	for _, limit := range []struct {
		written *string
		into    **float64
	}{{&s.AtMost, &out.AtMost}, {&s.AtLeast, &out.AtLeast}} {
		if !d.usable(limit.written) {
			continue
		}
		n := d.at(limit.written)
		v, err := figure(out.Kind, *limit.written)
		switch {
		case err != nil:
			d.got(n, "%s", err)
		case out.Kind == verifier.Ratio && v > 1:
			d.got(n, "must be at most 100%%: it is a share")
		case out.Kind == verifier.Count && v < 0:
			d.got(n, "must not be negative: it is a number of tickets an hour")
		default:
			*limit.into = &v
		}
	}
	if out.AtMost != nil && out.AtLeast != nil && *out.AtLeast >= *out.AtMost {
		d.got(d.at(&s.AtLeast), "must be less than at_most")
	}
}

// server checks the name of a Prometheus, or finds the only one. n is where
// the source stands.
func (d *decoder) server(field *string, c context) string {
	if d.written(field) {
		if d.usable(field) {
			d.refers(d.at(field), "Prometheus", "prometheus", c.servers)
		}
		return *field
	}
	switch len(c.servers) {
	case 0:
		d.problem(d.at(field), "there is no Prometheus to ask: add one under prometheus")
	case 1:
		return c.servers[0]
	default:
		d.problem(d.at(field), "is required where there are several Prometheus: %s", choices(c.servers))
	}
	return ""
}

var quantile = regexp.MustCompile(`^p([5-9][0-9])(\.[0-9])?$`)

func threshold(text string) bool {
	if quantile.MatchString(text) {
		return true
	}
	prom, err := parseDuration(text)
	if err != nil {
		return false
	}
	// Those who measure may read it either way.
	plain, err := time.ParseDuration(text)
	return err == nil && plain == prom && prom > 0 && prom <= 10*time.Minute
}

func (d *decoder) selector(field *string, histogram bool) {
	if !d.usable(field) {
		return
	}
	n := d.at(field)
	if selector, ok := d.promql(n); ok {
		if problem := selectorProblem(selector, histogram); problem != "" {
			d.detailed(n, problem)
		}
	}
}

// promql checks the template of a query and returns it with sample values.
func (d *decoder) promql(n *node) (string, bool) {
	rendered, ok := d.render(n, sampleTarget)
	if !ok {
		return "", false
	}
	if problem := unsafeAction(n.text); problem != "" {
		d.got(n, "%s", problem)
		return "", false
	}
	if strings.TrimSpace(rendered) == "" {
		d.got(n, "is empty")
		return "", false
	}
	return rendered, true
}
