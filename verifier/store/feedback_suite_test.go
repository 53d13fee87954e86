package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// rate says something of a verdict and reports whether it was new.
func rate(t *testing.T, s *store.Store, id string, r verifier.Rating, by string, at time.Time, reason string) bool {
	t.Helper()
	fresh, err := s.Rate(t.Context(), id, verifier.Feedback{Decision: r, By: by, At: at, Reason: reason})
	require.NoError(t, err)
	return fresh
}

func testFeedback(t *testing.T, db database) {
	s := open(t, db.place(t))
	waiting := opened(t, s, "1", start)
	_, err := s.Rate(t.Context(), waiting.ID, verifier.Feedback{Decision: verifier.Right, By: "dana", At: later(1), Reason: "r"})
	requireKind(t, verifier.Conflict, err)
	_, err = s.Rate(t.Context(), "vf_9", verifier.Feedback{Decision: verifier.Right, By: "dana", At: later(1), Reason: "r"})
	requireKind(t, verifier.NotFound, err)
	v := decide(t, s, waiting, verifier.Keep, later(5))
	_, err = s.Rate(t.Context(), v.ID, verifier.Feedback{Decision: "maybe", By: "dana", At: later(6), Reason: "r"})
	requireKind(t, verifier.Invalid, err)
	require.Empty(t, wholeAudit(t, s), "a refusal leaves nothing")

	says := func() (list []verifier.Feedback) {
		v, err := s.Verification(t.Context(), v.ID)
		require.NoError(t, err)
		page, _, err := s.Verifications(t.Context(), verifier.Filter{Limit: 10})
		require.NoError(t, err)
		require.Equal(t, v.Feedback, page[0].Feedback, "a list tells the same")
		return v.Feedback
	}
	require.Empty(t, says())
	require.True(t, rate(t, s, v.ID, verifier.Right, "dana", later(6), "looks fine"))
	require.False(t, rate(t, s, v.ID, verifier.Right, "dana", later(7), "looks fine"), "said already")
	require.True(t, rate(t, s, v.ID, verifier.Right, "kim", later(8), "same here"))
	require.True(t, rate(t, s, v.ID, verifier.Wrong, "dana", later(9), "orders were lost"))
	want := []verifier.Feedback{
		{Decision: verifier.Wrong, By: "dana", At: utc(later(9)), Reason: "orders were lost"},
		{Decision: verifier.Right, By: "kim", At: utc(later(8)), Reason: "same here"},
	}
	require.Equal(t, want, says(), "the newest of each person")
	require.True(t, rate(t, s, v.ID, verifier.Right, "dana", later(10), "looks fine"), "what was said before the last is new")
	require.Equal(t, verifier.Right, says()[0].Decision)

	entries, _, err := s.Audit(t.Context(), verifier.AuditFilter{Action: verifier.AuditFeedback, Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 4, "all are kept")
	require.Equal(t, verifier.AuditEntry{Seq: 3, At: utc(later(9)), By: "dana", Action: verifier.AuditFeedback, Service: "checkout", Environment: "production",
		Subject: v.ID, Decision: "wrong", Reason: "orders were lost", Previous: entries[2].Hash, Hash: entries[1].Hash}, entries[1])
	require.Nil(t, verifier.CheckAudit(wholeAudit(t, s)))

}

// testFeedbackAtOnce lets the same person say the same thing at once: it is one
// entry, and the chain is whole.
func testFeedbackAtOnce(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Keep, later(5))
	fresh := make(chan bool, 20)
	var people sync.WaitGroup
	for i := range 20 {
		people.Go(func() {
			by := []string{"dana", "kim"}[i%2]
			first, err := s.Rate(t.Context(), v.ID, verifier.Feedback{Decision: verifier.Wrong, By: by, At: later(6), Reason: "r"})
			require.NoError(t, err)
			fresh <- first
		})
	}
	people.Wait()
	close(fresh)
	n := 0
	for f := range fresh {
		if f {
			n++
		}
	}
	require.Equal(t, 2, n)
	require.Len(t, wholeAudit(t, s), 2)
	require.Nil(t, verifier.CheckAudit(wholeAudit(t, s)))
}

func testAccuracy(t *testing.T, db database) {
	s := open(t, db.place(t))
	accuracy := func(since time.Time) map[verifier.Decision]verifier.Rated {
		a, err := s.Accuracy(t.Context(), since)
		require.NoError(t, err)
		require.Equal(t, utc(since), a.Since)
		return a.Verdicts
	}
	require.Empty(t, accuracy(start))
	var ids []string
	for i, d := range []verifier.Decision{verifier.Keep, verifier.Keep, verifier.Revert, verifier.Inconclusive, verifier.Keep} {
		ids = append(ids, decide(t, s, opened(t, s, string(rune('1'+i)), later(60*i)), d, later(60*i+5)).ID)
	}
	require.Empty(t, accuracy(start), "nobody said anything")
	rate(t, s, ids[0], verifier.Right, "dana", later(300), "r")
	rate(t, s, ids[1], verifier.Right, "dana", later(300), "r")
	rate(t, s, ids[1], verifier.Wrong, "kim", later(301), "r")
	rate(t, s, ids[2], verifier.Right, "dana", later(300), "r")
	rate(t, s, ids[2], verifier.Wrong, "dana", later(301), "r")
	rate(t, s, ids[3], verifier.Wrong, "dana", later(300), "r")
	want := map[verifier.Decision]verifier.Rated{verifier.Keep: {Right: 1, Disputed: 1}, verifier.Revert: {Wrong: 1}, verifier.Inconclusive: {Wrong: 1}}
	require.Equal(t, want, accuracy(start))
	delete(want, verifier.Keep)
	require.Equal(t, want, accuracy(later(100)), "what opened before doesn't count")

	// An override leaves the verdict what it was, and what a person decided in
	// its place says nothing of postflight's accuracy.
	require.NoError(t, overrule(t, s, ids[2], verifier.Keep, later(310)))
	require.Equal(t, want, accuracy(later(100)))
	persons := opened(t, s, "9", later(400)).ID
	require.NoError(t, overrule(t, s, persons, verifier.Keep, later(401)))
	rate(t, s, persons, verifier.Wrong, "kim", later(402), "r")
	require.Equal(t, want, accuracy(later(100)))
}

// testWrongLeavesBaselines: what was measured after a deploy whose verdict was
// wrong says nothing about what is usual, until whoever said so says otherwise.
func testWrongLeavesBaselines(t *testing.T, db database) {
	s := open(t, db.place(t))
	leftOut := func() (starts []time.Time) {
		spans, err := s.LeftOut(t.Context(), "checkout", "production", later(-100))
		require.NoError(t, err)
		for _, span := range spans {
			starts = append(starts, span.From.Add(time.Minute))
		}
		return starts
	}
	kept := decide(t, s, opened(t, s, "1", start), verifier.Keep, later(5)).ID
	unsure := decide(t, s, opened(t, s, "2", later(100)), verifier.Inconclusive, later(105)).ID
	reverted := decide(t, s, opened(t, s, "3", later(200)), verifier.Revert, later(205)).ID
	revert := utc(later(200))
	require.Equal(t, []time.Time{revert}, leftOut())
	rate(t, s, kept, verifier.Right, "dana", later(300), "r")
	rate(t, s, unsure, verifier.Right, "dana", later(300), "r")
	require.Equal(t, []time.Time{revert}, leftOut())
	rate(t, s, kept, verifier.Wrong, "kim", later(301), "orders were lost")
	require.Equal(t, []time.Time{utc(start), revert}, leftOut(), "one who says wrong is enough")
	spans, err := s.LeftOut(t.Context(), "checkout", "production", later(-100))
	require.NoError(t, err)
	require.True(t, spans[0].Feedback, "nothing else leaves it out")
	require.False(t, spans[1].Feedback)
	require.Equal(t, utc(later(60)), spans[0].To, "as long as a revert that was never seen: two windows")
	rate(t, s, kept, verifier.Right, "kim", later(302), "it was another service")
	require.Equal(t, []time.Time{revert}, leftOut(), "taken back")
	rate(t, s, unsure, verifier.Wrong, "kim", later(303), "it was plain to see")
	require.Equal(t, []time.Time{utc(later(100)), revert}, leftOut())

	// A false revert looked unusual, whatever the cause: it stays out until a
	// person decides that it counts.
	rate(t, s, reverted, verifier.Wrong, "dana", later(304), "a load test")
	require.Equal(t, []time.Time{utc(later(100)), revert}, leftOut())
	require.NoError(t, overrule(t, s, reverted, verifier.Keep, later(305)))
	require.NoError(t, overrule(t, s, unsure, verifier.Keep, later(305)))
	require.Empty(t, leftOut())
	spans, err = s.LeftOut(t.Context(), "cart", "production", later(-100))
	require.NoError(t, err)
	require.Empty(t, spans)
}
