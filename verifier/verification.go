package verifier

import (
	"encoding/json"
	"time"
)

// State says how far a verification is.
type State string

// The states of a verification. The last three are final.
const (
	StatePending    State = "pending"    // stored; the baseline is not read yet
	StateObserving  State = "observing"  // measured every interval
	StateDecided    State = "decided"    // has its verdict
	StateSuperseded State = "superseded" // a newer deploy of the service came
	StateCancelled  State = "cancelled"  // a person ended it
)

// Final reports whether nothing more will be measured.
func (s State) Final() bool {
	return s == StateDecided || s == StateSuperseded || s == StateCancelled
}

// Verification watches one deployment through its window and ends with at most
// one verdict. Its JSON is the record of the HTTP API.
type Verification struct {
	ID         string     `json:"id"`
	State      State      `json:"state"`
	Mode       Mode       `json:"mode"`
	Deployment Deployment `json:"deployment"`
	OpenedAt   time.Time  `json:"opened_at"`
	ClearedAt  *time.Time `json:"cleared_at"`
	ClosesAt   time.Time  `json:"closes_at"`
	Policy     string     `json:"policy"`
	PolicyHash string     `json:"policy_hash"`
	Verdict    *Verdict   `json:"verdict"`
	Override   *Override  `json:"override"`
	// Feedback is what people say of the verdict, the newest of each person,
	// the newest first.
	Feedback []Feedback `json:"feedback,omitempty"`
	// Votes are what people say of the deploy while it is watched, the newest of
	// each person, the newest first.
	Votes []Vote `json:"votes,omitempty"`
	// AsksVotes: the policy has a signal that counts votes.
	AsksVotes bool     `json:"asks_votes,omitempty"`
	Effective Decision `json:"effective,omitempty"`
	Action    Action   `json:"action"`
	// Attribution is what was known of the surroundings; nil while the signals
	// never said revert.
	Attribution  *Attribution `json:"attribution,omitempty"`
	Signals      []Finding    `json:"signals"`
	Deliveries   []Delivery   `json:"deliveries"`
	SupersededBy string       `json:"superseded_by,omitempty"` // id of the deployment that came after
	URL          string       `json:"url,omitempty"`
}

// Open makes the verification of a deployment under a policy.
func Open(d Deployment, p Policy, now time.Time) Verification {
	return Verification{
		ID: NewID(VerificationPrefix), State: StatePending, Mode: p.Mode, Deployment: d,
		OpenedAt: now, ClosesAt: d.FinishedAt.Add(p.Window.D()),
		Policy: p.Name, PolicyHash: p.Hash(), AsksVotes: len(p.Votes()) > 0,
		Action: Action{State: ActionNone},
	}
}

// Decide returns the verification with its verdict and action. A verification
// that is already final is a Conflict.
func (v Verification) Decide(verdict Verdict, action Action) (Verification, error) {
	if v.State.Final() {
		return v, Errorf(Conflict, "verification %s is %s: it takes no verdict", v.ID, v.State)
	}
	v.State, v.Verdict, v.Action, v.Effective = StateDecided, &verdict, action, verdict.Decision
	return v, nil
}

// Clear returns the verification marked as cleared; the second time changes
// nothing.
func (v Verification) Clear(now time.Time) Verification {
	if v.ClearedAt == nil {
		v.ClearedAt = &now
	}
	return v
}

// Supersede returns the verification ended by a newer deployment.
func (v Verification) Supersede(by Deployment) (Verification, error) {
	if v.State.Final() {
		return v, Errorf(Conflict, "verification %s is %s: it can't be superseded", v.ID, v.State)
	}
	v.State, v.SupersededBy = StateSuperseded, by.ID
	return v, nil
}

// Check is a verification claimed for one look: what the engine needs to
// measure and judge, and the epoch that makes its writes valid.
type Check struct {
	Verification Verification
	Policy       Policy
	Epoch        int64
	DueAt        time.Time // when the look was due; lateness is measured from here
	Signals      []SignalEvidence
}

// SignalEvidence is everything that a signal's finding rests on.
type SignalEvidence struct {
	Signal string `json:"signal"`
	Plan   Plan   `json:"plan"`
	// Calibration is the judge's reading of the history; opaque to all but
	// the judge. Empty until the history could be read.
	Calibration json.RawMessage `json:"calibration,omitempty"`
	// Before is the end of the history, for charts: at most two windows.
	Before []Observation `json:"before"`
	// Observations since the deploy started, in order of time.
	Observations []Observation `json:"observations"`
}

// Evidence is what a verification rests on, for people and for recomputing.
type Evidence struct {
	VerificationID string           `json:"verification_id"`
	Policy         Policy           `json:"policy"`
	StartedAt      time.Time        `json:"started_at"`
	FinishedAt     time.Time        `json:"finished_at"`
	ClosesAt       time.Time        `json:"closes_at"`
	Signals        []SignalEvidence `json:"signals"`
	// DroppedAt is when the evidence had been kept for long enough: Signals is
	// then empty. nil while it is there.
	DroppedAt *time.Time `json:"dropped_at,omitempty"`
}

// Filter selects verifications; empty fields select everything.
type Filter struct {
	Service     string
	Environment string
	Version     string
	State       State
	Cleared     bool // only what is watched and has been cleared
	Verdict     Decision
	Limit       int    // 1 to 500
	Cursor      string // from an earlier page; "" is the first
}
