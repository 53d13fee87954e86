// Package failpoint names the steps between which a fault must lose nothing.
// The code passes each of them by calling Reach. In a daemon as it is released
// that is nothing at all: the compiler drops it. Built with the tag
// `failpoints`, which only the fault tests do, a step can be made to kill the
// process, to fail, to be slow or to wait: see the environment variable
// POSTFLIGHT_FAILPOINTS in on.go.
package failpoint

// Point is a step that a fault can be put at.
type Point string

// The steps, in the order of a deploy's way through the daemon.
const (
	// IntakeBeforeTx: a notification is authenticated and read, not stored.
	IntakeBeforeTx Point = "intake.before_tx"
	// SupersedeMid: the old verification is ended and the new one is not yet
	// opened, in one transaction.
	SupersedeMid Point = "supersede.mid"
	// ConfirmBeforeStore: a rollback is known to have gone live, which is not
	// stored yet.
	ConfirmBeforeStore Point = "confirm.before_store"
	// IntakeAfterCommitBeforeReply: a notification is stored, not answered.
	IntakeAfterCommitBeforeReply Point = "intake.after_commit_before_reply"
	// LeaseAfterRenew: due verifications are leased, their evidence isn't read.
	LeaseAfterRenew Point = "lease.after_renew"
	// DispatchAfterClaim: due verifications are claimed, no look has begun.
	DispatchAfterClaim Point = "dispatch.after_claim"
	// SampleBeforeStore: a look is measured and judged, not stored.
	SampleBeforeStore Point = "sample.before_store"
	// SampleAfterStore: a look is stored and its lease given back.
	SampleAfterStore Point = "sample.after_store"
	// JudgeBeforeTx: there is a verdict, and nothing of it is stored.
	JudgeBeforeTx Point = "judge.before_tx"
	// JudgeAfterCommit: the verdict is stored with its deliveries.
	JudgeAfterCommit Point = "judge.after_commit"
	// OutboxAfterClaim: an attempt of a rollback is stored as begun, not sent.
	OutboxAfterClaim Point = "outbox.after_claim"
	// OutboxAfterSendBeforeMark: a rollback is sent and answered, which isn't
	// stored.
	OutboxAfterSendBeforeMark Point = "outbox.after_send_before_mark"
	// OutboxAfterMark: a rollback's attempt is stored with its end.
	OutboxAfterMark Point = "outbox.after_mark"
	// NotifyAfterSendBeforeMark: a message is sent and answered, which isn't
	// stored.
	NotifyAfterSendBeforeMark Point = "notify.after_send_before_mark"
	// OverrideAfterCommit: a person's decision is stored, not answered.
	OverrideAfterCommit Point = "override.after_commit"
	// ReloadBeforeSwap: a new configuration is built, the old one in force.
	ReloadBeforeSwap Point = "reload.before_swap"
	// ReloadAfterSwap: the new one is in force, the old one not closed.
	ReloadAfterSwap Point = "reload.after_swap"
	// ShutdownMid: nothing is answered or sent any more, looks still run and
	// the store is open.
	ShutdownMid Point = "shutdown.mid"
)
