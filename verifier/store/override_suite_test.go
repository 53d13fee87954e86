package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
	"github.com/postflight/postflight/verifier/store"
)

// overrule stores dana's decision.
func overrule(t *testing.T, s *store.Store, id string, d verifier.Decision, now time.Time) error {
	t.Helper()
	o := verifier.Override{Decision: d, By: "dana", At: utc(now), Reason: "she looked"}
	return s.Override(t.Context(), id, now, func(v verifier.Verification, p verifier.Policy, f verifier.Facts) (verifier.Overruling, error) {
		return safety.Override(v, p, f, o, safety.Limits{}, "")
	})
}

func testOverride(t *testing.T, db database) {
	s := open(t, db.place(t))
	record := func(id string) verifier.Verification {
		v, err := s.Verification(t.Context(), id)
		require.NoError(t, err)
		return v
	}
	first := opened(t, s, "1", start)
	require.NoError(t, overrule(t, s, first.ID, verifier.Keep, later(1)))
	kept := record(first.ID)
	require.Equal(t, verifier.StateDecided, kept.State)
	require.Equal(t, "dana", kept.Verdict.By)
	require.Equal(t, utc(later(1)), kept.Verdict.DecidedAt)
	require.Len(t, kept.Deliveries, 1, "people are told")
	require.Equal(t, verifier.EventDecided, kept.Deliveries[0].Event)

	// The rollback of postflight's own verdict is discarded; a second decision
	// takes the first one's place, and asks for another one.
	second := decide(t, s, opened(t, s, "2", later(10)), verifier.Revert, later(15))
	require.NoError(t, overrule(t, s, second.ID, verifier.Keep, later(16)))
	v := record(second.ID)
	require.Equal(t, verifier.Revert, v.Verdict.Decision)
	require.Equal(t, verifier.Keep, v.Effective)
	require.Equal(t, verifier.ActionWithheld, v.Action.State)
	require.Equal(t, verifier.DeliveryDiscarded, v.Deliveries[0].State)
	require.Equal(t, "dana decided keep: she looked", v.Deliveries[0].Reason)
	require.Equal(t, verifier.Keep, facts(t, s, second.ID, later(16)).Override.Decision)

	require.NoError(t, overrule(t, s, second.ID, verifier.Revert, later(17)))
	v = record(second.ID)
	require.Equal(t, verifier.Revert, v.Effective)
	require.Equal(t, verifier.ActionRequested, v.Action.State, v.Action.Reason)
	require.Equal(t, "1", v.Action.TargetVersion, "a person's keep makes a target")
	require.Equal(t, utc(later(17)), v.Override.At)
	f := facts(t, s, second.ID, later(17))
	require.Equal(t, utc(later(17).Add(30*time.Minute)), f.ExpiresAt)
	require.Len(t, f.PastReverts, 1, "a person's revert doesn't count")
	require.Equal(t, utc(later(15)), f.PastReverts[0].At, "the automatic one before it does")

	requireKind(t, verifier.Conflict, overrule(t, s, second.ID, verifier.Cancel, later(18)))
	requireKind(t, verifier.NotFound, overrule(t, s, "vf_9", verifier.Keep, later(18)))
	require.Equal(t, v, record(second.ID), "a refusal changes nothing")

	entries, _, err := s.Audit(t.Context(), verifier.AuditFilter{Action: verifier.AuditOverride, Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 3, "every decision stays in the audit trail, a refused one was none")
}

// testOverrideEndsLook overrides while a look is under way: nothing that it
// does is stored any more.
func testOverrideEndsLook(t *testing.T, db database) {
	for _, d := range []verifier.Decision{verifier.Keep, verifier.Revert, verifier.Cancel} {
		s := open(t, db.place(t))
		id := opened(t, s, "1", start).ID
		checks, err := s.Claim(t.Context(), later(1), time.Minute, 10)
		require.NoError(t, err)
		require.NoError(t, overrule(t, s, id, d, later(1)))
		before, err := s.Verification(t.Context(), id)
		require.NoError(t, err)

		requireKind(t, verifier.Conflict, s.Prepare(t.Context(), checks[0]))
		requireKind(t, verifier.Conflict, s.Record(t.Context(), checks[0], nil, later(2), nil))
		requireKind(t, verifier.Conflict, s.Decide(t.Context(), checks[0], nil, later(2),
			func(verifier.Facts) (verifier.Decided, error) {
				require.Fail(t, "it was decided already")
				return verifier.Decided{Verification: checks[0].Verification}, nil
			}))
		after, err := s.Verification(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, before, after)
		checks, err = s.Claim(t.Context(), later(10), time.Minute, 10)
		require.NoError(t, err)
		require.Empty(t, checks)
	}
}
