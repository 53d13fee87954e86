package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// polled accepts a finished deploy whose policy counts the votes of everybody
// for one signal, and of product and sam for another.
func polled(t *testing.T, s *store.Store, version string, at time.Time) verifier.Verification {
	t.Helper()
	p := policy()
	p.Signals = append(p.Signals,
		verifier.Signal{Name: "demo", Kind: verifier.Voting, Role: verifier.Advisory, VoteSource: &verifier.VoteSource{NoAtLeast: 2, YesAtLeast: 1}},
		verifier.Signal{Name: "owners", Kind: verifier.Voting, Role: verifier.Decisive, VoteSource: &verifier.VoteSource{From: []string{"product", "sam"}, NoAtLeast: 1, YesAtLeast: 1}})
	a, _, err := s.Accept(t.Context(), finished(version, at), []verifier.Policy{p}, at)
	require.NoError(t, err)
	require.NotNil(t, a.Verification)
	require.True(t, a.Verification.AsksVotes)
	return *a.Verification
}

func testVotes(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := polled(t, s, "1", start)
	cast := func(b verifier.Ballot, by string, minute int, reason string, roles ...string) (string, bool) {
		outcome, fresh, err := s.Cast(t.Context(), v.ID, verifier.Vote{Decision: b, By: by, At: utc(later(minute)), Reason: reason}, roles)
		require.NoError(t, err)
		return outcome, fresh
	}
	_, _, err := s.Cast(t.Context(), "vf_9", verifier.Vote{Decision: verifier.Yes, By: "dana", At: later(1), Reason: "r"}, nil)
	requireKind(t, verifier.NotFound, err)
	_, _, err = s.Cast(t.Context(), v.ID, verifier.Vote{Decision: "maybe", By: "dana", At: later(1), Reason: "r"}, nil)
	requireKind(t, verifier.Invalid, err)
	require.Empty(t, wholeAudit(t, s), "a refusal leaves nothing")

	outcome, fresh := cast(verifier.No, "kim", 1, "prices are wrong")
	require.True(t, fresh)
	require.Contains(t, outcome, "It counts for demo at the next look, which is advisory")
	_, fresh = cast(verifier.No, "kim", 2, "prices are wrong")
	require.False(t, fresh, "said already")
	outcome, _ = cast(verifier.Yes, "dana", 2, "it works", "product")
	require.Contains(t, outcome, "It counts for owners, demo at the next look, and may decide the verdict")
	_, fresh = cast(verifier.Yes, "kim", 2, "they are not")
	require.True(t, fresh, "a changed mind, at the same moment as another's vote")

	seen := func() verifier.Verification {
		v, err := s.Verification(t.Context(), v.ID)
		require.NoError(t, err)
		page, _, err := s.Verifications(t.Context(), verifier.Filter{Limit: 10})
		require.NoError(t, err)
		require.Equal(t, v.Votes, page[0].Votes, "a list tells the same")
		return v
	}
	want := []verifier.Vote{
		{Decision: verifier.Yes, By: "kim", At: utc(later(2)).Add(time.Microsecond), Reason: "they are not"},
		{Decision: verifier.Yes, By: "dana", At: utc(later(2)), Reason: "it works"},
	}
	require.Equal(t, want, seen().Votes, "the newest of each person")

	// The look that comes next finds them among the evidence of those signals that
	// count them.
	c := claim(t, s, v.ID, later(3))
	require.NoError(t, s.Prepare(t.Context(), prepared(c)))
	c = claim(t, s, v.ID, later(4))
	voters := func(signal string) (out []string) {
		for _, e := range c.Signals {
			for _, o := range e.Observations {
				if e.Signal == signal {
					out = append(out, o.Voter+" "+o.Message)
				}
			}
		}
		return out
	}
	require.Equal(t, []string{"kim prices are wrong", "dana it works", "kim they are not"}, voters("demo"), "all of them, in order of time")
	require.Equal(t, []string{"dana it works"}, voters("owners"))
	require.Empty(t, voters("errors"))

	decide(t, s, v, verifier.Keep, later(5))
	_, _, err = s.Cast(t.Context(), v.ID, verifier.Vote{Decision: verifier.No, By: "sam", At: later(6), Reason: "r"}, nil)
	requireKind(t, verifier.Conflict, err)
	require.Contains(t, err.Error(), "has its verdict already, keep since")
	require.Contains(t, err.Error(), "by feedback")
	require.Equal(t, want, seen().Votes, "they stay")
	require.Nil(t, verifier.CheckAudit(wholeAudit(t, s)))

	second := polled(t, s, "2", later(10))
	_, _, err = s.Cast(t.Context(), second.ID, verifier.Vote{Decision: verifier.No, By: "sam", At: second.ClosesAt.Add(time.Second), Reason: "r"}, nil)
	requireKind(t, verifier.Conflict, err)
	require.Contains(t, err.Error(), "the window of "+second.ID+" closed at")
	polled(t, s, "3", later(12))
	_, _, err = s.Cast(t.Context(), second.ID, verifier.Vote{Decision: verifier.No, By: "sam", At: later(13), Reason: "r"}, nil)
	requireKind(t, verifier.Conflict, err)
	require.Contains(t, err.Error(), "superseded by a newer deploy")
}

func prepared(c verifier.Check) verifier.Check {
	c.Signals = nil
	for _, s := range c.Policy.Signals {
		c.Signals = append(c.Signals, verifier.SignalEvidence{Signal: s.Name, Calibration: []byte("{}")})
	}
	return c
}

// testVoteEndsLook: no verdict leaves out a vote that came before it.
func testVoteEndsLook(t *testing.T, db database) {
	s := open(t, db.place(t))
	id := polled(t, s, "1", start).ID
	checks, err := s.Claim(t.Context(), later(1), time.Minute, 10)
	require.NoError(t, err)
	vote := verifier.Vote{Decision: verifier.No, By: "kim", At: later(1), Reason: "r"}
	_, _, err = s.Cast(t.Context(), id, vote, nil)
	require.NoError(t, err)
	requireKind(t, verifier.Conflict, s.Record(t.Context(), checks[0], nil, later(2), nil))
	requireKind(t, verifier.Conflict, s.Decide(t.Context(), checks[0], nil, later(2),
		func(verifier.Facts) (verifier.Decided, error) {
			require.Fail(t, "a vote was not looked at")
			return verifier.Decided{}, nil
		}))
	checks, err = s.Claim(t.Context(), later(1), time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, checks, 1, "it is due at once")
	_, fresh, err := s.Cast(t.Context(), id, vote, nil)
	require.NoError(t, err)
	require.False(t, fresh)
	require.NoError(t, s.Record(t.Context(), checks[0], nil, later(2), nil), "what was said already ends no look")
}

// testVotesAtOnce lets people vote at once: one vote of each counts, each has a
// time of its own, and nobody may vote for ever.
func testVotesAtOnce(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := polled(t, s, "1", start)
	var people sync.WaitGroup
	for i := range 20 {
		people.Go(func() {
			_, _, err := s.Cast(t.Context(), v.ID, verifier.Vote{Decision: verifier.No, By: []string{"dana", "kim"}[i%2], At: later(1), Reason: "r"}, nil)
			require.NoError(t, err)
		})
	}
	people.Wait()
	require.Len(t, wholeAudit(t, s), 2)
	words := []verifier.Ballot{verifier.Yes, verifier.No}
	for i := range verifier.VotesEach - 1 {
		_, _, err := s.Cast(t.Context(), v.ID, verifier.Vote{Decision: words[i%2], By: "dana", At: later(2), Reason: "r"}, nil)
		require.NoError(t, err)
	}
	_, _, err := s.Cast(t.Context(), v.ID, verifier.Vote{Decision: words[1], By: "dana", At: later(3), Reason: "r"}, nil)
	requireKind(t, verifier.Conflict, err)
	require.Contains(t, err.Error(), "dana has voted 20 times")
	times := map[time.Time]bool{}
	for _, e := range wholeAudit(t, s) {
		times[e.At] = true
	}
	require.Len(t, times, verifier.VotesEach+1)
}
