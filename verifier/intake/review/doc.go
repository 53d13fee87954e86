// Package review tells pipelines that wait at GitHub's custom deployment
// protection rules what the gate says of their release. GitHub asks by a webhook,
// which package intake stores as a verifier.GateRequest; the answer is a call of
// ours, as the GitHub App that the rule belongs to.
//
// A release that may go is approved. One that may not waits: the reasons are
// shown at GitHub, and the gate is asked again when somebody says something of
// the release, and each minute. It is rejected when it has waited for long enough,
// or at once where that is configured. An answer is stored before it is told, and
// told until GitHub has taken it; it is never followed by another. An approval
// that could not be told at once is told later only if the gate still says go.
package review
