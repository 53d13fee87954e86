package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Override stores whatever decide makes of a verification, in one transaction
// with its messages, its rollback request and its entry in the audit trail. Whoever looks at the
// verification meanwhile can't write any more. An error of decide leaves
// everything as it was, and is returned.
func (s *Store) Override(ctx context.Context, id string, now time.Time, decide verifier.OverrideFunc) error {
	return s.alone(ctx, "override verification "+id, func(tx *sql.Tx) error {
		v, p, err := loadVerification(ctx, tx, id)
		if err != nil {
			return err
		}
		if v.Deliveries, err = loadDeliveries(ctx, tx, id); err != nil {
			return err
		}
		facts, err := loadFacts(ctx, tx, v, p, now)
		if err != nil {
			return err
		}
		c, err := decide(v, p, facts)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE verifications SET epoch = epoch + 1, lease_until = 0 WHERE id = $1`, id); err != nil {
			return err
		}
		if err := saveVerification(ctx, tx, c.Verification); err != nil {
			return err
		}
		if d := c.Discarded; d != nil {
			if err := saveDeliveryState(ctx, tx, d.ID, d.State, d.Reason); err != nil {
				return err
			}
		}
		if _, err := appendAudit(ctx, tx, c.Audit); err != nil {
			return err
		}
		return s.insertDeliveries(ctx, tx, c.Deliveries)
	})
}
