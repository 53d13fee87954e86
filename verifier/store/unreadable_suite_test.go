package store_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// What can't be read is told of, is not judged, and holds up nobody who was
// claimed with it.
func testClaimUnreadable(t *testing.T, db database) {
	for name, statement := range map[string]string{
		"record": `UPDATE verifications SET record = '{' WHERE id = '%s'`,
		"policy": `UPDATE verifications SET policy = '[]' WHERE id = '%s'`,
		"plan":   `INSERT INTO signals (verification, name, source, plan, calibration, before) VALUES ('%s', 'errors', 'ratio', '', '', '[]')`,
		"timing": `INSERT INTO observations (verification, signal, at, span, outcome, bad, total, count, value, message, timing, control, voter) VALUES ('%s', 'errors', 1, 1, 'measured', 0, 0, 0, 0, '', '{', '', '')`,
	} {
		t.Run(name, func(t *testing.T) {
			url, log := db.place(t), bytes.Buffer{}
			var failed []verifier.Kind
			s, err := store.Open(t.Context(), url, store.Options{CallersTime: true, Logger: slog.New(slog.NewTextHandler(&log, nil)), Failed: func(k verifier.Kind) { failed = append(failed, k) }})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			list := due(t, s, 3)
			broken := list[1].ID
			if name == "timing" {
				db.exec(t, url, fmt.Sprintf(`INSERT INTO signals (verification, name, source, plan, calibration, before) VALUES ('%s', 'errors', 'ratio', '{}', '', '[]')`, broken))
			}
			db.exec(t, url, fmt.Sprintf(statement, broken))
			for range 2 {
				failed = nil
				log.Reset()
				checks, err := s.Claim(t.Context(), time.Now(), 0, 10)
				require.NoError(t, err)
				var ids []string
				for _, c := range checks {
					ids = append(ids, c.Verification.ID)
				}
				require.ElementsMatch(t, []string{list[0].ID, list[2].ID}, ids)
				require.Equal(t, []verifier.Kind{verifier.Internal}, failed)
				require.Contains(t, log.String(), "verification="+broken)
				require.Contains(t, log.String(), "restore the store from a backup")
			}
			counts, err := s.Counts(t.Context(), time.Now())
			require.NoError(t, err)
			require.Equal(t, map[verifier.State]int{verifier.StatePending: 3}, counts.Verifications)
		})
	}
}
