package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postflight/postflight/verifier"
)

// loadRelease returns the other deployments of v's release in its environment:
// the newest of each service, or, once their rollback was requested, those that
// are part of the request.
func loadRelease(ctx context.Context, tx *sql.Tx, v verifier.Verification, now time.Time) ([]verifier.Member, error) {
	d := v.Deployment
	if d.ReleaseID == "" || v.Action.RequestedBy != "" {
		return nil, nil
	}
	query, args := `SELECT d.record FROM deployments d
		WHERE d.environment = $1 AND d.release_id = $2 AND d.service <> $3
			AND (d.place > 0 AND NOT EXISTS (SELECT 1 FROM deployments n WHERE n.service = d.service AND n.environment = d.environment
				AND n.release_id = d.release_id AND n.place > d.place)
			OR d.status = 'started' AND d.received_at > $4)
		ORDER BY d.service, d.received_at`,
		[]any{d.Environment, d.ReleaseID, d.Service, micros(now.Add(-verifier.RunningDeployExpires))}
	if v.Action.RevertID != "" {
		query, args = `SELECT d.record FROM verifications v JOIN deployments d ON d.id = v.deployment
			WHERE v.revert_id = $1 AND v.id <> $2 ORDER BY d.service`, []any{v.Action.RevertID, v.ID}
	}
	deployments, err := queryAll(ctx, tx, scanDeployment, query, args...)
	if err != nil {
		return nil, err
	}
	var out []verifier.Member
	for _, other := range deployments {
		m, err := loadMember(ctx, tx, other, now)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func loadMember(ctx context.Context, tx *sql.Tx, d verifier.Deployment, now time.Time) (verifier.Member, error) {
	m := verifier.Member{Deployment: d}
	var id string
	err := tx.QueryRowContext(ctx, `SELECT id FROM verifications WHERE deployment = $1`, d.ID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	v, p, err := loadVerification(ctx, tx, id)
	if err != nil {
		return m, err
	}
	m.Verification, m.Policy = &v, p
	m.Facts, err = loadFacts(ctx, tx, v, p, now)
	return m, err
}
