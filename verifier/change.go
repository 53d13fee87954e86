package verifier

import "time"

// The types in this file pass between those who decide and the store that
// keeps what they decide: the store reads the facts in a transaction, calls
// the function, and stores what it returned in the same transaction.

// DecideFunc turns the facts of the moment into a decision. It must be pure: the
// store may call it again. Its error leaves everything stored as it was.
type DecideFunc func(Facts) (Decided, error)

// Decided is what a verdict changes. All of it commits together.
type Decided struct {
	Verification Verification
	Members      []Verification // of the same release, which go back together with it
	Deliveries   []Delivery
}

// ActionChange turns a verification into the one with its action moved on. It
// must be pure: the store may call it again. Returning the action unchanged
// changes nothing.
type ActionChange func(Verification, Policy, Facts) (Verification, []Delivery, error)

// OverrideFunc turns a verification, with its deliveries and their attempts,
// into what a person's decision makes of it. It must be pure: the store may
// call it again. Its error leaves everything stored as it was.
type OverrideFunc func(Verification, Policy, Facts) (Overruling, error)

// Overruling is what a person's decision changes. All of it commits together.
type Overruling struct {
	Verification Verification
	Outcome      string     // what the decision could still change, in one sentence
	Discarded    *Delivery  // the rollback request that is not to be sent (again)
	Deliveries   []Delivery // to be sent because of it
	Audit        AuditEntry // to be chained
}

// DeliveryChangeFunc turns a delivery into what an attempt, or the decision
// not to make one, changes. It must be pure: the store may call it again.
type DeliveryChangeFunc func(Outgoing) (DeliveryChange, error)

// Outgoing is a delivery with what must be known to send it.
type Outgoing struct {
	Delivery     Delivery
	Verification Verification
	Policy       Policy
	Facts        Facts // filled for rollbacks only
	// Thread is the other messages to the receiver about the same verification,
	// oldest first, each with its last attempt alone.
	Thread []Delivery
}

// Inbox is what a receiver was told of late, and is to be told.
type Inbox struct {
	Taken int // messages; those of one digest are one
	// Waiting are the messages that it didn't take yet, oldest first, each with
	// its last attempt alone.
	Waiting []Delivery
	// Overtaken are the ids of those that wait about whose verification it took a
	// later message.
	Overtaken []string
}

// Folded is a delivery that goes out in a digest with another.
type Folded struct {
	ID      string
	After   time.Time     // of its last attempt, as it was read; zero for none
	Attempt Attempt       // begins, or ends
	State   DeliveryState // "" leaves it as it is
	Reason  string
}

// DeliveryChange is what an attempt, or the decision not to make one, changes.
// All of it commits together.
type DeliveryChange struct {
	State  DeliveryState // "" leaves it as it is
	Reason string        // why it was discarded
	// Attempt is one that begins, its result AttemptStarted, or the end of the
	// one with the same At: a Conflict where that is not the last one, or has
	// ended.
	Attempt  *Attempt
	Action   *Action        // the verification's action, where it moved
	Members  []Verification // of the same release, whose actions moved with it
	Messages []Delivery     // to be sent because of it
	Folded   []Folded       // deliveries that go the same way
}

// Awaited is a verification whose rollback was accepted and whose target was
// not seen live yet.
type Awaited struct {
	Verification Verification
	Policy       Policy
}
