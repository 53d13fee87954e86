package store

import (
	"context"
	"database/sql"
	"reflect"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Unconfirmed returns the ids of verifications whose rollback was accepted
// before the given time and whose target was not seen since.
func (s *Store) Unconfirmed(ctx context.Context, before time.Time) ([]string, error) {
	var ids []string
	err := s.read(ctx, "find unconfirmed rollbacks", func(tx *sql.Tx) (err error) {
		ids, err = queryAll(ctx, tx, scanID, `SELECT id FROM verifications
			WHERE action_state = 'accepted' AND action_changed_at < $1
			ORDER BY action_changed_at`, micros(before))
		return err
	})
	return ids, err
}

func scanID(rows *sql.Rows) (id string, err error) {
	return id, rows.Scan(&id)
}

// UpdateAction stores whatever change makes of a verification's action, with
// its messages, in one transaction. An error of change leaves everything as it
// was, and is returned.
func (s *Store) UpdateAction(ctx context.Context, verificationID string, now time.Time, change verifier.ActionChange) error {
	return s.write(ctx, "move the action of verification "+verificationID, func(tx *sql.Tx) error {
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

// ReleaseBrake records that a person released the brake: reverts up to now
// count no more for it.
func (s *Store) ReleaseBrake(ctx context.Context, by, reason string, now time.Time) error {
	return s.write(ctx, "release the brake", func(tx *sql.Tx) error {
		_, err := appendAudit(ctx, tx, verifier.AuditEntry{At: now, By: by, Action: verifier.AuditBrakeRelease, Reason: reason})
		return err
	})
}
