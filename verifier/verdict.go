package verifier

import "time"

// Decision is what a verdict says.
type Decision string

// The decisions.
const (
	Keep         Decision = "keep"
	Revert       Decision = "revert"
	Inconclusive Decision = "inconclusive"
)

// ByPostflight is who decided when no person did.
const ByPostflight = "postflight"

// Verdict is the one decision of a verification. It never changes.
type Verdict struct {
	Decision  Decision  `json:"decision"`
	DecidedAt time.Time `json:"decided_at"`
	Early     bool      `json:"early"` // before the window's end
	Summary   string    `json:"summary"`
	Reasons   []string  `json:"reasons"`
	By        string    `json:"by"`
}

// Override is a person's decision; it stands beside the verdict and counts
// for whoever waits.
type Override struct {
	Decision Decision  `json:"decision"` // keep, revert or cancel
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
	// Outcome is what it could still change, in one sentence: after a request
	// that was sent already it says so.
	Outcome string `json:"outcome,omitempty"`
}

// Assessment is what the judge says of a verification at one moment.
type Assessment struct {
	// Decision is "" while nothing is decided yet.
	Decision Decision
	Early    bool
	Summary  string
	Reasons  []string
	Cleared  bool // waiting pipelines may go on
	Findings []Finding
}
