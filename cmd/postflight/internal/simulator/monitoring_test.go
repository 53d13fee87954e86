package simulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var monitoringScenarios = []scenario{
	blind("D18", "Nothing of the service is scraped any more from the deploy on", "no samples", func(w *World) {
		w.Fleet.Strike(Fault{From: time.Now(), Hits: At(Checkout), Blind: true})
	}, "1.5"),
	blind("D19", "The new version renames a label: its series vanish", "no samples", func(*World) {}, "renamed"),
	{id: "D20", happens: "Prometheus loses half of its targets at the deploy", expected: "no revert", ends: "0 reverts", worlds: 20, quick: 2, run: halfLost},
	blind("D21", "The network of postflight itself goes down at the deploy", "network is unreachable", func(w *World) { w.CutOff(true) }, "1.5"),
}

// blind is a good deploy that can't be seen.
func blind(id, happens, why string, strike func(*World), version string) scenario {
	return scenario{id: id, happens: happens, expected: "inconclusive, and the page says why", ends: "inconclusive, named", worlds: 5, quick: 1,
		run: func(t *testing.T, seed uint64) []string {
			w := New(t, Options{Seed: seed, Releases: map[string]Release{"renamed": {Renamed: true}}})
			w.settled(Checkout)
			a := w.Deploy(Checkout, version)
			strike(w)
			time.Sleep(33 * time.Minute)
			v := w.Verification(a)
			require.NotNil(t, v.Verdict)
			require.Contains(t, fmt.Sprint(v.Verdict, v.Signals), why)
			require.Empty(t, w.Pipeline.Calls())
			w.CutOff(false)
			time.Sleep(time.Hour)
			require.NotEmpty(t, w.Told(a), "told once the network is back")
			return []string{string(v.Verdict.Decision) + ", named"}
		}}
}

func halfLost(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed})
	w.settled(Checkout)
	id := w.Deploy(Checkout, "1.5")
	w.Fleet.Strike(Fault{From: time.Now(), Hits: At(Checkout), LostTargets: 1})
	v := w.decided(id)
	require.NotEqual(t, verifier.Revert, v.Effective)
	return []string{w.reverts()}
}

var evidenceScenarios = []scenario{
	{id: "D22", happens: "A bad release was announced as irreversible", expected: "revert advised, withheld as irreversible",
		ends: "0 reverts, irreversible", worlds: 5, quick: 1, run: irreversibleItself},
	{id: "D23", happens: "A bad release, and between it and the last good version lies an irreversible one", expected: "withheld as irreversible",
		ends: "0 reverts, irreversible", worlds: 5, quick: 1, run: irreversibleBetween},
	{id: "D24", happens: "The first deploy that postflight sees is bad", expected: "withheld, for there is no known good version",
		ends: "0 reverts, target", worlds: 5, quick: 1, run: firstDeploy},
	{id: "D25", happens: "The version before the bad one was itself judged bad", expected: "withheld, for there is no known good version",
		ends: "0 reverts, target", worlds: 5, quick: 1, run: badBefore},
	{id: "D26", happens: "A notification of a bad release names a forged `previous_version`", expected: "rolled back to the version of postflight's own history",
		ends: "1 revert, to 1.1", worlds: 5, quick: 1, run: forgedPrevious},
	{id: "D27 tickets", happens: "One reporter floods the ticket desk after a good release", expected: "no revert", ends: "0 reverts", worlds: 20, quick: 2, run: ticketFlood},
	{id: "D27 4xx", happens: "Clients flood a good release with requests that end in 4xx", expected: "no revert", ends: "0 reverts", worlds: 20, quick: 2, run: clientFlood},
	{id: "D31", happens: "postflight is down for two hours after its verdict, before its call was taken", expected: "expired and told, no call after the outage",
		ends: "0 calls after it, expired", worlds: 5, quick: 1, run: expires},
	{id: "D32", happens: "A release is slow to start: 5 % errors in its first two minutes", expected: "kept", ends: "0 reverts, keep", worlds: 20, quick: 2, run: slowStart},
	{id: "D33", happens: "A bad release within a period of the calendar in which nothing is touched", expected: "revert advised, withheld by the window",
		ends: "0 reverts, window", worlds: 5, quick: 1, run: frozenHours},
	{id: "D34", happens: "A bad release of postflight itself", expected: "never rolled back by itself", ends: "0 reverts, loop", worlds: 5, quick: 1, run: itself},
	{id: "D35", happens: "A bad release under a policy in shadow mode", expected: "revert advised, no call", ends: "0 reverts, mode", worlds: 5, quick: 1, run: shadow},
	{id: "D36", happens: "The same bad release in one of two environments", expected: "only that environment is rolled back, to its own last good version",
		ends: "1 revert, of production to 1.1", worlds: 5, quick: 1, run: rightPlace},
}

// withheld tells a story whose bad deploy must not be rolled back, and says
// which guard held it.
func (w *World) withheld(id string) []string {
	w.t.Helper()
	v := w.decided(id)
	require.Equal(w.t, verifier.Revert, v.Verdict.Decision, "the evidence is clear: %s", v.Verdict.Summary)
	require.Equal(w.t, verifier.ActionWithheld, v.Action.State)
	require.NotEmpty(w.t, v.Action.Reason)
	w.Pass(time.Hour)
	told := w.Told(id)
	require.Equal(w.t, v.Action.Reason, told[len(told)-1].Data.Action.Reason, "people read why")
	require.Empty(w.t, w.Pipeline.Calls())
	return []string{w.reverts() + ", " + string(v.Action.Guard)}
}

func irreversibleItself(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	w.settled(Checkout)
	return w.withheld(w.Deploy(Checkout, "1.2", irreversible))
}

func irreversibleBetween(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	w.settled(Checkout)
	w.Deploy(Checkout, "1.5", irreversible)
	time.Sleep(2 * time.Minute) // superseded before it could be cleared
	return w.withheld(w.Deploy(Checkout, "1.2"))
}

func firstDeploy(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	return w.withheld(w.Deploy(Checkout, "1.2"))
}

func badBefore(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: map[string]Release{"1.2": {Errors: 0.05}, "1.3": {Errors: 0.15}}})
	w.decided(w.Deploy(Checkout, "1.2"))
	return w.withheld(w.Deploy(Checkout, "1.3"))
}

func forgedPrevious(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	w.settled(Checkout)
	w.decided(w.Deploy(Checkout, "1.2", previous("0.1-vulnerable")))
	return []string{w.reverts() + ", to " + w.Pipeline.Reverts()[0].TargetVersion}
}

func clientFlood(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed})
	w.settled(Checkout)
	id := w.Deploy(Checkout, "1.5")
	w.Fleet.Strike(Fault{From: time.Now(), Hits: At(Checkout), Refused: 0.6})
	require.NotEqual(t, verifier.Revert, w.decided(id).Effective)
	return []string{w.reverts()}
}

// deskFeed is a ticket desk, and the signal that watches it.
const (
	deskFeed      = `feeds: [{ name: desk, format: json, url: "http://desk.sim/tickets?from={{ .From.Unix }}&to={{ .To.Unix }}", count: $.count }]`
	ticketsSignal = `
      - { name: tickets, tickets: { feed: desk }, role: advisory }`
)

func ticketFlood(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Config: deskFeed, Signals: errorsSignal + ticketsSignal})
	w.settled(Checkout)
	id := w.Deploy(Checkout, "1.5")
	w.Fleet.Strike(Fault{From: time.Now(), Hits: At(Checkout), Tickets: 20})
	v := w.decided(id)
	require.NotEqual(t, verifier.Revert, v.Effective)
	require.Equal(t, verifier.SignalBad, v.Signals[1].State, "the flood was seen")
	return []string{w.reverts()}
}

func expires(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad})
	w.settled(Checkout)
	w.Pipeline.Answer = func(int, verifier.RevertRequest) int { return 503 }
	id := w.Deploy(Checkout, "1.2")
	v := w.verdict(id)
	require.Equal(t, verifier.ActionRequested, v.Action.State)
	w.Stop()
	called := len(w.Pipeline.Calls())
	time.Sleep(2 * time.Hour)
	w.Start()
	w.Pass(2 * time.Hour)
	require.True(t, slices.ContainsFunc(w.Told(id), func(e verifier.Event) bool { return e.Data.Action.State == verifier.ActionExpired }), "people are told")
	// A first call may have gone out, and been refused, before the daemon stopped.
	return []string{fmt.Sprintf("%d calls after it, %s", len(w.Pipeline.Calls())-called, w.Verification(id).Action.State)}
}

func slowStart(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: map[string]Release{"1.5": {ColdFor: 2 * time.Minute, ColdErrors: 0.05}}})
	w.settled(Checkout)
	v := w.decided(w.Deploy(Checkout, "1.5"))
	return []string{w.reverts() + ", " + string(v.Effective)}
}

func frozenHours(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad, Config: `calendar: [{ name: peak, days: [mon], hours: "08:00-12:00" }]`, Policy: map[string]string{"freezes": "[peak]"}})
	w.settled(Checkout)
	return w.withheld(w.Deploy(Checkout, "1.2"))
}

func itself(t *testing.T, seed uint64) []string {
	p := Place{"postflight", "production"}
	w := New(t, Options{Seed: seed, Places: []Place{p}, Releases: bad})
	w.settled(p)
	return w.withheld(w.Deploy(p, "1.2"))
}

func shadow(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Releases: bad, Policy: map[string]string{"mode": "shadow"}})
	w.settled(Checkout)
	return w.withheld(w.Deploy(Checkout, "1.2"))
}

func rightPlace(t *testing.T, seed uint64) []string {
	staging := Place{"checkout", "staging"}
	w := New(t, Options{Seed: seed, Places: []Place{Checkout, staging}, Releases: bad})
	w.settled(Checkout)
	w.Fleet.deploy(staging, "2.0", 0)
	w.Deploy(staging, "2.1")
	time.Sleep(10 * time.Minute)
	v := w.decided(w.Deploy(Checkout, "1.2"))
	r := w.Pipeline.Reverts()
	require.Len(t, r, 1)
	require.Equal(t, []string{"checkout", "production", "1.2", v.Action.RevertID},
		[]string{r[0].Service, r[0].Environment, r[0].ExpectedCurrentVersion, r[0].RevertID})
	require.Equal(t, "2.1", w.Fleet.Version(staging))
	return []string{strings.Join([]string{w.reverts(), "of " + r[0].Environment + " to " + r[0].TargetVersion}, ", ")}
}
