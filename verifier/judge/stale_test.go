package judge_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

// A daemon that was down while a deploy went wrong reads the past when it is
// back. What it reads was so then: it does not revert on it.
func TestNoRevertOnOldEvidence(t *testing.T) {
	const limit = 2 + 1 + 20 // seconds: two intervals, the step, and what a look may take
	r := runs(t, 3, time.Second, 0, true, "ppfff")
	for name, c := range map[string]struct {
		run      int
		decision verifier.Decision
	}{
		"at once":                        {5, verifier.Revert},
		"just fresh enough":              {5 + limit, verifier.Revert},
		"too old, with more to come":     {5 + limit + 1, ""},
		"too old, at the window's end":   {40, verifier.Inconclusive},
		"too old, long after that":       {4000, verifier.Inconclusive},
		"nothing bad is known of so far": {2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.decision, r.at(t, c.run).Decision)
		})
	}
	require.Equal(t, "nothing decisive, but smoke failed 3 times in a row; 3 are enough (not measured lately); otherwise no harm was proven so far", r.at(t, 29).Summary)
	require.Equal(t, "could not be judged: what speaks against it is too old to revert on, last measured 35s before it was judged: smoke failed 3 times in a row; 3 are enough, starting 3s after the deploy: status 500; smoke was measured in 5 of 40 steps",
		r.at(t, 40).Summary)
}

// Tickets are counted up to an hour after they were opened.
func TestOldTicketsAreFresh(t *testing.T) {
	for _, c := range []struct {
		late     time.Duration
		decision verifier.Decision
	}{{30 * time.Minute, verifier.Revert}, {2 * time.Hour, verifier.Inconclusive}} {
		s := verifier.Signal{Name: "tickets", Kind: verifier.Count, Role: verifier.Decisive, Required: true, TicketSource: &verifier.TicketSource{Feed: "desk"}}
		p := policy(time.Minute, 30*time.Minute, 0, 0, s)
		window := make([]verifier.Observation, 30)
		for i := range window {
			window[i] = verifier.Observation{At: deployed.Add(time.Duration(i+1) * time.Minute), Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Count: 40}
		}
		ev := evidence(t, p, map[string][]verifier.Observation{"tickets": calmTickets()}, map[string][]verifier.Observation{"tickets": window})
		a, err := judge.Assess(ev, deployed.Add(30*time.Minute+c.late))
		require.NoError(t, err)
		require.Equal(t, c.decision, a.Decision, a.Summary)
	}
}

// calmTickets is a past of three days with a ticket every five minutes.
func calmTickets() []verifier.Observation {
	out := make([]verifier.Observation, 3*24*60)
	for i := range out {
		at := deployed.Add(time.Duration(i-len(out)+1) * time.Minute)
		out[i] = verifier.Observation{At: at, Span: verifier.Duration(time.Minute), Outcome: verifier.Measured}
		if i%5 == 0 {
			out[i].Count = 1
		}
	}
	return out
}
