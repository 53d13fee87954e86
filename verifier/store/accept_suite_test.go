package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func testAccept(t *testing.T, db database) {
	s := open(t, db.place(t))
	a := accept(t, s, notification("1.0.0", start), start)
	require.NotNil(t, a.Verification)
	checks, err := s.Claim(t.Context(), start.Add(20*time.Second), time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, checks, 1)
	v, err := s.Verification(t.Context(), a.Verification.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.StatePending, v.State)
}
