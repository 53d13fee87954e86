package store_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// An index that somebody has dropped is created anew at the next start; until
// then a claim says what helps, or does without it.
func testIndexesMended(t *testing.T, db database) {
	url := db.place(t)
	s, err := store.Open(t.Context(), url, virtual)
	require.NoError(t, err)
	opened(t, s, "1", start)
	for _, name := range []string{"verifications_due", "audit_vote", "gate_requests_release"} {
		db.exec(t, url, `DROP INDEX `+name)
	}
	checks, err := s.Claim(t.Context(), later(1), time.Minute, 10)
	if err != nil {
		requireKind(t, verifier.Internal, err)
		require.ErrorContains(t, err, "restart postflight, which creates it anew")
	} else {
		require.Len(t, checks, 1)
	}
	require.NoError(t, s.Close())

	var log bytes.Buffer
	s, err = store.Open(t.Context(), url, store.Options{CallersTime: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for _, name := range []string{"verifications_due", "audit_vote", "gate_requests_release"} {
		require.Contains(t, log.String(), "index "+name+" was missing: created")
	}
	checks, err = s.Claim(t.Context(), later(10), time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, checks, 1)
	found, err := store.Check(t.Context(), url)
	require.NoError(t, err)
	require.Empty(t, found.Problems)
}
