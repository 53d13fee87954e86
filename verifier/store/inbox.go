package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Inbox reads how many messages a receiver took since then, those of one digest
// being one, and which wait for it, at most limit of them.
func (s *Store) Inbox(ctx context.Context, receiver string, since time.Time, limit int) (in verifier.Inbox, err error) {
	err = s.read(ctx, "read messages to "+receiver, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT count(DISTINCT a.at) FROM attempts a JOIN deliveries d ON d.id = a.delivery
			WHERE a.at > $1 AND a.result = 'delivered' AND d.kind = 'message' AND d.receiver = $2`, micros(since), receiver).Scan(&in.Taken)
		if err != nil {
			return err
		}
		in.Waiting, err = queryAll(ctx, tx, scanLast, `SELECT `+deliveryColumns+`, `+lastAttempt+`
			FROM deliveries d WHERE state IN ('pending', 'retryable') AND kind = 'message' AND receiver = $1
			ORDER BY created_at, id LIMIT $2`, receiver, limit)
		if err != nil {
			return err
		}
		in.Overtaken, err = queryAll(ctx, tx, func(rows *sql.Rows) (id string, err error) { return id, rows.Scan(&id) }, `SELECT id
			FROM deliveries d WHERE state IN ('pending', 'retryable') AND kind = 'message' AND receiver = $1
				AND EXISTS (SELECT 1 FROM deliveries l WHERE l.verification = d.verification AND l.receiver = $1 AND l.kind = 'message'
					AND l.state = 'delivered' AND l.created_at > d.created_at)
			ORDER BY created_at, id LIMIT $2`, receiver, limit)
		return err
	})
	return in, err
}

// lastAttempt is of the delivery d: when it was, how it ended, and what the
// receiver called the message.
const lastAttempt = `COALESCE((SELECT max(at) FROM attempts a WHERE a.delivery = d.id), 0),
	COALESCE((SELECT result FROM attempts a WHERE a.delivery = d.id ORDER BY at DESC LIMIT 1), ''),
	COALESCE((SELECT reference FROM attempts a WHERE a.delivery = d.id ORDER BY at DESC LIMIT 1), '')`

// scanLast reads a delivery with its last attempt alone.
func scanLast(rows *sql.Rows) (d verifier.Delivery, err error) {
	var created, last int64
	var result, reference string
	err = rows.Scan(&d.ID, &d.VerificationID, &d.Kind, &d.Receiver, &d.Event, &d.State, &d.Reason, &created, &d.Key, &d.Body, &last, &result, &reference)
	d.CreatedAt = fromMicros(created)
	if last > 0 {
		d.Attempts = []verifier.Attempt{{At: fromMicros(last), Result: result, Reference: reference}}
	}
	return d, err
}

// loadThread reads what else the receiver was told about the verification.
func loadThread(ctx context.Context, tx *sql.Tx, out *verifier.Outgoing) error {
	d := &out.Delivery
	err := tx.QueryRowContext(ctx, `SELECT a.reference FROM attempts a JOIN deliveries d ON d.id = a.delivery
		WHERE d.verification = $1 AND d.receiver = $2 AND a.reference <> '' ORDER BY a.at DESC LIMIT 1`,
		d.VerificationID, d.Receiver).Scan(&d.Earlier)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	out.Thread, err = queryAll(ctx, tx, scanLast, `SELECT `+deliveryColumns+`, `+lastAttempt+`
		FROM deliveries d WHERE verification = $1 AND receiver = $2 AND kind = 'message' AND id <> $3 ORDER BY created_at, id`,
		d.VerificationID, d.Receiver, d.ID)
	return err
}

// saveFolded begins or ends the attempt that a digest is of each delivery in
// it. One that has ended or is under way elsewhere is a Conflict.
func saveFolded(ctx context.Context, tx *sql.Tx, f verifier.Folded) error {
	if f.Attempt.Result == verifier.AttemptStarted {
		result, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = state WHERE id = $1 AND state IN ('pending', 'retryable')
			AND NOT EXISTS (SELECT 1 FROM attempts WHERE delivery = $1 AND at > $2)`, f.ID, micros(f.After))
		if err := affected(result, err, "delivery %s has gone on meanwhile: it belongs into no digest", f.ID); err != nil {
			return err
		}
	}
	if err := saveAttempt(ctx, tx, f.ID, f.Attempt); err != nil {
		return err
	}
	if f.State == "" {
		return nil
	}
	return saveDeliveryState(ctx, tx, f.ID, f.State, f.Reason)
}
