package verifier

// SignalKind is the shape of a signal's observations; it chooses the judge's
// method.
type SignalKind string

// The kinds of signals.
const (
	Ratio  SignalKind = "ratio" // bad events among total opportunities
	Count  SignalKind = "count" // events in a span of time
	Value  SignalKind = "value" // a number
	Voting SignalKind = "vote"  // people's yes and no
)

// Role says whether a signal may revert by itself.
type Role string

// The roles of a signal.
const (
	Decisive Role = "decisive"
	Advisory Role = "advisory" // may corroborate or hold a keep, never revert alone
)

// Worse says which direction of a value is bad.
type Worse string

// The directions of a value signal.
const (
	WorseHigher Worse = "higher"
	WorseLower  Worse = "lower"
	WorseBoth   Worse = "both"
)

// Signal is one thing watched after a deploy: what is measured, how it is
// judged, and what role it plays. Exactly one of the sources is set.
type Signal struct {
	Name     string     `json:"name"`
	Kind     SignalKind `json:"kind"`
	Role     Role       `json:"role"`
	Required bool       `json:"required"`        // too few measured steps make the verdict inconclusive
	Worse    Worse      `json:"worse,omitempty"` // value signals only

	// Delta and Epsilon are the tolerance: harm matters from
	// expected*(1+Delta)+Epsilon. Epsilon is in the signal's own unit (a
	// share for ratios, events an hour for counts).
	Delta   float64 `json:"delta"`
	Epsilon float64 `json:"epsilon"`

	// AtMost and AtLeast are absolute limits in the signal's own unit; they
	// must be broken with confidence, not on one sample, and were seen kept
	// before the deploy: without any history a limit can't revert.
	AtMost  *float64 `json:"at_most,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`

	RatioSource   *RatioSource   `json:"ratio,omitempty"`
	LatencySource *LatencySource `json:"latency,omitempty"`
	ValueSource   *ValueSource   `json:"value,omitempty"`
	ProbeSource   *ProbeSource   `json:"probe,omitempty"`
	TicketSource  *TicketSource  `json:"tickets,omitempty"`
	TrafficSource *TrafficSource `json:"traffic,omitempty"`
	AlertSource   *AlertSource   `json:"alerts,omitempty"`
	VoteSource    *VoteSource    `json:"votes,omitempty"`
}

// SourceKind names where a signal's observations come from; it chooses the
// probe that measures it and is the kind label of
// postflight_observations_total.
type SourceKind string

// The kinds of sources.
const (
	FromRatio   SourceKind = "ratio"
	FromLatency SourceKind = "latency"
	FromValue   SourceKind = "value"
	FromProbe   SourceKind = "probe"
	FromTickets SourceKind = "tickets"
	FromTraffic SourceKind = "traffic"
	FromAlerts  SourceKind = "alerts"
	FromVotes   SourceKind = "votes"
)

// HasControl reports whether the signal is judged against peers without a
// deploy: then the difference counts, not the level.
func (s Signal) HasControl() bool {
	switch {
	case s.RatioSource != nil:
		return s.RatioSource.Control != nil
	case s.LatencySource != nil:
		return s.LatencySource.Control != ""
	case s.ValueSource != nil:
		return s.ValueSource.Control != ""
	case s.TrafficSource != nil:
		return s.TrafficSource.Control != ""
	}
	return false
}

// Source returns which source the signal has, "" when none is set.
func (s Signal) Source() SourceKind {
	switch {
	case s.RatioSource != nil:
		return FromRatio
	case s.LatencySource != nil:
		return FromLatency
	case s.ValueSource != nil:
		return FromValue
	case s.ProbeSource != nil:
		return FromProbe
	case s.TicketSource != nil:
		return FromTickets
	case s.TrafficSource != nil:
		return FromTraffic
	case s.AlertSource != nil:
		return FromAlerts
	case s.VoteSource != nil:
		return FromVotes
	}
	return ""
}

// Server returns the name of the configured Prometheus that the signal asks, ""
// where it asks none.
func (s Signal) Server() string {
	switch {
	case s.RatioSource != nil:
		return s.RatioSource.Server
	case s.LatencySource != nil:
		return s.LatencySource.Server
	case s.ValueSource != nil:
		return s.ValueSource.Server
	case s.TrafficSource != nil:
		return s.TrafficSource.Server
	}
	return ""
}

// RatioSource is a share of events, from two counters of a Prometheus.
type RatioSource struct {
	Server string `json:"server"` // name of the configured Prometheus
	Bad    string `json:"bad"`    // selector template of the counter of bad events
	Total  string `json:"total"`  // selector template of the counter of all events
	// Control are the same counters of peers without a deploy; nil without a
	// control group.
	Control *RatioControl `json:"control,omitempty"`
}

// RatioControl is a ratio's control group.
type RatioControl struct {
	Bad   string `json:"bad"`   // selector template
	Total string `json:"total"` // selector template
}

// LatencySource is the share of requests slower than a threshold, from a
// classic or native histogram of a Prometheus.
type LatencySource struct {
	Server    string `json:"server"`
	Histogram string `json:"histogram"` // selector template, without _bucket
	// SlowerThan is "p50" to "p99.9" (that quantile of the baseline, taken at
	// a real bucket boundary) or a time such as "300ms".
	SlowerThan string `json:"slower_than"`
	// Control is the same histogram of peers without a deploy; "" without a
	// control group.
	Control string `json:"control,omitempty"`
}

// ValueSource is one number over time, from a PromQL query that yields exactly
// one series.
type ValueSource struct {
	Server string `json:"server"`
	Query  string `json:"query"` // PromQL template
	// Control is the same query for peers without a deploy; "" without a
	// control group.
	Control string `json:"control,omitempty"`
}

// TrafficSource is how much a service is asked to do, as events a minute from
// one counter of a Prometheus; it is bad when it falls.
type TrafficSource struct {
	Server  string `json:"server"`
	Total   string `json:"total"`             // selector template of the counter of all events
	Control string `json:"control,omitempty"` // the same of peers without a deploy
}

// ProbeSource is a sequence of HTTP requests that must all succeed; one run is
// one opportunity.
type ProbeSource struct {
	Steps []ProbeStep `json:"steps"`
	// ConsecutiveFailures in a row are bad at once, without waiting for the
	// statistics; at least 1.
	ConsecutiveFailures int `json:"consecutive_failures"`
}

// ProbeStep is one HTTP request and what its answer must be.
type ProbeStep struct {
	Name            string            `json:"name,omitempty"`
	Method          string            `json:"method"` // GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
	URL             string            `json:"url"`    // template
	Headers         map[string]string `json:"headers,omitempty"`
	Body            string            `json:"body,omitempty"` // template
	FollowRedirects bool              `json:"follow_redirects,omitempty"`
	Timeout         Duration          `json:"timeout"` // for the whole step, at most 10s by default
	Expect          Expect            `json:"expect"`
}

// Expect is what a probe step's answer must be; every assertion that is set
// must hold.
type Expect struct {
	Status []int    `json:"status,omitempty"` // any of these; any 2xx when empty
	Within Duration `json:"within,omitempty"` // latency limit; 0 is none
	// Headers maps a name to a regular expression that one of its values
	// must match.
	Headers map[string]string `json:"headers,omitempty"`
	// Body are regular expressions that the body must match, BodyNot those
	// that it must not.
	Body    []string `json:"body,omitempty"`
	BodyNot []string `json:"body_not,omitempty"`
	// JSON maps an RFC 9535 path to the value that it must select.
	JSON map[string]any `json:"json,omitempty"`
}

// TicketSource is the number of tickets opened, from a configured feed.
type TicketSource struct {
	Feed string `json:"feed"`
}

// Target is what a template may name: the deploy that a signal watches.
type Target struct {
	Service     string
	Environment string
	Version     string
}

// Target returns what the deployment's signals are about.
func (d Deployment) Target() Target {
	return Target{Service: d.Service, Environment: d.Environment, Version: d.Version}
}

// Plan is a signal made concrete for one deploy: templates rendered,
// thresholds chosen from the baseline. It is fixed when the verification
// opens and kept with it.
type Plan struct {
	// Query is what people may paste into the source to see the same.
	Query string `json:"query"`
	// Bad, Total and Value are rendered PromQL with the step baked in.
	Bad   string `json:"bad,omitempty"`
	Total string `json:"total,omitempty"`
	Value string `json:"value,omitempty"`
	// ControlBad, ControlTotal and ControlValue are the same for the control
	// group.
	ControlBad   string `json:"control_bad,omitempty"`
	ControlTotal string `json:"control_total,omitempty"`
	ControlValue string `json:"control_value,omitempty"`
	// Threshold is the latency, in seconds, above which a request is slow.
	Threshold float64 `json:"threshold,omitempty"`
	// Note says in words how the plan was made, such as which bucket stands
	// for the baseline's p95.
	Note string `json:"note,omitempty"`
	// Error says why the signal can't be measured at all: a fault of the
	// configuration that only the source could find.
	Error string `json:"error,omitempty"`
}
