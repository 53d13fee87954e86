package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/store/pgtest"
)

// TestWhoOnlyReadsKeepsItsSession: the one it had before would be seen, for a
// moment, as that of a replica, and an export be refused for it.
func TestWhoOnlyReadsKeepsItsSession(t *testing.T) {
	t.Parallel()
	place := pgtest.Database(t)
	s, err := Open(t.Context(), place, Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	reads, err := openToRead(t.Context(), place, true)
	require.NoError(t, err)
	defer func() { require.NoError(t, reads.Close()) }()
	sessions := map[int]bool{}
	for range 3 {
		var pid int
		require.NoError(t, reads.reader.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid))
		sessions[pid] = true
	}
	require.Len(t, sessions, 1)
}
