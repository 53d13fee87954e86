// Package invariant checks what a run of the daemon left behind: its database,
// and what the fakes around it saw. It evaluates the invariants I1 to I20 of
// docs/safety.md. Simulated and end-to-end tests end with it.
//
// It reads the database with queries of its own and computes from the rows
// what must follow, so that a fault of the daemon is not a fault of its checker
// too. Only the judge and the rule of attribution are the daemon's: the
// verdict must be theirs.
package invariant

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/postflight/postflight/verifier/safety"
)

// Run is what a run left behind. Times are of one clock.
type Run struct {
	State State
	// Older are the verifications that a daemon of an earlier version decided,
	// by id: its judge need not say what this one says.
	Older map[string]bool
	// Ended is when the state was read.
	Ended time.Time
	// Limits are those that the guards had; zero fields are their defaults.
	Limits safety.Limits
	// Poll is how long the daemon may take to notice that something is due,
	// beside what it promises; 0 is a second.
	Poll time.Duration

	// Unordered is how close two times may be that tell nothing of what came
	// first, for clocks are read before the transactions that they belong to; 0
	// is a second.
	Unordered time.Duration

	Notifications History[Notification]
	Rollbacks     History[Call] // requests that rollback hooks received
	Messages      History[Call] // messages that receivers received
	Connections   History[Connection]
	Outputs       History[Output]
	Lives         History[Life]
	Samples       History[Sample]
	Reloads       History[Reload]

	// Secrets are canaries: texts that no output may hold.
	Secrets []string
	// Egress is the configuration's egress.allow.
	Egress []netip.Prefix
	// Most is the most that a sample may show; zero fields are the defaults.
	Most Sample
}

// History is what a fake saw, in order of time. The zero History was not kept,
// which differs from one that is empty: nothing came.
type History[T any] struct {
	kept    bool
	Entries []T
}

// Seen returns a history that was kept.
func Seen[T any](entries []T) History[T] { return History[T]{kept: true, Entries: entries} }

// Notification is one request of a source and what it was answered.
type Notification struct {
	At         time.Time // when it was answered
	Source     string
	DeliveryID string // webhook-id, Idempotency-Key or the provider's; "" when it had none
	// Service, Environment and Version are what it told of; all "" for an
	// event that tells of no deploy, which is answered and not stored.
	Service, Environment, Version string

	Status         int    // HTTP status; 0 when no answer came
	VerificationID string // in the answer
	Read           int64  // bytes of the body that were read; 0 where nobody counted
	Limit          int64  // of the source's bodies, in bytes
}

// Call is one request that a fake received, as it came.
type Call struct {
	At     time.Time
	Header http.Header
	Body   []byte
	Status int // what it was answered; 0 when the connection broke
}

// Connection is one connection that the daemon opened.
type Connection struct {
	At      time.Time
	Address netip.Addr
	// Written: the host was written out in the configuration. Otherwise it
	// came out of a template or a redirect.
	Written bool
}

// Output is something that the daemon showed.
type Output struct {
	Where string // such as log, /metrics, or a page's path
	Text  []byte
}

// Life is one process of the daemon.
type Life struct {
	Started time.Time // when it was ready
	Ended   time.Time // zero while it lives
	Killed  bool
}

// Sample is what the process held at a moment, or the most that it may. A
// field that is 0 was not measured.
type Sample struct {
	At          time.Time
	Resident    int64 // bytes
	Goroutines  int
	Descriptors int
	Database    int64 // bytes
}

// Reload is one reading of the configuration.
type Reload struct {
	At     time.Time
	Failed bool
	// Before and After are what was in force, in any form that tells two
	// configurations apart.
	Before, After string
}
