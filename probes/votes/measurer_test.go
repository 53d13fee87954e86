package votes_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/votes"
	"github.com/postflight/postflight/verifier"
)

func TestVotesAreAskedOfNobody(t *testing.T) {
	target := verifier.Target{Service: "checkout", Environment: "production", Version: "1.42.0"}
	s := verifier.Signal{Name: "demo", VoteSource: &verifier.VoteSource{From: []string{"product", "sam"}, NoAtLeast: 2}}
	var m votes.Measurer
	plan, err := m.Prepare(t.Context(), s, target, time.Minute, time.Time{}, time.Now())
	require.NoError(t, err)
	require.Equal(t, "votes on checkout 1.42.0 in production of product, sam", plan.Query)
	require.Empty(t, m.Measure(t.Context(), s, target, plan, time.Minute, time.Now().Add(-time.Hour), time.Now()))
	past, err := m.History(t.Context(), s, target, plan, time.Minute, time.Now().Add(-time.Hour), time.Now())
	require.NoError(t, err)
	require.Empty(t, past)
	_, err = m.Prepare(t.Context(), verifier.Signal{Name: "errors"}, target, time.Minute, time.Time{}, time.Now())
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
}
