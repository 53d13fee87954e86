package verifier

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// SignalState is what the evidence says of one signal so far.
type SignalState string

// The states of a signal.
const (
	SignalGood    SignalState = "good"    // harm of the size that matters is ruled out
	SignalBad     SignalState = "bad"     // all three questions say yes
	SignalPending SignalState = "pending" // not enough evidence either way yet
	SignalUnknown SignalState = "unknown" // could not be measured or judged
)

// Finding is one signal's three answers, as a verdict page prints them. Levels
// are what was observed: 0 of 25 failed is 0. Every number in it is finite.
type Finding struct {
	Name  string      `json:"name"`
	Kind  SignalKind  `json:"kind"`
	Role  Role        `json:"role"`
	State SignalState `json:"state"`
	// About says what the levels are a share of, where the name alone does
	// not: "share of requests slower than 273ms".
	About string `json:"about,omitempty"`
	// Rule is the rule that made the signal bad where the three questions did
	// not: "failed 3 times in a row; 3 are enough".
	Rule     string     `json:"rule,omitempty"`
	Before   *float64   `json:"before"`   // level just before the deploy; nil when not known
	Expected *float64   `json:"expected"` // what the same clock time on earlier days adds to it
	After    *float64   `json:"after"`    // level since the deploy (after warm-up)
	Matters  Matters    `json:"matters"`
	Chance   *Chance    `json:"chance"` // nil where the question doesn't apply (value signals)
	Usual    Usual      `json:"usual"`
	Steps    StepCounts `json:"steps"`
	Onset    *time.Time `json:"onset"` // when the harm seems to have begun
	// Detectable is the smallest ratio to the expected level that this
	// signal's traffic could have shown within the window; 0 when not known.
	Detectable float64 `json:"detectable,omitempty"`
	// Cleared: harm of twice the expected level is ruled out.
	Cleared bool `json:"cleared"`
	// Control is what the control group did; nil without one. Expected then
	// follows it.
	Control *ControlFinding `json:"control,omitempty"`
	// Votes are who said what, and how many it takes; nil but for votes.
	Votes *VoteFinding `json:"votes,omitempty"`
	// Shared: the signal would be bad without its control group, but the
	// control group got worse likewise, so this is not proven to be the deploy.
	Shared  bool   `json:"shared,omitempty"`
	Query   string `json:"query"`
	Message string `json:"message"`
}

// Finite reports whether every number in f is: JSON knows no other.
func (f Finding) Finite() bool {
	numbers := [...]*float64{f.Before, f.Expected, f.After, f.Matters.Limit, &f.Usual.Score, &f.Usual.Needed, &f.Detectable}
	finite := allFinite(numbers[:])
	if f.Chance != nil {
		finite = finite && allFinite([]*float64{&f.Chance.EValue, &f.Chance.Needed})
	}
	if f.Control != nil {
		finite = finite && allFinite([]*float64{f.Control.Before, f.Control.After})
	}
	return finite
}

func allFinite(numbers []*float64) bool {
	return !slices.ContainsFunc(numbers, func(n *float64) bool { return n != nil && (math.IsNaN(*n) || math.IsInf(*n, 0)) })
}

// VoteFinding is what people say of a deploy: the newest word of each whose
// votes count, by the names of their access entries, in alphabetical order.
type VoteFinding struct {
	Yes        []string `json:"yes"`
	No         []string `json:"no"`
	NoAtLeast  int      `json:"no_at_least"`  // so many make it bad
	YesAtLeast int      `json:"yes_at_least"` // so many make it good
}

// Tally writes the votes as "3 yes, 1 no".
func (v VoteFinding) Tally() string {
	return fmt.Sprintf("%d yes, %d no", len(v.Yes), len(v.No))
}

// ControlFinding is the level of the control group, in the signal's own unit.
type ControlFinding struct {
	Before *float64 `json:"before"` // just before the deploy; nil when not known
	After  *float64 `json:"after"`  // over the same time as the finding's After; nil when not known
}

// Matters answers: is the level beyond what the policy tolerates?
type Matters struct {
	Limit *float64 `json:"limit"`
	Yes   bool     `json:"yes"`
}

// Chance answers: is it more than chance?
type Chance struct {
	EValue float64 `json:"e_value"`
	Needed float64 `json:"needed"`
	Yes    bool    `json:"yes"`
}

// Usual answers: is it more than this service's own past ever showed?
type Usual struct {
	Score       float64 `json:"score"`
	Needed      float64 `json:"needed"`
	Placebos    int     `json:"placebos"`
	Independent int     `json:"independent"`
	Yes         bool    `json:"yes"`
	Unknown     bool    `json:"unknown,omitempty"` // too little history to ask
}

// StepCounts counts the steps of a signal by outcome.
type StepCounts struct {
	Measured int `json:"measured"`
	NoData   int `json:"no_data"`
	Error    int `json:"error"`
}
