package store_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// wholeAudit returns every entry, the oldest first.
func wholeAudit(t *testing.T, s *store.Store) []verifier.AuditEntry {
	t.Helper()
	all, next, err := s.Audit(t.Context(), verifier.AuditFilter{Limit: 500})
	require.NoError(t, err)
	require.Empty(t, next)
	slices.Reverse(all)
	return all
}

func testAudit(t *testing.T, db database) {
	place := db.place(t)
	s := open(t, place)
	require.Empty(t, wholeAudit(t, s))
	for i := range 5 {
		require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "fixed", later(i)))
	}
	all := wholeAudit(t, s)
	require.Len(t, all, 5)
	require.Nil(t, verifier.CheckAudit(all), "read as it was written")
	require.Equal(t, verifier.AuditEntry{Seq: 1, At: utc(start), By: "dana", Action: verifier.AuditBrakeRelease, Reason: "fixed", Hash: all[0].Hash}, all[0])

	page, next, err := s.Audit(t.Context(), verifier.AuditFilter{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []verifier.AuditEntry{all[4], all[3]}, page)
	require.NoError(t, s.ReleaseBrake(t.Context(), "kim", "again", later(9))) // meanwhile
	page, next, err = s.Audit(t.Context(), verifier.AuditFilter{Limit: 3, Cursor: next})
	require.NoError(t, err)
	require.Equal(t, []verifier.AuditEntry{all[2], all[1], all[0]}, page)
	require.Empty(t, next)

	for field, filter := range map[string]verifier.AuditFilter{"limit": {}, "cursor": {Limit: 1, Cursor: "x"}} {
		_, _, err := s.Audit(t.Context(), filter)
		requireKind(t, verifier.Invalid, err)
		var invalid *verifier.Error
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, field, invalid.Fields[0].Field)
	}
}
