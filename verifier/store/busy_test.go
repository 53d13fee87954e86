package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// People who read for long, all at once, hold up no look and no delivery: what is
// due is found without those who read.
func TestWhoReadsHoldsUpNoLook(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postflight.db"), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	now := time.Now()
	policies := []verifier.Policy{{Name: "p", Window: verifier.Duration(time.Hour), Interval: verifier.Duration(time.Second)}}
	a, _, err := s.Accept(t.Context(), verifier.Notification{Source: "ci", Deployment: verifier.Deployment{Source: "ci", Service: "checkout",
		Environment: "production", Version: "1", Status: verifier.DeployFinished, StartedAt: now, FinishedAt: now}}, policies, now)
	require.NoError(t, err)
	look := func(ctx context.Context, at time.Time) {
		checks, err := s.Claim(ctx, at, time.Minute, 10)
		require.NoError(t, err)
		require.Len(t, checks, 1)
		require.Equal(t, a.Verification.ID, checks[0].Verification.ID)
		checks[0].Verification.State = verifier.StateObserving
		require.NoError(t, s.Record(ctx, checks[0], nil, at.Add(time.Second), nil))
	}
	look(t.Context(), now.Add(time.Minute))

	reading, read, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	for range readers {
		go func() {
			ended <- s.read(t.Context(), "read for long", func(*sql.Tx) error {
				reading <- struct{}{}
				<-read
				return nil
			})
		}()
		<-reading
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for a test that fails
	defer cancel()
	look(ctx, now.Add(2*time.Minute))
	queues, err := s.dueQueues(ctx)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{rollbackQueue, messageQueue}, queues)
	close(read)
	for range readers {
		require.NoError(t, <-ended)
	}
	queues, err = s.dueQueues(t.Context())
	require.NoError(t, err)
	require.Empty(t, queues)
}
