package verifier

import (
	"encoding/json"
	"fmt"
	"time"
)

// ActionState says how far the rollback is.
type ActionState string

// The states of an action. Only requested and accepted are open.
const (
	ActionNone        ActionState = "none"
	ActionWithheld    ActionState = "withheld"  // a guard held it back
	ActionRequested   ActionState = "requested" // stored, to be sent or being sent
	ActionAccepted    ActionState = "accepted"  // the receiver took it; the target is not live yet
	ActionConfirmed   ActionState = "confirmed" // the target is live
	ActionUnconfirmed ActionState = "unconfirmed"
	ActionDeclined    ActionState = "declined" // the receiver said no (409, 412)
	ActionFenced      ActionState = "fenced"   // a newer deploy ended it
	ActionExpired     ActionState = "expired"
	ActionFailed      ActionState = "failed"
)

// UnconfirmedAfter is how long after a rollback was accepted its target must
// be seen live before people are told to look.
const UnconfirmedAfter = 10 * time.Minute

// Guard names what held a rollback back; "" when none did.
type Guard string

// The guards of design/safety.md.
const (
	GuardLoop         Guard = "loop"
	GuardCaps         Guard = "caps"
	GuardBrake        Guard = "brake"
	GuardFence        Guard = "fence"
	GuardTarget       Guard = "target"
	GuardIrreversible Guard = "irreversible"
	GuardAttribution  Guard = "attribution"
	GuardAmbiguity    Guard = "ambiguity"
	GuardExpiry       Guard = "expiry"
	GuardMode         Guard = "mode"
	GuardWindow       Guard = "window"
	GuardPerson       Guard = "person"
)

// Action is what was done about a verdict, and why not more.
type Action struct {
	State         ActionState `json:"state"`
	Guard         Guard       `json:"guard"`
	Reason        string      `json:"reason,omitempty"`
	Rollback      string      `json:"rollback"`
	TargetVersion string      `json:"target_version"`
	RevertID      string      `json:"revert_id"`
	RequestedAt   *time.Time  `json:"requested_at,omitempty"`
	// AutomaticAt is when the last request that no person asked for was made;
	// caps and brake count those.
	AutomaticAt *time.Time `json:"automatic_at,omitempty"`
	ChangedAt   *time.Time `json:"changed_at,omitempty"`
	// ReleaseID is the release that goes back together by one request, and
	// RequestedBy the verification that made it, "" for that one itself.
	ReleaseID   string `json:"release_id,omitempty"`
	RequestedBy string `json:"requested_by,omitempty"`
}

// Open reports whether the action may still bring the target back.
func (a Action) Open() bool {
	return a.State == ActionRequested || a.State == ActionAccepted || a.State == ActionUnconfirmed
}

// actionMoves is who may follow whom. Anything else is a defect or a stale
// writer, and is refused.
var actionMoves = map[ActionState][]ActionState{
	ActionNone:        {ActionWithheld, ActionRequested},
	ActionWithheld:    {ActionRequested, ActionWithheld}, // a person may ask for it later, and another guard hold it
	ActionRequested:   {ActionAccepted, ActionConfirmed, ActionDeclined, ActionFenced, ActionExpired, ActionFailed, ActionWithheld},
	ActionAccepted:    {ActionConfirmed, ActionUnconfirmed, ActionFenced, ActionFailed},
	ActionUnconfirmed: {ActionConfirmed, ActionFenced, ActionFailed},
	// A person may ask again for what failed, was declined or was fenced.
	ActionDeclined: {ActionRequested},
	ActionFenced:   {ActionRequested},
	// A receiver may have acted although its answer was lost; a target that
	// goes live afterwards is still the truth.
	ActionFailed:  {ActionConfirmed, ActionRequested},
	ActionExpired: {ActionConfirmed},
}

// Move returns the action in its next state, or a Conflict error if that state
// can't follow.
func (a Action) Move(to ActionState, guard Guard, reason string, at time.Time) (Action, error) {
	from := a.State
	if from == "" {
		from = ActionNone
	}
	for _, next := range actionMoves[from] {
		if next == to {
			a.State, a.Guard, a.Reason, a.ChangedAt = to, guard, reason, &at
			return a, nil
		}
	}
	return a, Errorf(Conflict, "action of revert %q can't go from %s to %s", a.RevertID, from, to)
}

// RevertRequest is the body of a rollback call. All attempts of one revert
// send the same bytes.
type RevertRequest struct {
	Type                   string    `json:"type"` // revert.requested
	RevertID               string    `json:"revert_id"`
	VerificationID         string    `json:"verification_id"`
	Service                string    `json:"service"`
	Environment            string    `json:"environment"`
	ExpectedCurrentVersion string    `json:"expected_current_version"`
	TargetVersion          string    `json:"target_version"`
	Reason                 string    `json:"reason"`
	ExpiresAt              time.Time `json:"expires_at"`
	URL                    string    `json:"url"`
	// ReleaseID and Services say who goes back together, this one first; empty
	// for a service that goes back alone.
	ReleaseID string          `json:"release_id,omitempty"`
	Services  []RevertService `json:"services,omitempty"`
}

// Body returns the request as the bytes to be stored and sent.
func (r RevertRequest) Body() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write revert request %q: %w", r.RevertID, err)
	}
	return b, nil
}

// PastRevert is an automatic revert that was requested earlier; caps and brake
// count them.
type PastRevert struct {
	RevertID    string
	Service     string
	Environment string
	At          time.Time
}

// Facts is everything that the guards look at, read in one transaction.
type Facts struct {
	Now        time.Time
	Mode       Mode
	Rollback   string     // name of the policy's rollback; "" is none
	Deployment Deployment // the verified one
	Current    Deployment // the newest finished deployment of its service and environment
	// Running is a deploy of the same service and environment that started
	// later than Deployment finished and isn't known to have ended.
	Running *Deployment
	// Unclear is a finished deploy of another version that was announced after
	// Deployment and told for an earlier time: which of them runs is not known.
	Unclear *Deployment
	// Target is the newest deployment of another version that was kept,
	// cleared or marked good, and has neither been reverted nor marked bad
	// since.
	Target *Deployment
	// Barrier is an irreversible deployment after Target, up to and including
	// the verified one.
	Barrier    *Deployment
	OpenRevert string // id of an open revert of the same service and environment other than this one
	// PastReverts are the last 1,000 automatic reverts since the brake was
	// released, and the last 100 of this place since UnfrozenAt.
	PastReverts []PastRevert
	// Freeze is a person's freeze of this place that is in force; nil is none.
	Freeze *Freeze
	// UnfrozenAt is when a person last unfroze this place: the caps count
	// only automatic reverts since then. Zero when never.
	UnfrozenAt time.Time
	// BrakeReleasedAt is when a person last released the brake; zero when never.
	BrakeReleasedAt time.Time
	// BrakeHeld is who engaged the brake by hand; nil when nobody did since
	// BrakeReleasedAt.
	BrakeHeld *BrakeHold
	Override  *Override // what Verification.PersonSays returns
	// ReleaseWindows and Freezes are those of the verification's policy.
	ReleaseWindows []Period
	Freezes        []Period
	ExpiresAt      time.Time // zero before the request is made
	// Release are the other deployments of the same release and environment,
	// which go back together; read for a verdict and before each attempt.
	Release []Member
	// TargetLost is the version that the request goes back to, once that is
	// none to go back to any more: it was marked bad, or reverted itself. ""
	// before the request is made.
	TargetLost string
	// Overlapping are the deploys of other services of the environment that
	// may have done the harm as well; read for a verdict only.
	Overlapping []Overlap
}
