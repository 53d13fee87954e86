package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postflight/postflight/verifier"
)

// openActionSQL says what verifier.Action.Open says.
const openActionSQL = `action_state IN ('requested', 'accepted', 'unconfirmed')`

func insertVerification(ctx context.Context, tx execer, v verifier.Verification, p verifier.Policy, due time.Time) error {
	v = storedVerification(v)
	record, err := encode("verification "+v.ID, v)
	if err != nil {
		return err
	}
	policy, err := encode("policy "+p.Name, p)
	if err != nil {
		return err
	}
	d := v.Deployment
	_, err = tx.ExecContext(ctx, `INSERT INTO verifications
		(id, deployment, service, environment, version, finished_at, judged_from, place, opened_at, cleared_at, state, decision, effective,
		 action_state, action_changed_at, revert_id, requested_at, automatic_at, record, policy, next_check_at, effective_at, lease_until, epoch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, 0, 0)`,
		v.ID, d.ID, d.Service, d.Environment, d.Version, micros(d.FinishedAt), micros(d.FinishedAt.Add(p.Warmup.D())), d.Place, micros(v.OpenedAt),
		microsOf(v.ClearedAt), v.State, decision(v), v.Effective, v.Action.State, microsOf(v.Action.ChangedAt),
		v.Action.RevertID, microsOf(v.Action.RequestedAt), microsOf(v.Action.AutomaticAt), record, policy, micros(due), micros(effectiveAt(v)))
	return err
}

// saveVerification stores what has become of a verification. Whoever calls it
// has made sure, in the same transaction, that it may still become that.
func saveVerification(ctx context.Context, tx execer, v verifier.Verification) error {
	v = storedVerification(v)
	record, err := encode("verification "+v.ID, v)
	if err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `UPDATE verifications SET cleared_at = $2, state = $3, decision = $4, effective = $5,
		action_state = $6, action_changed_at = $7, revert_id = $8, requested_at = $9, automatic_at = $10, record = $11, effective_at = $12 WHERE id = $1`,
		v.ID, microsOf(v.ClearedAt), v.State, decision(v), v.Effective, v.Action.State, microsOf(v.Action.ChangedAt),
		v.Action.RevertID, microsOf(v.Action.RequestedAt), microsOf(v.Action.AutomaticAt), record, micros(effectiveAt(v)))
	return affected(result, err, "verification %s is not stored", v.ID)
}

func decision(v verifier.Verification) verifier.Decision {
	if v.Verdict == nil {
		return ""
	}
	return v.Verdict.Decision
}

// effectiveAt is when what counts of a verification was decided, zero before.
func effectiveAt(v verifier.Verification) time.Time {
	switch {
	case v.Override != nil:
		return v.Override.At
	case v.Verdict != nil:
		return v.Verdict.DecidedAt
	}
	return time.Time{}
}

// loadVerification reads a verification and its policy, without deliveries.
func loadVerification(ctx context.Context, tx *sql.Tx, id string) (v verifier.Verification, p verifier.Policy, err error) {
	var record, policy string
	err = tx.QueryRowContext(ctx, `SELECT record, policy FROM verifications WHERE id = $1`, id).Scan(&record, &policy)
	if errors.Is(err, sql.ErrNoRows) {
		return v, p, verifier.Errorf(verifier.NotFound, "no verification %q", id)
	}
	if err != nil {
		return v, p, err
	}
	v, p, err = decodeVerification(id, record, policy)
	return v, p, err
}

func decodeVerification(id, record, policy string) (v verifier.Verification, p verifier.Policy, err error) {
	if err := decode("verification "+id, record, &v); err != nil {
		return v, p, err
	}
	err = decode("policy of verification "+id, policy, &p)
	return v, p, err
}
