package board_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// askedOf is a deploy that people vote on, so far as they did.
func askedOf(no ...string) fixture {
	v := opened()
	v.State, v.AsksVotes = verifier.StateObserving, true
	demo := verifier.Finding{Name: "demo", Kind: verifier.Voting, Role: verifier.Decisive, State: verifier.SignalPending, Usual: verifier.Usual{Needed: 1, Unknown: true},
		Votes: &verifier.VoteFinding{Yes: []string{"kim"}, No: no, NoAtLeast: 2, YesAtLeast: 3}, Steps: verifier.StepCounts{Measured: 1 + len(no)}, Query: "votes on checkout 1.42.0 in production of everybody who may vote"}
	if len(no) > 1 {
		demo.State, demo.Matters.Yes, demo.Rule = verifier.SignalBad, true, "got the no of 2 people (dana, sam); 2 are enough"
	}
	v.Signals = []verifier.Finding{errorsFinding(verifier.SignalGood), demo}
	for i, who := range no {
		v.Votes = append(v.Votes, verifier.Vote{Decision: verifier.No, By: who, At: deployed.Add(time.Duration(12-i) * time.Minute), Reason: "<b>prices</b> have no currency"})
	}
	v.Votes = append(v.Votes, verifier.Vote{Decision: verifier.Yes, By: "kim", At: deployed.Add(4 * time.Minute), Reason: "it sells"})
	return fixture{v: v, now: deployed.Add(20 * time.Minute)}
}

func TestVotesOnTheVerdictPage(t *testing.T) {
	words := func(w string) string { return strings.Join(strings.Fields(plainText(t, w)), " ") }
	f := askedOf("dana")
	page := ask(t, f.reader(), f.now, f.path()+"?told=vote", with(dana)).Body.String()
	wholesome(t, page)
	require.Contains(t, page, `id="vote"`, "where messages lead to")
	require.Contains(t, page, `/decide?do=yes"`)
	require.NotContains(t, page, "<b>prices</b>")
	text := words(page)
	for _, s := range []string{
		"Stored at 2026-11-23 02:53:07 UTC: dana voted no: <b>prices</b> have no currency.",
		"Does it do what it should? Yes… No…",
		"dana voted no: <b>prices</b> have no currency", "kim voted yes: it sells",
		"demo: the votes", "1 yes, 1 no", "all 60 steps were measured", "Who says no?– dana. demo is bad from 2 people on.", "Who says yes?– kim. demo is good from 3 people on.",
	} {
		require.Contains(t, text, s)
	}
	require.NotContains(t, text, "demo: the three questions")
	require.Equal(t, 1, strings.Count(page, "<figure"), "votes are counted, not drawn")

	bad := askedOf("dana", "sam")
	v := decided(bad.v, verifier.Revert, 13*time.Minute, "demo got the no of 2 people (dana, sam); 2 are enough")
	bad.v = v
	page = ask(t, bad.reader(), bad.now, bad.path(), with(dana)).Body.String()
	wholesome(t, page)
	require.NotContains(t, page, `do=yes"`, "the verdict is there")
	text = words(page)
	require.Contains(t, text, "It got the no of 2 people (dana, sam); 2 are enough.")
	require.Contains(t, text, "Who says no?✖ dana, sam. demo is bad from 2 people on.")
	require.Contains(t, text, "sam voted no")
	picture := ask(t, bad.reader(), bad.now, bad.path()+"/chart.png", with(dana))
	require.Equal(t, http.StatusOK, picture.Code)
}

func TestVoteForm(t *testing.T) {
	f := askedOf("dana")
	voter := dana
	voter.may = []string{"read", "vote"}
	for query, says := range map[string]string{
		"?do=yes": "Say yes to 1.42.0 of checkout in production?", "?do=no": "one person's no reverts nothing",
	} {
		w := ask(t, f.reader(), f.now, f.path()+"/decide"+query, with(voter))
		require.Equal(t, http.StatusOK, w.Code)
		wholesome(t, w.Body.String())
		require.Contains(t, strings.Join(strings.Fields(plainText(t, w.Body.String())), " "), says)
		require.Contains(t, w.Body.String(), `name="stamp"`)
	}
	require.Equal(t, http.StatusForbidden, ask(t, f.reader(), f.now, f.path()+"/decide?do=keep", with(voter)).Code, "a voter decides nothing else")
	reader := dana
	reader.may = []string{"read", "report"}
	require.Equal(t, http.StatusForbidden, ask(t, f.reader(), f.now, f.path()+"/decide?do=no", with(reader)).Code)
	require.NotContains(t, ask(t, f.reader(), f.now, f.path()).Body.String(), `do=yes"`, "nobody takes it there")
	over := askedOf("dana")
	over.v = decided(over.v, verifier.Keep, 30*time.Minute, "demo 1 yes, 1 no")
	late := ask(t, over.reader(), over.now, over.path()+"/decide?do=no", with(voter)).Body.String()
	require.Contains(t, late, "votes count until then")
	require.NotContains(t, late, "<form")
	f.v.AsksVotes = false
	require.NotContains(t, ask(t, f.reader(), f.now, f.path(), with(dana)).Body.String(), `do=yes"`, "no signal asks")
}
