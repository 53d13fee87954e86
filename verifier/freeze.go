package verifier

import "time"

// Location is a service in an environment.
type Location struct {
	Service     string
	Environment string
}

// Location returns where the deployment went.
func (d Deployment) Location() Location {
	return Location{Service: d.Service, Environment: d.Environment}
}

// FreezeKind says what a freeze comes from.
type FreezeKind string

// The kinds of freezes.
const (
	FrozenByPerson FreezeKind = "person"
	FrozenByCaps   FreezeKind = "caps" // too many automatic reverts
)

// Freeze holds the automatic reverts of a service in an environment back;
// verifications and their verdicts go on.
type Freeze struct {
	// ID is fz_... of a person's freeze; of one by the caps it is the id of
	// the revert that reached them.
	ID          string     `json:"id"`
	Kind        FreezeKind `json:"kind"`
	Service     string     `json:"service"`
	Environment string     `json:"environment"`
	By          string     `json:"by"` // the access entry, or postflight
	At          time.Time  `json:"at"`
	Until       time.Time  `json:"until,omitzero"` // when it ends by itself; zero: when a person unfreezes
	Reason      string     `json:"reason"`
}

// Location returns what the freeze holds.
func (f Freeze) Location() Location { return Location{Service: f.Service, Environment: f.Environment} }

// Freezing is everything that says what is frozen, read at one moment.
type Freezing struct {
	Freezes     []Freeze               // of people, in force, the newest first
	Unfrozen    map[Location]time.Time // when a person last unfroze a place, the caps' freezes with it
	PastReverts []PastRevert           // the last 100 automatic reverts of each place, those before it was unfrozen with them
}

// Mark is what a person says of a version.
type Mark string

// The marks. A version marked good may be rolled back to, one marked bad may
// not, and its windows say nothing about what is usual.
const (
	MarkGood Mark = "good"
	MarkBad  Mark = "bad"
)
