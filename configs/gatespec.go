package configs

import "time"

// gateSpec says what must hold before a release may be deployed, beside what
// every gate asks: a policy that would watch it, no version that was reverted
// and not approved again, none that is marked bad, no unanswered no, no earlier
// deploy that is watched or under way, no rollback under way, no freeze, no
// brake, and a release window.
type gateSpec struct {
	// SignOffs are roles that must each say yes, such as product, engineering,
	// quality, operations and support. None by default.
	SignOffs []string `yaml:"sign_offs"`
	// Final is the role whose word settles a split vote. Without one an answered
	// no is settled by a yes of its own role.
	Final string `yaml:"final"`
	// SelfApproval says whether who asked for a release, as the pipeline tells,
	// may sign it off as well. Where it is forbidden, whoever asks the gate must
	// name the actor.
	SelfApproval string `yaml:"self_approval" default:"allow" oneof:"allow forbid"`
	// Expires is how long a yes counts, 1h to 90d.
	Expires time.Duration `yaml:"expires" default:"7d"`
	// Checklist are things that must be done, such as definition-of-done,
	// security-scan, rollback-checklist, release-notes, knowledge-base and
	// support-hand-off: reported by a pipeline or ticked by a person.
	Checklist []itemSpec `yaml:"checklist"`
	// Smoke are requests to a staging address that must all succeed while the
	// gate is asked.
	Smoke []stepSpec `yaml:"smoke"`
	// KnownGood wants a version to return to.
	KnownGood bool `yaml:"known_good" default:"false"`
	// RollbackAnswers wants the policy's rollback hook to answer: it is sent HEAD
	// or, where its ready address is written, that one GET.
	RollbackAnswers bool `yaml:"rollback_answers" default:"false"`
	// Incidents are alerts that must not be firing about the service.
	Incidents []alertsSpec `yaml:"incidents"`
	// Phases are environments in the order of a rollout: a version must have been
	// cleared in each before it goes to the next.
	Phases []string `yaml:"phases"`
	// WhileWatching says whether a release may go while an earlier one is still
	// watched: hold, or go, which ends that watch without a verdict.
	WhileWatching string `yaml:"while_watching" default:"hold" oneof:"hold go"`
}

// itemSpec is one thing that must be done before a release.
type itemSpec struct {
	// Name is what is reported.
	Name string `yaml:"name" required:"true"`
	// By are the access entries whose word counts; all that may report or decide
	// by default.
	By []string `yaml:"by"`
	// Within is how old a report may be, 1m to 90d; any age by default.
	Within time.Duration `yaml:"within"`
}
