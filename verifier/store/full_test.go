package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestFullIsUnavailable lets SQLite believe that the disk is full: nothing is
// acknowledged, and once there is room the same notification goes through.
func TestFullIsUnavailable(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postflight.db"), Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	now := time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC)
	limit := func(pages string) {
		var n int
		require.NoError(t, s.writer.QueryRowContext(t.Context(), `PRAGMA max_page_count = `+pages).Scan(&n))
	}
	limit("1") // SQLite takes the present size where that is more

	var refused verifier.Notification
	for i := range 1000 {
		refused = verifier.Notification{Source: "ci", DeliveryID: fmt.Sprint(i), Deployment: verifier.Deployment{
			Source: "ci", Service: fmt.Sprint("service-", i), Version: "1", Status: verifier.DeployFinished}}
		if _, _, err = s.Accept(t.Context(), refused, nil, now); err != nil {
			break
		}
	}
	require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
	require.ErrorContains(t, err, "store notification")
	var unwritten *NoWritesError
	require.ErrorAs(t, s.Ping(t.Context()), &unwritten, "not ready")
	require.Contains(t, unwritten.Why, "full")
	limit("100000")
	require.Error(t, s.Ping(t.Context()), "no more than a try a second")
	s.writes.tried = time.Time{}
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Ping(t.Context()))
	_, again, err := s.Accept(t.Context(), refused, nil, now)
	require.NoError(t, err)
	require.False(t, again, "nothing of the refused one was stored")
}
