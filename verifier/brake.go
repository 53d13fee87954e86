package verifier

import "time"

// BrakeHold is a person's word that no automatic revert of any service is sent
// until a person releases the brake.
type BrakeHold struct {
	By     string    `json:"by"` // the access entry
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Brake is everything that says whether the brake is engaged, read at one moment.
type Brake struct {
	Held       *BrakeHold   // a person engaged it, and nobody released it since; nil: not so
	ReleasedAt time.Time    // when a person last released it; zero when never
	Reverts    []PastRevert // the last 1,000 automatic reverts since then, of all services
}
