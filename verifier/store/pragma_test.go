package store

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A connection may be replaced by another: each has what the first one had.
func TestEveryConnectionHasItsPragmas(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postflight.db"), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for range 3 {
		for pragma, want := range map[string]string{"busy_timeout": "5000", "journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
			"journal_size_limit": "67108864", "wal_autocheckpoint": "4096", "cache_size": "-16384", "temp_store": "2"} {
			var is string
			require.NoError(t, s.writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&is))
			require.Equal(t, want, is, pragma)
		}
		for pragma, want := range map[string]string{"busy_timeout": "5000", "query_only": "1"} {
			var is string
			require.NoError(t, s.reader.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&is))
			require.Equal(t, want, is, pragma)
		}
		s.writer.SetMaxIdleConns(0) // the next one is new
		s.reader.SetMaxIdleConns(0)
	}
}
