package judge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

func votesSignal(role verifier.Role, no, yes int) verifier.Signal {
	return verifier.Signal{Name: "demo", Kind: verifier.Voting, Role: role, VoteSource: &verifier.VoteSource{NoAtLeast: no, YesAtLeast: yes}}
}

// ballot is a vote, "kim no 5": so many minutes after the deploy.
func ballot(t testing.TB, text string) verifier.Observation {
	t.Helper()
	var who, word string
	var minute int
	_, err := fmt.Sscanf(text, "%s %s %d", &who, &word, &minute)
	require.NoError(t, err)
	at := deployed.Add(time.Duration(minute)*time.Minute + time.Duration(len(who))*time.Microsecond)
	return verifier.Vote{Decision: verifier.Ballot(word), By: who, At: at, Reason: "because " + who}.Observation()
}

func ballots(t testing.TB, all ...string) (out []verifier.Observation) {
	t.Helper()
	for _, text := range all {
		out = append(out, ballot(t, text))
	}
	return out
}

// polled judges the votes beside a probe that is well, as many minutes after
// the deploy.
func polled(t testing.TB, s verifier.Signal, minute int, votes ...string) verifier.Assessment {
	t.Helper()
	p := policy(time.Minute, 30*time.Minute, 2*time.Minute, 5*time.Minute, probeSignal(), s)
	var runs []verifier.Observation
	for m := range 31 {
		runs = append(runs, verifier.Observation{At: deployed.Add(time.Duration(m) * time.Minute), Span: verifier.Duration(time.Minute), Outcome: verifier.Measured, Total: 1})
	}
	history := map[string][]verifier.Observation{"smoke": {{At: deployed.Add(-time.Minute), Outcome: verifier.Measured, Total: 1}}}
	ev := evidence(t, p, history, map[string][]verifier.Observation{"smoke": runs, "demo": ballots(t, votes...)})
	a, err := judge.Assess(ev, deployed.Add(time.Duration(minute)*time.Minute))
	require.NoError(t, err)
	return a
}

func probeSignal() verifier.Signal {
	return verifier.Signal{Name: "smoke", Kind: verifier.Ratio, Role: verifier.Decisive, Required: true, Delta: 0.25, Epsilon: 0.01,
		ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: 3}}
}

func TestVotes(t *testing.T) {
	decisive, advisory := votesSignal(verifier.Decisive, 2, 2), votesSignal(verifier.Advisory, 2, 1)
	required := advisory
	required.Required = true
	requiredDecisive := decisive
	requiredDecisive.Required = true
	for name, c := range map[string]struct {
		signal   verifier.Signal
		minute   int
		votes    []string
		decision verifier.Decision
		state    verifier.SignalState
		cleared  bool
		says     string
	}{
		"nobody voted, so far":             {decisive, 10, nil, "", verifier.SignalPending, true, "nobody voted on demo"},
		"nobody voted keeps":               {decisive, 30, nil, verifier.Keep, verifier.SignalPending, true, "smoke 0 of 29 failed; nobody voted on demo"},
		"one no reverts nothing":           {decisive, 30, []string{"kim no 4"}, verifier.Keep, verifier.SignalPending, false, "demo 0 yes, 1 no"},
		"two no revert at once":            {decisive, 9, []string{"kim no 4", "dana no 8"}, verifier.Revert, verifier.SignalBad, false, `demo got the no of 2 people (dana, kim); 2 are enough: kim says "because kim", dana says "because dana"`},
		"the same no twice is one":         {decisive, 30, []string{"kim no 4", "kim no 5", "kim no 6"}, verifier.Keep, verifier.SignalPending, false, "demo 0 yes, 1 no"},
		"a changed mind counts":            {decisive, 30, []string{"kim no 4", "dana no 5", "kim yes 5"}, verifier.Keep, verifier.SignalPending, false, "demo 1 yes, 1 no"},
		"a no after the look waits":        {decisive, 7, []string{"kim no 4", "dana no 8"}, "", verifier.SignalPending, false, "demo 0 yes, 1 no"},
		"a no after the window is nothing": {decisive, 31, []string{"kim no 4", "dana no 31"}, verifier.Keep, verifier.SignalPending, false, "demo 0 yes, 1 no"},
		"no amount of yes outvotes it":     {decisive, 9, []string{"a yes 3", "b yes 3", "c yes 3", "kim no 4", "dana no 8"}, verifier.Revert, verifier.SignalBad, false, "demo got the no of 2 people"},
		"enough yes are good":              {decisive, 30, []string{"kim yes 4", "dana yes 8"}, verifier.Keep, verifier.SignalGood, true, "demo 2 yes, 0 no"},
		"a vote in warm-up counts":         {decisive, 3, []string{"kim no 1", "dana no 1"}, verifier.Revert, verifier.SignalBad, false, "2 are enough"},
		"one person alone, where allowed":  {votesSignal(verifier.Decisive, 1, 1), 9, []string{"kim no 4"}, verifier.Revert, verifier.SignalBad, false, "demo got a no of kim; one is enough"},
		"advisory never reverts":           {advisory, 30, []string{"a no 3", "b no 3", "c no 4"}, verifier.Keep, verifier.SignalBad, true, "kept, but demo got the no of 3 people (a, b, c); 2 are enough (advisory)"},
		"required and nobody voted":        {required, 30, nil, verifier.Inconclusive, verifier.SignalPending, true, "demo got 0 of the 1 yes that the policy requires"},
		"required and one yes":             {required, 30, []string{"kim yes 4"}, verifier.Keep, verifier.SignalGood, true, "demo 1 yes, 0 no"},
		"required and only no":             {required, 30, []string{"kim no 4"}, verifier.Inconclusive, verifier.SignalPending, true, "demo got 0 of the 1 yes"},
		"required, decisive, holds":        {requiredDecisive, 10, []string{"kim yes 4"}, "", verifier.SignalPending, false, "demo 1 yes, 0 no"},
		"required, decisive, clears":       {requiredDecisive, 10, []string{"kim yes 4", "dana yes 5"}, "", verifier.SignalGood, true, "demo 2 yes, 0 no"},
		"stale no after an outage":         {decisive, 95, []string{"kim no 4", "dana no 8"}, verifier.Inconclusive, verifier.SignalBad, false, "too old to revert on"},
	} {
		t.Run(name, func(t *testing.T) {
			a := polled(t, c.signal, c.minute, c.votes...)
			require.Equal(t, c.decision, a.Decision, a.Summary)
			f := a.Findings[1]
			require.Equal(t, c.state, f.State)
			require.Equal(t, verifier.Voting, f.Kind)
			require.NotNil(t, f.Votes)
			require.Contains(t, a.Summary, c.says)
			if c.minute < 31 {
				require.Equal(t, c.cleared, a.Cleared, a.Summary)
			}
		})
	}
}

func TestVotesAloneAreEnoughToJudge(t *testing.T) {
	p := policy(time.Minute, 30*time.Minute, 2*time.Minute, 5*time.Minute, votesSignal(verifier.Decisive, 2, 1))
	at := func(votes ...string) verifier.Assessment {
		a, err := judge.Assess(evidence(t, p, nil, map[string][]verifier.Observation{"demo": ballots(t, votes...)}), deployed.Add(30*time.Minute))
		require.NoError(t, err)
		return a
	}
	a := at()
	require.Equal(t, verifier.Inconclusive, a.Decision, "nothing was judged")
	require.Equal(t, verifier.Keep, at("kim yes 3").Decision)
	require.Equal(t, verifier.Revert, at("kim no 3", "dana no 4").Decision)
}

// Votes are no matter of chance: they take nothing of the budget of the others.
func TestVotesTakeNothingOfTheBudget(t *testing.T) {
	alone := policy(time.Minute, 30*time.Minute, 0, 0, errorsSignal())
	beside := policy(time.Minute, 30*time.Minute, 0, 0, errorsSignal(), votesSignal(verifier.Decisive, 2, 1))
	needed := func(p verifier.Policy) float64 {
		a, err := judge.Assess(evidence(t, p, nil, nil), deployed)
		require.NoError(t, err)
		return a.Findings[0].Chance.Needed
	}
	require.InDelta(t, needed(alone), needed(beside), 0)
}

// There are never more no than people who said no last, the order of arrival
// means nothing, who says the same again counts once, and votes that are
// advisory never revert.
func TestVotesCountPeople(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"a", "b", "c", "d"}
		var votes []string
		newest := map[string]string{}
		minute := 0
		for range rapid.IntRange(0, 12).Draw(rt, "votes") {
			minute += rapid.IntRange(0, 3).Draw(rt, "minutes")
			who, word := rapid.SampledFrom(names).Draw(rt, "who"), rapid.SampledFrom([]string{"yes", "no"}).Draw(rt, "word")
			votes = append(votes, fmt.Sprintf("%s %s %d", who, word, minute))
			if minute <= 29 {
				newest[who] = word
			}
		}
		no, needed := 0, rapid.IntRange(1, 4).Draw(rt, "needed")
		for _, word := range newest {
			if word == "no" {
				no++
			}
		}
		role := rapid.SampledFrom([]verifier.Role{verifier.Decisive, verifier.Advisory}).Draw(rt, "role")
		p := policy(time.Minute, 30*time.Minute, 0, 0, votesSignal(role, needed, 1))
		// The moments of one person differ, as the store sees to.
		obs := ballots(t, votes...)
		for i := range obs {
			obs[i].At = obs[i].At.Add(time.Duration(i) * time.Microsecond)
		}
		assess := func(obs []verifier.Observation) verifier.Assessment {
			a, err := judge.Assess(evidence(t, p, nil, map[string][]verifier.Observation{"demo": obs}), deployed.Add(30*time.Minute))
			require.NoError(rt, err)
			return a
		}
		a := assess(obs)
		f := a.Findings[0]
		require.Len(rt, f.Votes.No, no, strings.Join(votes, ", "))
		require.Len(rt, f.Votes.Yes, len(newest)-no)
		require.Equal(rt, role == verifier.Decisive && no >= needed, a.Decision == verifier.Revert)
		require.Equal(rt, a, assess(shuffled(rt, obs)))
		require.Equal(rt, a, assess(append(obs, obs...)), "the same twice")
	})
}
