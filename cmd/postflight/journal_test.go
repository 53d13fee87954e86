package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

// TestAJournalHasALineForEachChange: a deploy from its notification to its
// rollback, read again and again.
func TestAJournalHasALineForEachChange(t *testing.T) {
	begin := time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC)
	f := func(x float64) *float64 { return &x }
	v := verifier.Verification{
		ID: "vf_1", State: verifier.StatePending, Mode: verifier.Enforce, ClosesAt: begin.Add(30 * time.Minute),
		Deployment: verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0", Previous: "1.41.3", FinishedAt: begin},
		Action:     verifier.Action{State: verifier.ActionNone},
	}
	var j journal
	plain := terminal.New(nil, false, func(string) string { return "" })
	expect := func(lines ...string) {
		t.Helper()
		var got []string
		for _, n := range j.notes(v) {
			got = append(got, n.on(plain))
		}
		require.Equal(t, lines, got)
		require.Empty(t, j.notes(v), "the same again is no news")
	}
	expect("⟳ checkout 1.42.0 (was 1.41.3) in production · window 30m · enforce · vf_1")

	v.State = verifier.StateObserving
	errors := verifier.Finding{Name: "errors", Kind: verifier.Ratio, State: verifier.SignalPending, Before: f(0.004), After: f(0.004)}
	v.Signals = []verifier.Finding{errors, {Name: "home", Kind: verifier.Ratio, State: verifier.SignalPending}}
	expect("◌ the past is read, watching 2 signals")

	errors.After, errors.Matters = f(0.029), verifier.Matters{Limit: f(0.013), Yes: true}
	v.Signals = []verifier.Finding{errors, {Name: "home", Kind: verifier.Ratio, State: verifier.SignalGood, Before: f(0), After: f(0)}}
	expect("⚠ errors 0.4% → 2.9% (limit 1.3%)   ✔ home 0% → 0%")

	errors.After = f(0.03) // the same, a little more of it
	v.Signals[0] = errors
	require.Empty(t, j.notes(v))

	errors.After, errors.Matters.Yes = f(0.004), false
	v.Signals[0] = errors
	expect("◌ errors 0.4% → 0.4%")

	v.Signals[1] = verifier.Finding{Name: "home", State: verifier.SignalUnknown, Message: "connection\nrefused\x1b[2J"}
	expect("? home unknown: connection refused\ufffd[2J")

	v.Attribution = &verifier.Attribution{Waiting: "cart 1.1 overlaps"}
	cleared := begin.Add(5 * time.Minute)
	v.ClearedAt = &cleared
	expect("◌ the verdict waits: cart 1.1 overlaps", "✔ cleared: pipelines may go on")

	errors.After, errors.State, errors.Matters.Yes = f(0.061), verifier.SignalBad, true
	errors.Control = &verifier.ControlFinding{Before: f(0.004), After: f(0.004)}
	v.Signals[0] = errors
	v.State, v.Effective = verifier.StateDecided, verifier.Revert
	v.Verdict = &verifier.Verdict{Decision: verifier.Revert, DecidedAt: begin.Add(9*time.Minute + 5*time.Second)}
	v.Action = verifier.Action{State: verifier.ActionRequested, TargetVersion: "1.41.3", RevertID: "rv_1"}
	expect("✖ errors 0.4% → 6.1% (limit 1.3%), control group 0.4% → 0.4%",
		"✖ REVERT after 9m05s of 30m", "⟳ a rollback to 1.41.3 is being requested (rv_1)")

	v.Action.State = verifier.ActionConfirmed
	expect("⟳ rollback to 1.41.3 (rv_1): confirmed")
}
