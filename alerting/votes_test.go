package alerting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// Messages lead to where people vote as long as their votes count, where the
// policy counts any.
func TestMessagesLeadToTheVote(t *testing.T) {
	const page = "https://postflight.example/verifications/vf_1"
	links := func(e verifier.EventType, change func(*verifier.Verification)) (out []Link) {
		v := verifier.Verification{ID: "vf_1", URL: page, State: verifier.StateObserving, AsksVotes: true}
		change(&v)
		return Tell(verifier.NewEvent(e, v, verifier.Policy{}, time.Now())).Links
	}
	vote := []Link{{"Open verdict", page}, {"Vote", page + "#vote"}}
	require.Equal(t, vote, links(verifier.EventOpened, func(*verifier.Verification) {}))
	require.Equal(t, vote, links(verifier.EventCleared, func(*verifier.Verification) {}))
	for name, change := range map[string]func(*verifier.Verification){
		"the policy has no votes": func(v *verifier.Verification) { v.AsksVotes = false },
		"it is decided":           func(v *verifier.Verification) { v.State = verifier.StateDecided },
		"it is superseded":        func(v *verifier.Verification) { v.State = verifier.StateSuperseded },
	} {
		require.Equal(t, vote[:1], links(verifier.EventCleared, change), name)
	}
	require.Empty(t, links(verifier.EventOpened, func(v *verifier.Verification) { v.URL = "" }), "there is no page")
}

func TestVotesInWords(t *testing.T) {
	f := verifier.Finding{Name: "demo", Kind: verifier.Voting, Role: verifier.Decisive, State: verifier.SignalBad, Message: `kim says "prices"`,
		Votes: &verifier.VoteFinding{Yes: []string{"dana"}, No: []string{"kim", "sam"}, NoAtLeast: 2, YesAtLeast: 1}, Steps: verifier.StepCounts{Measured: 3}}
	require.Equal(t, `✖ demo 1 yes, 2 no: kim says "prices"`, signalStory(f).Line())
	silent := verifier.Finding{Name: "demo", Kind: verifier.Voting, Role: verifier.Advisory, State: verifier.SignalPending, Message: "nobody has voted", Votes: &verifier.VoteFinding{NoAtLeast: 2, YesAtLeast: 1}}
	require.Equal(t, "… demo 0 yes, 0 no (not proven, advisory)", signalStory(silent).Line())
}
