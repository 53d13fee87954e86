package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"github.com/postflight/postflight/verifier"
)

// takeOver frees what a process that was killed had taken, and queues the
// deliveries that are to be sent and that nobody has.
func (s *Store) takeOver(ctx context.Context, free []string) error {
	err := s.write(ctx, "take over what was under way", func(tx *sql.Tx) error {
		for _, statement := range free {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.adopt(ctx)
}

// unqueued are the deliveries that are to be sent and have no job: it was taken
// from a replica that was killed, or River gave it up, or somebody deleted it.
const unqueued = `SELECT id, kind, receiver, body FROM deliveries WHERE state IN ('pending', 'retryable') AND id NOT IN (
	SELECT args ->> 'id' FROM river_job
	WHERE kind = 'delivery' AND state NOT IN ('completed', 'cancelled', 'discarded') AND args ->> 'id' IS NOT NULL)
	ORDER BY created_at, id LIMIT 500`

func scanUnqueued(rows *sql.Rows) (d verifier.Delivery, err error) {
	err = rows.Scan(&d.ID, &d.Kind, &d.Receiver, &d.Body)
	return d, err
}

// adopt queues what is unqueued: once, whatever other replicas do meanwhile.
func (s *Store) adopt(ctx context.Context) error {
	var orphans []verifier.Delivery
	const doing = "look for deliveries that nobody has"
	err := s.read(ctx, doing, func(tx *sql.Tx) (err error) {
		orphans, err = queryAll(ctx, tx, scanUnqueued, unqueued)
		return err
	})
	if err != nil || len(orphans) == 0 {
		return err
	}
	return s.alone(ctx, doing, func(tx *sql.Tx) error {
		orphans, err := queryAll(ctx, tx, scanUnqueued, unqueued)
		if err != nil {
			return err
		}
		return s.queueDeliveries(ctx, tx, orphans)
	})
}

func (s *Store) queueDeliveries(ctx context.Context, tx *sql.Tx, deliveries []verifier.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, 0, len(deliveries))
	for _, d := range deliveries {
		jobs = append(jobs, jobOf(d))
	}
	if _, err := s.jobs.InsertManyTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("queue deliveries: %w", err)
	}
	for _, d := range deliveries {
		s.alarm.set(tx, queueOf(d.Kind))
	}
	return nil
}

// keepTakingOver does so again and again until stop: other replicas may be
// killed at any time.
func (s *Store) keepTakingOver(ctx context.Context, every time.Duration) (stop func()) {
	return repeatedly(ctx, every, func(ctx context.Context) {
		if err := s.takeOver(ctx, s.dialect.freeLost); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "deliveries that nobody has are not taken over", "err", err)
		}
	})
}

// repeatedly calls do every so often until stop, which waits for it.
func repeatedly(ctx context.Context, every time.Duration, do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			do(ctx)
		}
	})
	return func() { cancel(); running.Wait() }
}

// claimKey is where the context of Deliver holds the job that it works on.
type claimKey struct{}

func withClaim(ctx context.Context, job int64) context.Context {
	return context.WithValue(ctx, claimKey{}, job)
}

// holdJob makes sure that the job under which a Deliverer was called, if it
// was, is still its own: a process that was paused for long has lost it to
// another, which may be sending by now. An attempt may begin only while there
// is time to end it before that. Otherwise it is a Conflict.
func (s *Store) holdJob(ctx context.Context, tx *sql.Tx, begins bool) error {
	job, ok := ctx.Value(claimKey{}).(int64)
	if !ok {
		return nil
	}
	query := s.dialect.holdJob
	if begins {
		query = s.dialect.beginJob
	}
	held, err := queryAll(ctx, tx, scanText, query, job)
	if err == nil && len(held) == 0 {
		return verifier.Errorf(verifier.Conflict, "the delivery is no longer this worker's, or it comes too late to begin: it was paused for too long")
	}
	return err
}
