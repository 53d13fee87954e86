package verifier

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// AuditAction is what kind of decision a person made.
type AuditAction string

// The decisions of people.
const (
	AuditOverride     AuditAction = "override"      // of the verdict; the subject is the verification's id, the decision keep, revert or cancel
	AuditFreeze       AuditAction = "freeze"        // no automatic revert of a service in an environment; the subject is the freeze's id
	AuditUnfreeze     AuditAction = "unfreeze"      // the end of a freeze; the subject is its id, "" for all of the place
	AuditMark         AuditAction = "mark"          // of a version, which is the subject; the decision is good or bad
	AuditFeedback     AuditAction = "feedback"      // on a verdict; the subject is the verification's id, the decision right or wrong
	AuditBrakeEngage  AuditAction = "brake_engage"  // no automatic revert of any service until somebody releases the brake
	AuditBrakeRelease AuditAction = "brake_release" // automatic reverts of all services go on
	AuditApproval     AuditAction = "approval"      // a word about a release before it is deployed; the subject is the version
	AuditVote         AuditAction = "vote"          // on a deploy while it is watched; the subject is the verification's id, the decision yes or no
)

// AuditEntry is one decision of a person. Entries are numbered and chained:
// each Hash covers the entry and the Hash of the one before, so that CheckAudit
// finds an entry that was changed, taken out or moved afterwards. What a chain
// can't show by itself is that its newest entries were taken off: for that
// somebody must remember an earlier head.
type AuditEntry struct {
	Seq         int64       `json:"seq"` // 1, 2, 3 ... in the order in which they were stored
	At          time.Time   `json:"at"`  // UTC, whole microseconds
	By          string      `json:"by"`  // the name of the access entry
	Action      AuditAction `json:"action"`
	Service     string      `json:"service,omitempty"`
	Environment string      `json:"environment,omitempty"`
	Subject     string      `json:"subject,omitempty"`  // id or version of what was decided about
	Decision    string      `json:"decision,omitempty"` // where the action leaves a choice
	Until       time.Time   `json:"until,omitzero"`     // when the decision ends by itself; zero is never
	Reason      string      `json:"reason"`
	Previous    string      `json:"previous"` // Hash of the entry before; "" for the first
	Hash        string      `json:"hash"`     // SHA-256 in hex
}

// Chained returns e as the entry that follows the last one, nil for the first
// of all: numbered, its times as they are stored, with both hashes.
func (e AuditEntry) Chained(last *AuditEntry) AuditEntry {
	e.Seq, e.Previous = 1, ""
	if last != nil {
		e.Seq, e.Previous = last.Seq+1, last.Hash
	}
	e.At, e.Until = auditTime(e.At), auditTime(e.Until)
	e.Hash = e.hash()
	return e
}

func auditTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// hash is the SHA-256 of the entry's fields in the order of the type, Hash left
// out, each as its length in bytes in decimal, a colon, its text and a comma.
// The lengths keep text from moving between fields. Times are in RFC 3339 with
// as many decimals as they need, "" where there is none.
func (e AuditEntry) hash() string {
	h := sha256.New()
	for _, field := range []string{
		strconv.FormatInt(e.Seq, 10), auditClock(e.At), e.By, string(e.Action), e.Service, e.Environment,
		e.Subject, e.Decision, auditClock(e.Until), e.Reason, e.Previous,
	} {
		fmt.Fprintf(h, "%d:%s,", len(field), field) // a hash takes every write
	}
	return hex.EncodeToString(h.Sum(nil))
}

func auditClock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// AuditErrorKind says how an entry doesn't fit into the chain.
type AuditErrorKind string

// The ways in which a chain is broken.
const (
	AuditChanged   AuditErrorKind = "changed"   // its hash is not that of what it says
	AuditMissing   AuditErrorKind = "missing"   // what came before it is not there
	AuditReordered AuditErrorKind = "reordered" // it was written as another number
)

// AuditError is the first entry that doesn't fit.
type AuditError struct {
	Seq    int64 // the number of the entry that should stand there
	Kind   AuditErrorKind
	Detail string // one sentence
}

// Error names the entry, what happened to it and how that shows.
func (f *AuditError) Error() string {
	return fmt.Sprintf("audit entry %d is %s: %s", f.Seq, f.Kind, f.Detail)
}

// CheckAudit recomputes the chain of all entries, the oldest first as they are
// stored, and returns the first that doesn't fit, nil when all do. An empty
// list fits.
func CheckAudit(entries []AuditEntry) *AuditError {
	previous := ""
	for i, e := range entries {
		seq := int64(i) + 1
		if e.Seq == seq && e.Previous == previous && e.Hash == e.hash() {
			previous = e.Hash
			continue
		}
		return auditError(entries, seq, previous)
	}
	return nil
}

// auditError says what is wrong with the entry at a place of the list; all
// before it fit.
func auditError(entries []AuditEntry, seq int64, previous string) *AuditError {
	e := entries[seq-1]
	fault := func(kind AuditErrorKind, detail string, args ...any) *AuditError {
		return &AuditError{Seq: seq, Kind: kind, Detail: fmt.Sprintf(detail, args...)}
	}
	// Going back to 2n finds an entry that was given a new number after up to
	// half of all were taken out.
	written := e.Seq
	for n := int64(0); !e.writtenAs(written); n++ {
		if n > 2*int64(len(entries)) {
			return fault(AuditChanged, "its hash is not that of what it says (%s by %q at %s)", e.Action, e.By, auditClock(e.At))
		}
		written = n
	}
	switch {
	case written == seq && e.Seq == seq:
		return fault(AuditChanged, "it was written after an entry with the hash %q, and the one before it has %q", e.Previous, previous)
	case written == seq:
		return fault(AuditReordered, "it is numbered %d", e.Seq)
	case slices.ContainsFunc(entries, func(other AuditEntry) bool { return other.writtenAs(seq) }):
		return fault(AuditReordered, "in its place stands what was written as %d", written)
	}
	return fault(AuditMissing, "in its place stands what was written as %d", written)
}

// writtenAs reports whether the entry's hash is that of what it says under the
// given number.
func (e AuditEntry) writtenAs(seq int64) bool {
	e.Seq = seq
	return e.hash() == e.Hash
}

// AuditFilter selects entries of the audit trail; empty fields select
// everything.
type AuditFilter struct {
	Service     string
	Environment string
	Action      AuditAction
	Limit       int    // 1 to 500
	Cursor      string // from an earlier page; "" is the first
}
