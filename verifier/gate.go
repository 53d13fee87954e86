package verifier

import (
	"slices"
	"strings"
	"time"
)

// Release is a version of a service that is to be deployed to an environment:
// what the gate decides about.
type Release struct {
	Service     string `json:"service"`
	Environment string `json:"environment"`
	Version     string `json:"version"`
}

// Location returns where the release goes.
func (r Release) Location() Location {
	return Location{Service: r.Service, Environment: r.Environment}
}

// String is the release in words.
func (r Release) String() string { return r.Service + " " + r.Version + " in " + r.Environment }

// GatePolicy says what must hold before a release may be deployed, beside what
// every gate asks: no version that was reverted or marked bad, no running
// verification, no open rollback, no freeze, and a release window.
type GatePolicy struct {
	SignOffs     []string        `json:"sign_offs,omitempty"` // roles that must each say yes
	Final        string          `json:"final,omitempty"`     // the role whose word settles a split vote; "" is none
	SelfApproval bool            `json:"self_approval"`       // who asked for a release may sign it off
	Expires      Duration        `json:"expires"`             // how long a yes counts
	Checklist    []ChecklistItem `json:"checklist,omitempty"`
	// Smoke are requests to a staging address that must all succeed; none are
	// made when empty.
	Smoke []ProbeStep `json:"smoke,omitempty"`
	// KnownGood wants a version to return to, RollbackAnswers a rollback hook
	// that answers.
	KnownGood       bool          `json:"known_good,omitempty"`
	RollbackAnswers bool          `json:"rollback_answers,omitempty"`
	Incidents       []AlertSource `json:"incidents,omitempty"` // alerts that are open incidents
	// Phases are environments in the order of a rollout: a version must be
	// cleared in each before it goes to the next.
	Phases []string `json:"phases,omitempty"`
	// WhileWatching lets a release go while an earlier deploy is watched.
	WhileWatching bool `json:"while_watching,omitempty"`
}

// ChecklistItem is one thing that must be done before a release.
type ChecklistItem struct {
	Name string `json:"name"`
	// By are the access entries whose word counts; everyone who may report or
	// decide when empty.
	By []string `json:"by,omitempty"`
	// Within is how old a report may be; 0 is any age.
	Within Duration `json:"within,omitempty"`
}

// Item returns the checklist's item of that name.
func (g GatePolicy) Item(name string) (ChecklistItem, bool) {
	i := slices.IndexFunc(g.Checklist, func(c ChecklistItem) bool { return c.Name == name })
	if i < 0 {
		return ChecklistItem{}, false
	}
	return g.Checklist[i], true
}

// Roles returns the roles whose word the gate asks for.
func (g GatePolicy) Roles() []string {
	out := slices.Clone(g.SignOffs)
	if g.Final != "" && !slices.Contains(out, g.Final) {
		out = append(out, g.Final)
	}
	return out
}

// PhaseBefore returns the environment in which a version must have been cleared
// before it goes to this one, "" for the first; known is false for an
// environment that is no phase.
func (g GatePolicy) PhaseBefore(environment string) (before string, known bool) {
	i := slices.Index(g.Phases, environment)
	if i <= 0 {
		return "", i == 0
	}
	return g.Phases[i-1], true
}

// GateWordKind is what somebody says of a release before it is deployed.
type GateWordKind string

// The kinds of words.
const (
	Approve GateWordKind = "approve"
	Reject  GateWordKind = "reject"
	Answer  GateWordKind = "answer" // of a reject, with data
	Report  GateWordKind = "report" // of a checklist item
)

// GateWord is what a person or a pipeline said of a release. It is recorded in
// the audit trail, in the order of Seq.
type GateWord struct {
	ID  string `json:"id"`  // ap_...
	Seq int64  `json:"seq"` // of its audit entry
	Release
	Kind       GateWordKind `json:"decision"`
	Role       string       `json:"role,omitempty"` // in which it was said; of approve and reject
	By         string       `json:"by"`             // the access entry
	At         time.Time    `json:"at"`
	Reason     string       `json:"reason"`
	Conditions []string     `json:"conditions,omitempty"` // attached to a yes
	Evidence   []string     `json:"evidence,omitempty"`   // addresses, or ids of verifications
	Answers    string       `json:"answers,omitempty"`    // id of the reject
	// Again is the verification by which the version counted as reverted when it
	// was approved again; "" when it did not.
	Again  string   `json:"again,omitempty"`
	Waives []string `json:"waives,omitempty"` // checks that need not hold for this release
	Item   string   `json:"item,omitempty"`   // of the checklist
	Passed bool     `json:"passed,omitempty"` // a report's outcome
}

// AuditEntry is the word as it is recorded. Everything that the gate decides by
// is in it, so that the chain of the audit trail covers it.
func (w GateWord) AuditEntry() AuditEntry {
	return AuditEntry{At: w.At, By: w.By, Action: AuditApproval, Service: w.Service, Environment: w.Environment,
		Subject: w.Version, Decision: w.Sentence(), Reason: w.Reason}
}

// Sentence is the word in a few words: approve as quality, answer ap_1.
func (w GateWord) Sentence() string {
	parts := []string{string(w.Kind)}
	add := func(word, value string) {
		if value != "" {
			parts = append(parts, word, value)
		}
	}
	if w.Kind == Report {
		outcome := "failed"
		if w.Passed {
			outcome = "passed"
		}
		parts = append(parts, w.Item, outcome)
	}
	add("as", w.Role)
	add("again after", w.Again)
	add("to", w.Answers)
	add("if", strings.Join(w.Conditions, "; "))
	add("waiving", strings.Join(w.Waives, ", "))
	add("with", strings.Join(w.Evidence, " "))
	return strings.Join(append(parts, "("+w.ID+")"), " ")
}

// GateDecision says whether a release may be deployed.
type GateDecision string

// The decisions of the gate.
const (
	Go   GateDecision = "go"
	NoGo GateDecision = "no-go"
)

// CheckState says whether one thing that the gate asks holds.
type CheckState string

// The states of a check. Only passed and waived let a release go.
const (
	CheckPassed  CheckState = "passed"
	CheckFailed  CheckState = "failed"
	CheckUnknown CheckState = "unknown" // what must be known is not: as bad as failed
	CheckWaived  CheckState = "waived"  // it doesn't hold, and somebody who may said that it need not
)

// GateCheck is one thing that the gate asked.
type GateCheck struct {
	Name   string     `json:"name"`
	State  CheckState `json:"state"`
	Reason string     `json:"reason"` // one sentence with resolved values, and the remedy where it does not hold
	// Missing are the roles of which there is no yes, or the items of the
	// checklist that are not done.
	Missing []string `json:"missing,omitempty"`
}

// Condition is what a yes was given under.
type Condition struct {
	Text string    `json:"condition"`
	By   string    `json:"by"`
	Role string    `json:"role,omitempty"`
	At   time.Time `json:"at"`
}

// GateVerdict is the gate's answer about a release at one moment.
type GateVerdict struct {
	ID string `json:"id,omitempty"` // gd_...; "" where it was not recorded
	Release
	Decision GateDecision `json:"decision"`
	// Reasons are what stands in the way or, of a go, what holds: one sentence
	// each.
	Reasons    []string    `json:"reasons"`
	Conditions []Condition `json:"conditions"`
	Checks     []GateCheck `json:"checks"`
	Reverted   string      `json:"reverted_by,omitempty"` // the verification by which the version counts as reverted; an approval names it as again
	Words      []GateWord  `json:"words"`                 // what was said of the release, the oldest first
	Actors     []string    `json:"actors,omitempty"`      // who asked for the release, as pipelines told
	AskedBy    string      `json:"asked_by"`              // the access entry or source
	At         time.Time   `json:"at"`                    // when it was first given
	LastAt     time.Time   `json:"last_asked_at"`         // when it was given last, unchanged
	Policy     string      `json:"policy,omitempty"`      // "" where none matches
	PolicyHash string      `json:"policy_hash,omitempty"`
	URL        string      `json:"url,omitempty"` // of the record
}

// Same reports whether two verdicts say the same: then one record is enough.
func (g GateVerdict) Same(other GateVerdict) bool {
	return g.Decision == other.Decision && g.PolicyHash == other.PolicyHash && g.Reverted == other.Reverted &&
		slices.EqualFunc(g.Checks, other.Checks, func(a, b GateCheck) bool {
			return a.Name == b.Name && a.State == b.State && slices.Equal(a.Missing, b.Missing)
		}) &&
		slices.EqualFunc(g.Words, other.Words, func(a, b GateWord) bool { return a.ID == b.ID }) &&
		slices.Equal(g.Conditions, other.Conditions) && slices.Equal(g.Actors, other.Actors)
}

// Kept is the answer as it is recorded: what was said is told by its ids and
// authors, for the record has each word once.
func (g GateVerdict) Kept() GateVerdict {
	words := make([]GateWord, 0, len(g.Words))
	for _, w := range g.Words {
		words = append(words, GateWord{ID: w.ID, Seq: w.Seq, Release: w.Release, Kind: w.Kind, Role: w.Role, By: w.By, At: w.At, Item: w.Item, Passed: w.Passed})
	}
	g.Words = words
	return g
}

// GateState is what the store knows of a release, read at one moment.
type GateState struct {
	Words []GateWord // the oldest first
	// Reverted is the newest verification of the version there that counts as
	// reverted, nil while none does.
	Reverted *Verification
	// RevertedSeq is the audit entry of the last decision of a person about
	// Reverted, 0 without one: what was said before it was said of another revert.
	RevertedSeq int64
	Mark        *AuditEntry // the last mark of the version, nil without one
	// Watched are verifications there that have not ended, OpenRevert is one
	// whose rollback is under way, Running a deploy that was announced as started.
	Watched    []Verification
	OpenRevert *Verification
	Running    *Deployment
	Freezing   Freezing
	Brake      Brake
	// Target is the version to return to once this one is deployed.
	Target *Deployment
	// Before is the newest verification of the version in the phase before,
	// BeforeMark its last mark there.
	Before     *Verification
	BeforeMark *AuditEntry
	Actors     []string // named so far
}

// GateAsk is a question to the gate.
type GateAsk struct {
	Release
	By     string // the access entry or source
	Actor  string // who wants to deploy, as the pipeline told; "" where it didn't
	Before string // the environment of the phase before, "" without one
	Record bool   // keep the answer
}

// ReleaseRecord is what is known of a version of a service, from the first
// question to the gate to what became of it.
type ReleaseRecord struct {
	Service      string                 `json:"service"`
	Version      string                 `json:"version"`
	Environments []EnvironmentOfRelease `json:"environments"` // in the order in which the release came to them
	URL          string                 `json:"url,omitempty"`
}

// EnvironmentOfRelease is a release in one environment.
type EnvironmentOfRelease struct {
	Environment string        `json:"environment"`
	Gate        []GateVerdict `json:"gate"`        // the newest first, at most 50
	Words       []GateWord    `json:"words"`       // the oldest first
	Deployments []Released    `json:"deployments"` // the newest first, at most 50
	Decisions   []AuditEntry  `json:"decisions"`   // of people, about the version and its verifications, the oldest first
}

// Released is one deployment of a release, with what the gate had said before it.
type Released struct {
	Deployment   Deployment    `json:"deployment"`
	Verification *Verification `json:"verification"` // nil where none was opened
}
