package simulator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// settled brings 1.1 to a place and waits until it may be rolled back to.
func (w *World) settled(p Place) {
	w.t.Helper()
	id := w.Deploy(p, "1.1")
	time.Sleep(9 * time.Minute)
	for range 25 {
		if v := w.Verification(id); v.ClearedAt != nil || v.Effective == verifier.Keep {
			return
		}
		time.Sleep(time.Minute)
	}
	require.Fail(w.t, "1.1 is good", "%+v", w.Verification(id).Verdict)
}

// bad are the releases that fail; 1.1 and what isn't named are good.
var bad = map[string]Release{"1.2": {Errors: 0.05}, "1.3": {Errors: 0.05}, "1.4": {Slow: 0.1}}

// decided waits for a verification to end, an hour at most.
func (w *World) decided(id string) verifier.Verification {
	w.t.Helper()
	for range 12 {
		time.Sleep(5 * time.Minute)
		if v := w.Verification(id); v.State.Final() {
			return v
		}
	}
	require.Fail(w.t, "not decided within an hour", id)
	return verifier.Verification{}
}

// reverts says how many rollbacks the pipeline was asked for.
func (w *World) reverts() string {
	return w.revertsOf(func(verifier.RevertRequest) bool { return true })
}

var loopScenarios = []scenario{
	loopAnnounced("D1 marked", "the pipeline announces the rollback with its `revert_id`", Marked, true),
	loopAnnounced("D2 unmarked", "the rollback is announced like any other deploy", Unmarked, false),
	loopAnnounced("D2 GitHub", "GitHub announces the rollback as a deployment of its own", GitHub, false),
	loopAnnounced("D3 CDEvents", "the rollback is announced as a `service.rolledback` event", CDEvents, false),
	loopAnnounced("D4 Flux", "Flux announces it as `RollbackSucceeded`", Flux, false),
	{id: "D1-D4 old version bad", happens: "A bad release is rolled back, and the old version has become bad too",
		expected: "1 revert in 24 h; the rollback is watched, withheld as a loop, and told",
		ends:     "1 revert, then loop", worlds: 5, quick: 1, run: oldIsBadToo},
	{id: "D1-D4 third bad release", happens: "Three bad releases within 24 h, two hours apart",
		expected: "2 reverts; the third is withheld by the caps, and told",
		ends:     "2 reverts, then caps", worlds: 5, quick: 1, run: threeBad},
}

// loopAnnounced is the loop as each system closes it.
func loopAnnounced(id, how string, style Style, races bool) scenario {
	return scenario{id: id, happens: "A bad release is rolled back; " + how, expected: "exactly 1 revert in 24 h",
		ends: "1 revert", worlds: 5, quick: 1, races: races, run: loop(style)}
}

func loop(style Style) func(t *testing.T, seed uint64) []string {
	return func(t *testing.T, seed uint64) []string {
		w := New(t, Options{Seed: seed, Style: style, Releases: bad})
		w.settled(Checkout)
		id := w.Deploy(Checkout, "1.2")
		w.Pass(24 * time.Hour)
		v := w.Verification(id)
		require.Equal(t, verifier.Revert, v.Verdict.Decision)
		require.Equal(t, verifier.ActionConfirmed, v.Action.State, v.Action.Reason)
		require.Equal(t, "1.1", w.Fleet.Version(Checkout))
		newest := w.Verifications(Checkout)[0]
		require.True(t, newest.Deployment.Rollback, "the rollback is recognised")
		require.Equal(t, verifier.Keep, newest.Effective)
		return []string{w.reverts()}
	}
}

func oldIsBadToo(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Style: Unmarked, Releases: bad})
	w.settled(Checkout)
	id := w.Deploy(Checkout, "1.2")
	require.Equal(t, verifier.Revert, w.decided(id).Verdict.Decision)
	w.Fleet.Strike(Fault{From: time.Now(), Hits: At(Checkout), Errors: 0.08})
	w.Pass(24 * time.Hour)
	newest := w.Verifications(Checkout)[0]
	require.True(t, newest.Deployment.Rollback)
	require.NotEqual(t, verifier.Keep, newest.Effective)
	require.False(t, newest.Action.Open())
	require.NotEmpty(t, w.Told(newest.ID), "people are told")
	return []string{w.reverts() + ", then " + string(newest.Action.Guard)}
}

func threeBad(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	w.settled(Checkout)
	var last string
	for _, version := range []string{"1.2", "1.3", "1.4"} {
		last = w.Deploy(Checkout, version)
		w.Pass(2 * time.Hour)
	}
	v := w.Verification(last)
	require.Equal(t, verifier.ActionWithheld, v.Action.State)
	require.Contains(t, w.Told(last)[0].Data.Action.Reason, "limit is 2")
	return []string{w.reverts() + ", then " + string(v.Action.Guard)}
}
