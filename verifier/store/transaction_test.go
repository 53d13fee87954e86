package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// Where the caller has gone, a connection that this ended is no fault; everything
// else is told as what it is.
func TestWhatIsToldOfOneWhoHasGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	told := transaction{}.tell(ctx, "look", driver.ErrBadConn)
	require.ErrorIs(t, told, context.Canceled)
	require.ErrorIs(t, told, driver.ErrBadConn)
	for _, err := range []error{errors.New("no such table: x"), verifier.Errorf(verifier.Internal, "a fault of decide")} {
		told := transaction{}.tell(ctx, "look", err)
		require.NotErrorIs(t, told, context.Canceled)
		require.ErrorIs(t, told, err)
		require.Equal(t, verifier.Internal, verifier.KindOf(told))
	}
	require.NotErrorIs(t, transaction{}.tell(t.Context(), "look", driver.ErrBadConn), context.Canceled)
}
