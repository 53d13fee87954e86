package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/postflight/postflight/verifier"
)

// insertDeliveries stores deliveries with the jobs that send them.
func (s *Store) insertDeliveries(ctx context.Context, tx *sql.Tx, deliveries []verifier.Delivery) error {
	if err := saveDeliveries(ctx, tx, deliveries); err != nil {
		return err
	}
	return s.queueDeliveries(ctx, tx, deliveries)
}

// saveDeliveries stores deliveries that are still to be queued.
func saveDeliveries(ctx context.Context, tx execer, deliveries []verifier.Delivery) error {
	for _, d := range deliveries {
		_, err := tx.ExecContext(ctx, `INSERT INTO deliveries
			(id, verification, kind, receiver, event, state, reason, created_at, key, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			d.ID, d.VerificationID, d.Kind, d.Receiver, d.Event, d.State, d.Reason, micros(d.CreatedAt), d.Key, d.Body)
		if err != nil {
			return fmt.Errorf("store delivery %s: %w", d.ID, err)
		}
	}
	return nil
}

const deliveryColumns = `id, verification, kind, receiver, event, state, reason, created_at, key, body`

func scanDelivery(row interface{ Scan(...any) error }) (d verifier.Delivery, err error) {
	var created int64
	err = row.Scan(&d.ID, &d.VerificationID, &d.Kind, &d.Receiver, &d.Event, &d.State, &d.Reason, &created, &d.Key, &d.Body)
	d.CreatedAt = fromMicros(created)
	return d, err
}

func loadDelivery(ctx context.Context, tx *sql.Tx, id string) (verifier.Delivery, error) {
	d, err := scanDelivery(tx.QueryRowContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return d, verifier.Errorf(verifier.NotFound, "no delivery %q", id)
	}
	if err != nil {
		return d, err
	}
	d.Attempts, err = loadAttempts(ctx, tx, id)
	return d, err
}

// loadDeliveries returns what a verification told, oldest first, with the
// attempts.
func loadDeliveries(ctx context.Context, tx *sql.Tx, verification string) ([]verifier.Delivery, error) {
	out, err := queryAll(ctx, tx, func(rows *sql.Rows) (verifier.Delivery, error) { return scanDelivery(rows) },
		`SELECT `+deliveryColumns+` FROM deliveries WHERE verification = $1 ORDER BY created_at, id`, verification)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Attempts, err = loadAttempts(ctx, tx, out[i].ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func loadAttempts(ctx context.Context, tx *sql.Tx, delivery string) ([]verifier.Attempt, error) {
	return queryAll(ctx, tx, func(rows *sql.Rows) (a verifier.Attempt, err error) {
		var at int64
		err = rows.Scan(&at, &a.Duration, &a.Status, &a.Result, &a.Error, &a.Reference)
		a.At = fromMicros(at)
		return a, err
	}, `SELECT at, duration, status, result, error, reference FROM attempts WHERE delivery = $1 ORDER BY at`, delivery)
}

// UpdateDelivery reads a delivery with its facts and stores what change makes
// of it, in one transaction. An error of change leaves everything as it was,
// and is returned. With the context that StartDeliveries gave to a Deliverer it
// is a Conflict, and changes nothing, once the delivery is another worker's.
func (s *Store) UpdateDelivery(ctx context.Context, id string, now time.Time, change verifier.DeliveryChangeFunc) error {
	return s.alone(ctx, "update delivery "+id, func(tx *sql.Tx) error {
		out, err := loadOutgoing(ctx, tx, id, now)
		if err != nil {
			return err
		}
		c, err := change(out)
		if err != nil {
			return err
		}
		if err := s.holdJob(ctx, tx, c.Attempt != nil && c.Attempt.Result == verifier.AttemptStarted); err != nil {
			return err
		}
		return s.saveDeliveryChange(ctx, tx, out, c)
	})
}

func loadOutgoing(ctx context.Context, tx *sql.Tx, id string, now time.Time) (out verifier.Outgoing, err error) {
	if out.Delivery, err = loadDelivery(ctx, tx, id); err != nil {
		return out, err
	}
	out.Verification, out.Policy, err = loadVerification(ctx, tx, out.Delivery.VerificationID)
	if err != nil {
		return out, err
	}
	if out.Delivery.Kind != verifier.RollbackDelivery {
		return out, loadThread(ctx, tx, &out)
	}
	if out.Facts, err = loadFacts(ctx, tx, out.Verification, out.Policy, now); err != nil {
		return out, err
	}
	out.Facts.Release, err = loadRelease(ctx, tx, out.Verification, now)
	return out, err
}

func (s *Store) saveDeliveryChange(ctx context.Context, tx *sql.Tx, out verifier.Outgoing, c verifier.DeliveryChange) error {
	id := out.Delivery.ID
	if c.State != "" {
		if err := saveDeliveryState(ctx, tx, id, c.State, c.Reason); err != nil {
			return err
		}
	}
	if c.Attempt != nil {
		if err := saveAttempt(ctx, tx, id, *c.Attempt); err != nil {
			return err
		}
	}
	if c.Action != nil {
		if err := saveAction(ctx, tx, out.Verification, *c.Action); err != nil {
			return err
		}
	}
	for _, f := range c.Folded {
		if err := saveFolded(ctx, tx, f); err != nil {
			return err
		}
	}
	for _, m := range c.Members {
		if err := saveVerification(ctx, tx, m); err != nil {
			return err
		}
	}
	return s.insertDeliveries(ctx, tx, c.Messages)
}

func saveDeliveryState(ctx context.Context, tx *sql.Tx, id string, state verifier.DeliveryState, reason string) error {
	_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = $2, reason = $3 WHERE id = $1`, id, state, storable(reason))
	return err
}

// saveAttempt begins an attempt, or ends the one under way: one that another has
// followed, or that was ended, stays as it is, which is a Conflict.
func saveAttempt(ctx context.Context, tx *sql.Tx, delivery string, a verifier.Attempt) error {
	if a.Result == verifier.AttemptStarted {
		_, err := tx.ExecContext(ctx, `INSERT INTO attempts (delivery, at, duration, status, result, error) VALUES ($1, $2, $3, $4, $5, $6)`,
			delivery, micros(a.At), int64(a.Duration), a.Status, a.Result, storable(a.Error))
		return err
	}
	result, err := tx.ExecContext(ctx, `UPDATE attempts SET duration = $3, status = $4, result = $5, error = $6, reference = $8
		WHERE delivery = $1 AND at = $2 AND result = $7
			AND NOT EXISTS (SELECT 1 FROM attempts later WHERE later.delivery = $1 AND later.at > $2)`,
		delivery, micros(a.At), int64(a.Duration), a.Status, a.Result, storable(a.Error), verifier.AttemptStarted, storable(a.Reference))
	return affected(result, err, "the attempt of delivery %s at %s is not under way any more", delivery, a.At.Format(time.RFC3339Nano))
}
