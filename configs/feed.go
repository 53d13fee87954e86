package configs

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Feed is where the number of tickets of a service comes from: a preset that
// knows the ticket system, a format that reads any other, or tickets that are
// pushed.
type Feed struct {
	// Name is what a tickets signal refers to.
	Name string `yaml:"name" required:"true"`
	// Format is json, the default, or csv: any address that answers with that;
	// prometheus: a query; push: tickets that the ticket system sends to
	// /api/v1/feeds/NAME.
	Format string `yaml:"format" oneof:"json csv prometheus push"`
	// Preset is a ticket system that postflight knows; instead of a format.
	Preset string `yaml:"preset" oneof:"zendesk zendesk_incremental jira jira_data_center freshdesk servicenow intercom github_issues pagerduty"`
	// URL is the address: for a preset that of the system, for json and csv a
	// template of the address to read, over .Service, .Environment, .Version
	// and the times .From and .To, such as {{ .From.Unix }}.
	URL string `yaml:"url"`
	// Filter says in the preset's own query language which tickets count; a
	// template over .Service, .Environment and .Version, whose values may hold
	// letters, digits and . _ / - only. Such as tags:{{ .Service }} for
	// zendesk.
	Filter string `yaml:"filter"`
	// Count is the RFC 9535 path to the number of tickets in the answer of a
	// json feed, such as $.count.
	Count string `yaml:"count"`
	// Tickets is the path to the list of tickets in the answer of a json feed
	// that tells no number, such as $.tickets.
	Tickets string `yaml:"tickets"`
	// CreatedAt is where in a ticket of a json feed its time is, such as
	// $.created_at; of a csv feed the name of the column.
	CreatedAt string `yaml:"created_at"`
	// ID is where a ticket's id is, by which one that is listed twice counts
	// once; a path or column.
	ID string `yaml:"id"`
	// Service is where a ticket says what it is about, such as $.tags; a path
	// or column. Only tickets that hold the service's name there count. For
	// presets that list tickets, json with tickets, and csv.
	Service string `yaml:"service"`
	// Reporter is where a ticket says who opened it, such as $.requester_id; a
	// path or column.
	Reporter string `yaml:"reporter"`
	// OncePerReporter lets a ticket count only when the same reporter opened
	// none in that time before it, up to 7d, so that one angry reporter with
	// thirty tickets counts once. For feeds that list tickets.
	OncePerReporter time.Duration `yaml:"once_per_reporter" default:"0s"`
	// Next is the path to the address of the next page in the answer of a json
	// feed with tickets, on the same host; absent, null or empty on the last
	// page.
	Next string `yaml:"next"`
	// Query is the PromQL of a prometheus feed: it yields one number, the
	// tickets of the last $range, such as
	// sum(increase(tickets_opened_total{service="{{ .Service }}"}[$range])).
	Query string `yaml:"query"`
	// Prometheus is the name of the server that a prometheus feed asks; the
	// only one by default.
	Prometheus string `yaml:"prometheus"`
	// TimeZone is where times without an offset are, in the address and in the
	// answer, as in Europe/Zurich.
	TimeZone string `yaml:"time_zone" default:"UTC"`
	// Rate is how many requests a minute the feed may be asked, half of them for
	// history: 1 to 6000. Where it isn't written, what suits the preset; 1200
	// for json and prometheus, 60 for csv.
	Rate int `yaml:"rate"`
	// Lag is how long a ticket takes to show up: that much of the newest past
	// is not looked at yet, and what was looked at is asked for once more when
	// it is that much older. At most 1h. Where it isn't written, what suits the
	// preset; else 0s.
	Lag time.Duration `yaml:"lag"`
	// BearerToken authenticates the request, in the way of the preset.
	BearerToken Secret `yaml:"bearer_token_file"`
	// BasicAuth authenticates the request; instead of a token.
	BasicAuth *BasicAuth `yaml:"basic_auth"`
}

// OwnLag is the Lag of a feed that leaves it to its preset.
const OwnLag time.Duration = -1

// Kind is the feed's preset or format.
func (f Feed) Kind() string {
	if f.Preset != "" {
		return f.Preset
	}
	return f.Format
}

// Keys of a feed, by what they make sense for.
var (
	feedAddress = []string{"url", "bearer_token_file", "basic_auth", "time_zone", "rate"}
	feedOfList  = []string{"service", "reporter", "once_per_reporter"}
	feedKeys    = map[string][]string{
		"json":       append(slices.Concat(feedAddress, feedOfList), "count", "tickets", "created_at", "id", "next"),
		"csv":        append(slices.Concat(feedAddress, feedOfList), "created_at", "id"),
		"prometheus": {"query", "prometheus", "rate"},
		"push":       {"once_per_reporter"},

		"zendesk":             append(slices.Clone(feedAddress), "filter"),
		"zendesk_incremental": slices.Concat(feedAddress, feedOfList),
		"jira":                append(slices.Clone(feedAddress), "filter"),
		"jira_data_center":    append(slices.Clone(feedAddress), "filter"),
		"freshdesk":           slices.Concat(feedAddress, feedOfList),
		"servicenow":          append(slices.Clone(feedAddress), "filter"),
		"intercom":            append(slices.Clone(feedAddress), "filter"),
		"github_issues":       append(slices.Clone(feedAddress), "filter"),
		"pagerduty":           append(slices.Concat(feedAddress, feedOfList), "filter"),
	}
	feedRequires = map[string][]feedNeed{
		"json":             {{"url", "the address to read"}},
		"csv":              {{"url", "the address to read"}, {"created_at", "the name of the column with the time of a ticket"}},
		"prometheus":       {{"query", "the PromQL that yields the tickets of the last $range"}},
		"jira":             {{"filter", "JQL that says where to look, such as project = SUP"}},
		"jira_data_center": {{"filter", "JQL that says where to look, such as project = SUP"}},
		"github_issues":    {{"filter", "where to look, such as repo:acme/shop"}},
	}
)

type feedNeed struct{ key, what string }

func (d *decoder) checkFeeds(f *file) {
	servers := values(named(f.Prometheus, func(p *Prometheus) *string { return &p.Name }))
	for i := range f.Feeds {
		d.feed(&f.Feeds[i], servers)
	}
}

// feedFields are the keys that only some kinds of feed have.
func feedFields(f *Feed) []struct {
	key   string
	field any
} {
	return []struct {
		key   string
		field any
	}{
		{"url", &f.URL}, {"filter", &f.Filter}, {"count", &f.Count}, {"tickets", &f.Tickets}, {"created_at", &f.CreatedAt}, {"id", &f.ID},
		{"service", &f.Service}, {"reporter", &f.Reporter}, {"once_per_reporter", &f.OncePerReporter}, {"next", &f.Next}, {"query", &f.Query},
		{"prometheus", &f.Prometheus}, {"time_zone", &f.TimeZone}, {"rate", &f.Rate}, {"bearer_token_file", &f.BearerToken}, {"basic_auth", &f.BasicAuth},
	}
}

func (d *decoder) feed(f *Feed, servers []string) {
	d.auth(&f.BearerToken, f.BasicAuth, &f.BasicAuth)
	d.between(&f.Lag, 0, time.Hour)
	d.between(&f.OncePerReporter, 0, 7*24*time.Hour)
	d.count(&f.Rate, 1, 6000)
	if d.written(&f.Preset) && d.written(&f.Format) {
		d.problem(d.at(&f.Format), "is written beside preset: keep one of them")
		return
	}
	if !d.written(&f.Preset) && !d.written(&f.Format) {
		f.Format = "json"
	}
	if !d.written(&f.Lag) && f.Preset != "" {
		f.Lag = OwnLag
	}
	if d.failed[f] || d.failed[&f.Preset] || d.failed[&f.Format] {
		return
	}
	d.feedKeys(f)
	d.feedParts(f, servers)
	if d.usable(&f.TimeZone) {
		if _, err := time.LoadLocation(f.TimeZone); err != nil || f.TimeZone == "Local" {
			d.got(d.at(&f.TimeZone), "must be a time zone such as UTC or Europe/Zurich")
		}
	}
	if f.Preset == "zendesk_incremental" && d.usable(&f.Lag) && f.Lag < time.Minute {
		d.got(d.at(&f.Lag), "must be at least 1m: the export leaves the last minute out")
	}
}

// feedKeys checks that a feed has the keys of its kind and no others.
func (d *decoder) feedKeys(f *Feed) {
	kind := f.Kind()
	for _, key := range feedFields(f) {
		if !d.written(key.field) || slices.Contains(feedKeys[kind], key.key) {
			continue
		}
		var takes []string
		for _, other := range slices.Sorted(maps.Keys(feedKeys)) {
			if slices.Contains(feedKeys[other], key.key) {
				takes = append(takes, other)
			}
		}
		d.problem(d.at(key.field), "means nothing for %s: it belongs to %s", kind, choices(takes))
	}
	needs := feedRequires[kind]
	if f.Preset != "" {
		needs = append([]feedNeed{{"url", "the address of the system"}}, needs...)
	}
	for _, need := range needs {
		for _, key := range feedFields(f) {
			if key.key == need.key && !d.written(key.field) && !d.strange[f] {
				d.problem(d.at(key.field), "is required for %s: %s", kind, need.what)
			}
		}
	}
}

// feedParts checks the values of the keys.
func (d *decoder) feedParts(f *Feed, servers []string) {
	switch f.Kind() {
	case "json":
		d.templateURL(&f.URL, sampleFeed)
		d.feedAnswer(f)
	case "csv":
		d.templateURL(&f.URL, sampleFeed)
	case "prometheus":
		f.Prometheus = d.server(&f.Prometheus, context{servers: servers})
		if d.usable(&f.Query) {
			d.feedQuery(d.at(&f.Query))
		}
		return
	case "push":
		return
	default:
		d.staticURL(&f.URL)
		if d.usable(&f.Filter) {
			d.render(d.at(&f.Filter), sampleTarget)
		}
		d.feedPaths(f)
	}
	knowsReporter := f.Preset == "zendesk_incremental" || f.Preset == "freshdesk"
	if lists := f.Kind() != "json" || d.written(&f.Tickets); lists && !knowsReporter && slices.Contains(feedKeys[f.Kind()], "reporter") && f.OncePerReporter > 0 && !d.written(&f.Reporter) {
		d.problem(d.at(&f.OncePerReporter), "needs reporter: where a ticket says who opened it")
	}
}

// feedAnswer checks where in a JSON answer the number or the tickets are.
func (d *decoder) feedAnswer(f *Feed) {
	list := d.written(&f.Tickets)
	switch {
	case list && d.written(&f.Count):
		d.problem(d.at(&f.Tickets), "is written beside count: keep one of them")
	case !list && !d.written(&f.Count) && !d.strange[f]:
		d.problem(d.at(&f.Count), "is required for format json: the path to the number of tickets, such as $.count; or tickets, the path to their list")
	case list && !d.written(&f.CreatedAt) && !d.strange[f]:
		d.problem(d.at(&f.CreatedAt), "is required beside tickets: where in a ticket its time is, such as $.created_at")
	case !list:
		for _, key := range feedFields(f) {
			if slices.Contains([]string{"created_at", "id", "service", "reporter", "once_per_reporter", "next"}, key.key) && d.written(key.field) {
				d.problem(d.at(key.field), "needs tickets, the path to a list: a number doesn't tell its parts")
			}
		}
	}
	d.feedPaths(f)
}

func (d *decoder) feedPaths(f *Feed) {
	for _, p := range []*string{&f.Count, &f.Tickets, &f.CreatedAt, &f.ID, &f.Service, &f.Reporter, &f.Next} {
		if d.usable(p) {
			d.path(d.at(p), *p)
		}
	}
}

// feedQuery checks the query of a prometheus feed.
func (d *decoder) feedQuery(n *node) {
	if _, ok := d.promql(n); ok && !strings.Contains(n.text, "$range") {
		d.got(n, "must hold $range, which becomes the time that is asked about, as in increase(tickets_total[$range])")
	}
}
