package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// attempt begins or ends the attempt at that time, as a dispatcher does.
func attempt(ctx context.Context, s *store.Store, id string, at time.Time, result string) error {
	return s.UpdateDelivery(ctx, id, at, func(verifier.Outgoing) (verifier.DeliveryChange, error) {
		c := verifier.DeliveryChange{Attempt: &verifier.Attempt{At: at, Result: result}}
		if result == "delivered" {
			c.State = verifier.DeliveryDelivered
		}
		return c, nil
	})
}

// paused is a replica that is paused (SIGSTOP) while it delivers: it does the
// next thing when it is told to, and says what came of it.
type paused struct {
	took chan string
	next chan func(context.Context) error
	said chan error
}

func newPaused() *paused {
	return &paused{took: make(chan string, 10), next: make(chan func(context.Context) error), said: make(chan error)}
}

func (p *paused) Deliver(ctx context.Context, id string) (time.Duration, error) {
	p.took <- id
	for do := range p.next {
		err := do(context.WithoutCancel(ctx)) // as an attempt is recorded; however slow the test is
		p.said <- err
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (p *paused) do(what func(context.Context) error) error { p.next <- what; return <-p.said }

// age puts the time at which jobs were taken into the past.
func age(t *testing.T, place, by string) {
	t.Helper()
	pgtest.Exec(t, place, `UPDATE river_job SET attempted_at = attempted_at - interval '`+by+`' WHERE state = 'running'`)
}

// TestReplicasWakeLate pauses a replica at each point of a delivery for longer
// than the others wait: it can neither begin an attempt nor record one, and
// what it says of its job doesn't end the other's. It and the next test don't
// run beside others: by the database's clock the other replica has 35 seconds.
func TestReplicasWakeLate(t *testing.T) {
	for name, begun := range map[string]bool{"before it begins": false, "while it sends": true} {
		t.Run(name, func(t *testing.T) {
			place := pgtest.Database(t)
			one, two := openReplica(t, place), openReplica(t, place)
			v := decide(t, one, due(t, one, 1)[0], verifier.Revert, time.Now())
			id := deliveryOf(t, one, v.ID)
			late, other := newPaused(), newPaused()
			// One worker: what is paused looks for no other work either.
			run(t, one, late, store.DeliveryOptions{Sweep: time.Hour, Rollbacks: 1})
			require.Equal(t, id, <-late.took)
			first, second := utc(time.Now()), utc(time.Now().Add(time.Minute))
			if begun {
				require.NoError(t, late.do(func(ctx context.Context) error { return attempt(ctx, one, id, first, verifier.AttemptStarted) }))
			}
			age(t, place, "40 seconds")
			run(t, two, other, store.DeliveryOptions{Sweep: 50 * time.Millisecond})
			require.Equal(t, id, <-other.took)

			// It wakes up before the other has begun, and while that one sends.
			wakes := func(ctx context.Context) error { return attempt(ctx, one, id, first, verifier.AttemptStarted) }
			if begun {
				wakes = func(ctx context.Context) error { return attempt(ctx, one, id, first, "delivered") }
			}
			requireKind(t, verifier.Conflict, late.do(wakes))
			require.NoError(t, other.do(func(ctx context.Context) error { return attempt(ctx, two, id, second, verifier.AttemptStarted) }))
			time.Sleep(500 * time.Millisecond) // so that River has written down how the first one's job ended
			require.NoError(t, other.do(func(ctx context.Context) error { return attempt(ctx, two, id, second, "delivered") }))
			close(other.next)
			close(late.next)
			stored, err := two.Verification(t.Context(), v.ID)
			require.NoError(t, err)
			require.Equal(t, verifier.DeliveryDelivered, stored.Deliveries[0].State)
			var results []string
			for _, a := range stored.Deliveries[0].Attempts {
				results = append(results, a.Result)
			}
			want := []string{"delivered"}
			if begun {
				want = []string{verifier.AttemptStarted, "delivered"}
			}
			require.Equal(t, want, results)
			require.Empty(t, late.took)
			require.Empty(t, other.took, "taken once by each")
		})
	}
}

// TestReplicasBeginInTime: an attempt that could outlast the job's lease isn't
// begun, while one under way may still be recorded.
func TestReplicasBeginInTime(t *testing.T) {
	place := pgtest.Database(t)
	s := openReplica(t, place)
	v := decide(t, s, due(t, s, 1)[0], verifier.Revert, time.Now())
	id, at := deliveryOf(t, s, v.ID), utc(time.Now())
	slow := newPaused()
	run(t, s, slow, store.DeliveryOptions{})
	require.Equal(t, id, <-slow.took)
	require.NoError(t, slow.do(func(ctx context.Context) error { return attempt(ctx, s, id, at, verifier.AttemptStarted) }))
	age(t, place, "11 seconds")
	require.NoError(t, slow.do(func(ctx context.Context) error { return attempt(ctx, s, id, at, "retry") }))
	requireKind(t, verifier.Conflict, slow.do(func(ctx context.Context) error {
		return attempt(ctx, s, id, at.Add(time.Second), verifier.AttemptStarted)
	}))
	require.Equal(t, id, <-slow.took, "it is taken again, which gives it time")
	require.NoError(t, slow.do(func(ctx context.Context) error {
		return attempt(ctx, s, id, at.Add(time.Second), verifier.AttemptStarted)
	}))
	close(slow.next)
}

func openReplica(t *testing.T, place string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), place, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// testOrphans: a delivery that is to be sent and has no job gets one, once.
func testOrphans(t *testing.T, db database) {
	url := db.place(t)
	s := open(t, url)
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	id := deliveryOf(t, s, v.ID)
	db.exec(t, url, `DELETE FROM river_job`)
	seen := newCalls()
	run(t, s, deliverFunc(func(ctx context.Context, id string) (time.Duration, error) {
		if seen.add(id) == 1 {
			return time.Hour, nil
		}
		return 0, errors.Join(attempt(ctx, s, id, later(6), verifier.AttemptStarted), attempt(ctx, s, id, later(6), "delivered"))
	}), store.DeliveryOptions{Sweep: 20 * time.Millisecond})
	seen.wait(t, id)
	time.Sleep(500 * time.Millisecond)
	require.Len(t, seen.times(id), 1, "not while its job waits")
	db.exec(t, url, `DELETE FROM river_job`)
	seen.wait(t, id)
	time.Sleep(200 * time.Millisecond)
	require.Len(t, seen.times(id), 2, "and not once it is at its end")
}

// TestMidnight: River's maintenance, at midnight by default, has nothing to say.
func TestMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24*time.Hour - 2*time.Minute) // the bubble's clock begins at midnight
		var said bytes.Buffer
		s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postflight.db"),
			store.Options{Logger: slog.New(slog.NewTextHandler(&said, nil)), CallersTime: true})
		require.NoError(t, err)
		stop, err := s.StartDeliveries(t.Context(), idle{}, store.DeliveryOptions{Poll: time.Minute})
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		require.NoError(t, stop(t.Context()))
		require.NoError(t, s.Close())
		require.NotContains(t, said.String(), "level=WARN")
		require.NotContains(t, said.String(), "level=ERROR")
	})
}

// alterSQLite runs a statement on the file at url, beside whoever has it open.
func alterSQLite(t *testing.T, url, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+url[len("sqlite:"):]+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	_, err = db.Exec(statement)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
