package verifier

import "time"

// Outcome says whether a step could be measured. Could not measure is never
// bad and never good.
type Outcome string

// The outcomes of an observation.
const (
	Measured Outcome = "measured"
	NoData   Outcome = "no_data" // series vanished, NaN, no traffic, stale
	Failed   Outcome = "error"   // source down, two series where one was asked for, a warning in the reply
)

// Observation is what one step of one signal showed. The step is the span
// (At-Span, At].
type Observation struct {
	At      time.Time `json:"at"`
	Span    Duration  `json:"span"`
	Outcome Outcome   `json:"outcome"`
	Bad     float64   `json:"bad,omitempty"`     // ratio: bad events, 0 <= Bad <= Total
	Total   float64   `json:"total,omitempty"`   // ratio: opportunities
	Count   float64   `json:"count,omitempty"`   // count: events in the span
	Value   float64   `json:"value,omitempty"`   // value
	Message string    `json:"message,omitempty"` // why nothing was measured, or what a failed probe saw
	Timing  *Timing   `json:"timing,omitempty"`  // probes
	Voter   string    `json:"voter,omitempty"`   // votes: who; their newest one counts, Bad is 1 for a no, Message is the reason
	// Control is what the control group showed in the same step, where the
	// signal has one; a measured step then always has it.
	Control *Control `json:"control,omitempty"`
}

// Control is the same measurement for the control group: peers without a
// deploy. Its fields are those of the observation's own kind.
type Control struct {
	Bad   float64 `json:"bad,omitempty"`
	Total float64 `json:"total,omitempty"`
	Value float64 `json:"value,omitempty"`
}

// Timing is where a probe's time went, summed over its steps, in seconds.
type Timing struct {
	DNS       float64 `json:"dns"`
	Connect   float64 `json:"connect"`
	TLS       float64 `json:"tls"`
	FirstByte float64 `json:"first_byte"` // from the request's end to the answer's first byte
	Total     float64 `json:"total"`
}

// Span is a stretch of time, From exclusive, To inclusive.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Feedback: it is left out of the past only because somebody says that the
	// verdict was wrong.
	Feedback bool `json:"feedback,omitempty"`
}

// Contains reports whether t lies in the span.
func (s Span) Contains(t time.Time) bool { return t.After(s.From) && !t.After(s.To) }
