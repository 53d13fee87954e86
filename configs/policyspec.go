package configs

import "time"

// policySpec is a policy as the file has it.
type policySpec struct {
	// Name is shown with every verdict.
	Name string `yaml:"name" required:"true"`
	// Match selects services and environments; without it the policy matches
	// every deploy.
	Match matchSpec `yaml:"match"`
	// Mode shadow judges and tells and calls nothing; enforce calls the
	// rollback.
	Mode string `yaml:"mode" default:"shadow" oneof:"shadow enforce"`
	// Window is from the deploy's finish to the last possible verdict, 5s to
	// 7d.
	Window time.Duration `yaml:"window" default:"60m"`
	// Interval is how often it looks, 1s to the window.
	Interval time.Duration `yaml:"interval" default:"15s"`
	// Step is the resolution of observations and history: whole seconds, 1s to
	// 5m, at most a fifth of the window.
	Step time.Duration `yaml:"step" default:"60s"`
	// Warmup is when judging begins: cold caches are not blamed. Less than the
	// window; by default at most a quarter of it.
	Warmup time.Duration `yaml:"warmup" default:"3m"`
	// Soak is how long a deploy is watched before it can be cleared, at most
	// the window; by default at most half of it.
	Soak time.Duration `yaml:"soak" default:"15m"`
	// FalseReverts is how often a good deploy may be reverted, however often
	// it is looked at: more than 0, at most 20%.
	FalseReverts share `yaml:"false_reverts" default:"1%"`
	// OnInconclusive says what people are told about an inconclusive verdict:
	// keep tells it like a keep, page as something to look at now. Neither
	// reverts.
	OnInconclusive string `yaml:"on_inconclusive" default:"keep" oneof:"keep page"`
	// History is the past that says what is usual: at least two windows, at
	// most 90d.
	History time.Duration `yaml:"history" default:"7d"`
	// Signals are what is watched; at least one.
	Signals []signalSpec `yaml:"signals" required:"true"`
	// Receivers are told the verdicts, by name.
	Receivers []string `yaml:"receivers"`
	// Rollback is called in mode enforce, by name.
	Rollback string `yaml:"rollback"`
	// ReleaseWindows are periods of the calendar within which rollbacks act by
	// themselves, and the gate may say go; outside rollbacks wait for a person.
	// Always by default.
	ReleaseWindows []string `yaml:"release_windows"`
	// Freezes are periods of the calendar within which rollbacks wait for a
	// person, and the gate says no-go.
	Freezes []string `yaml:"freezes"`
	// IrreversiblePaths are patterns such as db/migrations/**: a deploy whose
	// changed_paths match one is irreversible. ** stands for any number of
	// folders, and * for anything but a slash.
	IrreversiblePaths []string `yaml:"irreversible_paths"`
	// LiveVersion tells which version runs, to confirm rollbacks by.
	LiveVersion *liveVersionSpec `yaml:"live_version"`
	// DependsOn are services of the same environment that this one needs. When
	// one of them got worse since the deploy, whether or not it was deployed
	// itself, the verdict is inconclusive: the harm is explained. They are judged
	// by the policy that matches their name.
	DependsOn []string `yaml:"depends_on"`
	// OnAmbiguous says what becomes of a bad deploy while deploys of other
	// services overlap with it: hold reverts only the one that is bad while all
	// others are not, and is inconclusive otherwise; independent judges each
	// alone.
	OnAmbiguous string `yaml:"on_ambiguous" default:"hold" oneof:"hold independent"`
	// Gate is what must hold before a release may be deployed; see docs/gate.md.
	Gate *gateSpec `yaml:"gate"`
}

// matchSpec selects deploys by shell patterns: * and ? match anything but a
// slash, [a-z] a range.
type matchSpec struct {
	// Service is a pattern for the service; all by default.
	Service string `yaml:"service"`
	// Environment is a pattern for the environment; all by default.
	Environment string `yaml:"environment"`
}

// signalSpec is one thing watched after a deploy. Exactly one of ratio,
// latency, value, traffic, probe, tickets and alerts is written.
type signalSpec struct {
	// Name is shown in every reason.
	Name string `yaml:"name" required:"true"`
	// Role decisive may revert by itself; advisory may corroborate or hold a
	// keep, never revert alone. Tickets, traffic, alerts and votes are advisory by
	// default, all others decisive.
	Role string `yaml:"role" oneof:"decisive advisory"`
	// Required makes the verdict inconclusive when too little of the signal
	// could be measured; by default the decisive ones are, but for votes: of them
	// it takes yes_at_least people's yes where they are required.
	Required bool `yaml:"required"`
	// Tolerance is the harm that doesn't matter.
	Tolerance toleranceSpec `yaml:"tolerance"`
	// AtMost is an absolute limit: a share such as 5% for ratio, latency (of
	// slow requests), probe (of failed runs) and alerts (of the time), tickets an hour for tickets,
	// events a minute for traffic, a number for value. It must be broken with confidence, not on one
	// sample.
	AtMost string `yaml:"at_most"`
	// AtLeast is the same from below.
	AtLeast string `yaml:"at_least"`

	// Ratio is a share of events, from two counters.
	Ratio *ratioSpec `yaml:"ratio"`
	// Latency is the share of slow requests, from a histogram.
	Latency *latencySpec `yaml:"latency"`
	// Value is one number over time, from a query.
	Value *valueSpec `yaml:"value"`
	// Traffic is how much the service is asked to do; it is bad when it falls.
	Traffic *trafficSpec `yaml:"traffic"`
	// Probe is a sequence of HTTP requests that must all succeed.
	Probe *probeSpec `yaml:"probe"`
	// Tickets is the number of tickets opened.
	Tickets *ticketsSpec `yaml:"tickets"`
	// Alerts is the share of the time in which an alert was firing.
	Alerts *alertsSpec `yaml:"alerts"`
	// Votes is what people say of the deploy while it is watched.
	Votes *votesSpec `yaml:"votes"`
}

// toleranceSpec says from where harm matters: expected * (1 + relative) +
// absolute. Both can't be 0.
type toleranceSpec struct {
	// Relative is a share of what is expected. By default 25% for ratio, probe
	// and alerts, 15% for latency, 30% for traffic, 50% for tickets, 5% for value.
	Relative share `yaml:"relative"`
	// Absolute is in the signal's own unit. By default 0.01% for ratio, 0.2%
	// for latency, 1% for probe, 5% for alerts, 0.5 an hour for tickets, 0 for value and
	// traffic.
	Absolute string `yaml:"absolute"`
}

// ratioSpec is a share of events. Both counters are selectors, such as
// http_requests_total{service="{{ .Service }}"}: postflight adds increase()
// and sum() itself. Templates stand within quotes only, where their values can
// be escaped.
type ratioSpec struct {
	// Server is the name of the Prometheus; needed only where there are
	// several.
	Server string `yaml:"server"`
	// Bad selects the counter of bad events.
	Bad string `yaml:"bad" required:"true"`
	// Total selects the counter of all events.
	Total string `yaml:"total" required:"true"`
	// Control selects the same counters of a control group: peers that take
	// the same traffic and were not deployed to, such as another region. What
	// hits both alike is then not blamed on the deploy.
	Control *ratioControlSpec `yaml:"control"`
}

// ratioControlSpec is a control group's share, on the same Prometheus.
type ratioControlSpec struct {
	// Bad selects the control group's counter of bad events.
	Bad string `yaml:"bad" required:"true"`
	// Total selects the control group's counter of all events.
	Total string `yaml:"total" required:"true"`
}

// latencySpec is the share of requests slower than a threshold.
type latencySpec struct {
	// Server is the name of the Prometheus; needed only where there are
	// several.
	Server string `yaml:"server"`
	// Histogram selects a classic or native histogram, without _bucket.
	Histogram string `yaml:"histogram" required:"true"`
	// SlowerThan is p50 to p99.9, that quantile of the baseline, or a time
	// such as 300ms, at most 10m.
	SlowerThan string `yaml:"slower_than" default:"p95"`
	// Control selects the same histogram of a control group: peers that take
	// the same traffic and were not deployed to. It is held to the service's
	// own threshold, so that a classic one needs the same bucket boundary.
	Control string `yaml:"control"`
}

// valueSpec is one number over time.
type valueSpec struct {
	// Server is the name of the Prometheus; needed only where there are
	// several.
	Server string `yaml:"server"`
	// Query is PromQL that yields exactly one series; templates within quotes
	// only.
	Query string `yaml:"query" required:"true"`
	// Worse is the direction that is bad.
	Worse string `yaml:"worse" default:"both" oneof:"higher lower both"`
	// Control is the same query for a control group: peers that were not
	// deployed to. It yields exactly one series as well, in the same unit.
	Control string `yaml:"control"`
}

// trafficSpec is how much a service is asked to do, in events a minute. It is
// advisory by default, for people's behaviour makes traffic fall as well, and
// so do instances that can't be scraped.
type trafficSpec struct {
	// Server is the name of the Prometheus; needed only where there are
	// several.
	Server string `yaml:"server"`
	// Total selects the counter of all events, such as
	// http_requests_total{service="{{ .Service }}"}: postflight adds rate()
	// and sum() itself. A counter that stands still is no traffic; one that
	// vanishes is not measured.
	Total string `yaml:"total" required:"true"`
	// Control selects the same counter of a control group: peers that were not
	// deployed to, whose traffic falls when people go to bed.
	Control string `yaml:"control"`
}

// probeSpec is a sequence of HTTP requests.
type probeSpec struct {
	// Steps are made in their order until one fails.
	Steps []stepSpec `yaml:"steps" required:"true"`
	// ConsecutiveFailures in a row are bad at once, without waiting for the
	// statistics; 1 to 100.
	ConsecutiveFailures int `yaml:"consecutive_failures" default:"3"`
}

// ticketsSpec is the number of tickets opened.
type ticketsSpec struct {
	// Feed is the name of a feed.
	Feed string `yaml:"feed" required:"true"`
}

// votesSpec counts people's yes and no to a deploy while it is watched, the newest
// of each person. Nobody voting is neither good nor bad.
type votesSpec struct {
	// From are the roles or access entries whose votes count; all who may vote by
	// default.
	From []string `yaml:"from"`
	// NoAtLeast is how many people's no make it bad: 1 lets one person alone
	// revert, where the signal is decisive.
	NoAtLeast int `yaml:"no_at_least" default:"2"`
	// YesAtLeast is how many people's yes make it good, while not enough say no.
	YesAtLeast int `yaml:"yes_at_least" default:"1"`
}

// alertsSpec is the alerts about the deploy's service and environment that an
// alerting system sends: each step of the policy in which one was firing counts
// as bad, so that an alert which fired before the deploy is not blamed on it,
// and one that is soon resolved counts little.
type alertsSpec struct {
	// Source is the name of a source of format alertmanager.
	Source string `yaml:"source" required:"true"`
	// Labels are patterns that an alert's labels must match, such as severity:
	// critical or alertname: "Checkout*". * and ? match anything but a slash. All
	// alerts count by default.
	Labels map[string]string `yaml:"labels"`
	// Heartbeat is how long after its last notification the source is believed to
	// be alive: what comes later is not measured, rather than quiet. It needs an
	// alert that always fires and is repeated more often than this (repeat_interval).
	// At least 1m; without it a source that has told anything once is believed.
	Heartbeat time.Duration `yaml:"heartbeat"`
}

// stepSpec is one HTTP request and what its answer must be. Exactly one of the
// methods is written, with the address: http or https, a template over
// .Service, .Environment and .Version.
type stepSpec struct {
	// Name is shown when the step fails.
	Name string `yaml:"name"`
	// Get is the address of a GET request.
	Get string `yaml:"get"`
	// Head is the address of a HEAD request.
	Head string `yaml:"head"`
	// Post is the address of a POST request.
	Post string `yaml:"post"`
	// Put is the address of a PUT request.
	Put string `yaml:"put"`
	// Patch is the address of a PATCH request.
	Patch string `yaml:"patch"`
	// Delete is the address of a DELETE request.
	Delete string `yaml:"delete"`
	// Options is the address of an OPTIONS request.
	Options string `yaml:"options"`
	// Headers are sent as they stand. Policies are stored and shown with each
	// verdict, so nothing secret belongs here.
	Headers map[string]string `yaml:"headers"`
	// Body is sent; a template like the address.
	Body string `yaml:"body"`
	// FollowRedirects follows them, within egress.allow.
	FollowRedirects bool `yaml:"follow_redirects"`
	// Timeout is for the whole step: more than 0, at most the policy's
	// interval or 10s, whichever is longer. By default at most the interval.
	Timeout time.Duration `yaml:"timeout" default:"10s"`
	// Expect is what the answer must be; any 2xx by default.
	Expect expectSpec `yaml:"expect"`
}

// expectSpec is what an answer must be: everything that is written must hold.
type expectSpec struct {
	// Status is one status code, or a list of those that are good; any 2xx by
	// default.
	Status []int `yaml:"status,single"`
	// Within is the latest time of the answer, less than the timeout.
	Within time.Duration `yaml:"within"`
	// Headers maps a name to a regular expression that one of its values must
	// match.
	Headers map[string]string `yaml:"headers"`
	// Body is a regular expression that the body must match, or a list of
	// them.
	Body []string `yaml:"body,single"`
	// BodyNot is a regular expression that the body must not match, or a list
	// of them.
	BodyNot []string `yaml:"body_not,single"`
	// JSON maps an RFC 9535 path to the value that it must select.
	JSON map[string]anyJSON `yaml:"json"`
}
