package verifier

import "time"

// OnAmbiguous says what becomes of a bad deploy while others overlap with it.
type OnAmbiguous string

// What a policy may do about overlapping deploys.
const (
	// AmbiguousHold reverts only the one deploy that is bad while all that
	// overlap with it are not: the default.
	AmbiguousHold OnAmbiguous = "hold"
	// AmbiguousIndependent judges each deploy alone.
	AmbiguousIndependent OnAmbiguous = "independent"
)

// Attribution is what was known of a deploy's surroundings when its own signals
// said revert: how the services around it fared, and which other deploys
// overlap with it. It is stored with the verification, limits and all, so that
// the same verdict can be computed from it again.
type Attribution struct {
	OnAmbiguous OnAmbiguous `json:"on_ambiguous"`
	// Worse neighbours, or that share of those that could be judged, mean that
	// the environment got worse as a whole.
	Worse int     `json:"worse"`
	Share float64 `json:"share"`
	// AskedAt is when the neighbours were asked; zero when they weren't.
	AskedAt    time.Time   `json:"asked_at,omitzero"`
	Neighbours []Neighbour `json:"neighbours"`
	Candidates []Candidate `json:"candidates"`
	// Waiting says what the verdict waits for; "" when it doesn't.
	Waiting string `json:"waiting,omitempty"`
	// ToldBy is the verification that told of the same ambiguity before, with
	// all candidates; "" when this one is the first to tell.
	ToldBy string `json:"told_by,omitempty"`
}

// NeighbourState says how a service without a deploy of its own fared since the
// verified deploy started.
type NeighbourState string

// The states of a neighbour.
const (
	NeighbourWorse   NeighbourState = "worse"
	NeighbourSteady  NeighbourState = "steady"
	NeighbourUnknown NeighbourState = "unknown" // could not be measured: counts neither way
)

// Neighbour is another service of the same environment, judged by its own
// policy as if it had been deployed with the verified one.
type Neighbour struct {
	Service string         `json:"service"`
	State   NeighbourState `json:"state"`
	// Dependency: the verified service's policy says that it depends on it.
	Dependency bool `json:"dependency,omitempty"`
	// Change says what the worst of its signals did: "errors rose from 0.4% to
	// 6.1%".
	Change  string     `json:"change,omitempty"`
	Onset   *time.Time `json:"onset,omitempty"`   // when that seems to have begun
	Message string     `json:"message,omitempty"` // why it could not be judged
}

// CandidateState says what is known of an overlapping deploy by its own
// signals.
type CandidateState string

// The states of a candidate.
const (
	CandidateBad     CandidateState = "bad"     // or reverted, or held as ambiguous
	CandidateUnclear CandidateState = "unclear" // suspicious, too new to tell, or still rolling out
	CandidateGood    CandidateState = "good"    // or nothing speaks against it
)

// Candidate is another deploy that may have done the harm: it overlaps with
// the verified one.
type Candidate struct {
	VerificationID string         `json:"verification_id,omitempty"` // "" while it is rolling out
	Service        string         `json:"service"`
	Version        string         `json:"version"`
	StartedAt      time.Time      `json:"started_at"`
	State          CandidateState `json:"state"`
	// Dependency: the verified service's policy says that it depends on it.
	Dependency bool `json:"dependency,omitempty"`
	// Until is how long the verdict waits for an unclear candidate at most.
	Until  time.Time  `json:"until,omitzero"`
	Change string     `json:"change,omitempty"` // what the worst of its signals did
	Onset  *time.Time `json:"onset,omitempty"`  // when that seems to have begun
	// Held: its own verdict was held as ambiguous already, which told people.
	Held bool `json:"held,omitempty"`
}

// Overlap is another deploy of the same environment with what is stored of it,
// as the guards read it.
type Overlap struct {
	Deployment Deployment
	// Verification is nil while the deploy is rolling out, and where no policy
	// matches it.
	Verification *Verification
	Policy       Policy
}
