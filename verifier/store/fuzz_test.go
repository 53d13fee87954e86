package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// FuzzCursor reads whatever somebody may send as a cursor: it is one of ours,
// or an error that names it.
func FuzzCursor(f *testing.F) {
	f.Add(pageCursor(verifier.Verification{ID: "vf_1", OpenedAt: time.Unix(1_700_000_000, 0)}), 50)
	f.Add("", 500)
	f.Add("9223372036854775808", 1)
	f.Add("-1", 0)
	f.Add("MSB2Zl8x", -1)
	f.Fuzz(func(t *testing.T, cursor string, limit int) {
		_, args, err := selectPage(verifier.Filter{Cursor: cursor, Limit: limit})
		if err != nil {
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		} else {
			require.NotEmpty(t, args)
		}
		if at, id, err := readCursor(cursor); err == nil {
			require.NotEmpty(t, id)
			again := pageCursor(verifier.Verification{ID: id, OpenedAt: fromMicros(at)})
			atAgain, idAgain, err := readCursor(again)
			require.NoError(t, err)
			require.Equal(t, id, idAgain)
			require.Equal(t, at, atAgain)
		}
		_, _, err = selectAudit(verifier.AuditFilter{Cursor: cursor, Limit: 50})
		if err != nil {
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		}
	})
}
