package store

import (
	"context"
	"database/sql"
	"reflect"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Awaited returns the verifications whose rollback was requested after since
// and accepted, and whose target was not seen live yet, oldest first.
func (s *Store) Awaited(ctx context.Context, since time.Time) ([]verifier.Awaited, error) {
	var out []verifier.Awaited
	err := s.read(ctx, "find rollbacks to confirm", func(tx *sql.Tx) (err error) {
		out, err = queryAll(ctx, tx, scanAwaited, `SELECT record, policy FROM verifications
			WHERE action_state IN ('accepted', 'unconfirmed') AND requested_at > $1
			ORDER BY requested_at`, micros(since))
		return err
	})
	return out, err
}

func scanAwaited(rows *sql.Rows) (a verifier.Awaited, err error) {
	var record, policy string
	if err := rows.Scan(&record, &policy); err != nil {
		return a, err
	}
	if err := decode("verification", record, &a.Verification); err != nil {
		return a, err
	}
	return a, decode("policy", policy, &a.Policy)
}

// UpdateAction stores whatever change makes of a verification's action, with
// its messages, in one transaction. An error of change leaves everything as it
// was, and is returned.
func (s *Store) UpdateAction(ctx context.Context, verificationID string, now time.Time, change verifier.ActionChange) error {
	return s.alone(ctx, "move the action of verification "+verificationID, func(tx *sql.Tx) error {
		v, p, err := loadVerification(ctx, tx, verificationID)
		if err != nil {
			return err
		}
		facts, err := loadFacts(ctx, tx, v, p, now)
		if err != nil {
			return err
		}
		changed, deliveries, err := change(v, p, facts)
		if err != nil {
			return err
		}
		if err := saveAction(ctx, tx, v, changed.Action); err != nil {
			return err
		}
		return s.insertDeliveries(ctx, tx, deliveries)
	})
}

// saveAction writes nothing where nothing moved.
func saveAction(ctx context.Context, tx *sql.Tx, v verifier.Verification, action verifier.Action) error {
	if reflect.DeepEqual(v.Action, action) {
		return nil
	}
	v.Action = action
	return saveVerification(ctx, tx, v)
}
