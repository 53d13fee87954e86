package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Surroundings returns what overlaps with a verification, and which services
// may be compared with its own: the newest deployment of each service of the
// environment that became current since then and not within the window before
// the verified deploy, or after it; the most recently deployed first, at most
// limit.
func (s *Store) Surroundings(ctx context.Context, v verifier.Verification, p verifier.Policy, since time.Time, limit int) (neighbours []verifier.Deployment, overlapping []verifier.Overlap, err error) {
	err = s.read(ctx, "read the surroundings of verification "+v.ID, func(tx *sql.Tx) error {
		if overlapping, err = loadOverlapping(ctx, tx, v, p); err != nil {
			return err
		}
		d := v.Deployment
		neighbours, err = queryAll(ctx, tx, scanDeployment, `SELECT d.record FROM deployments d
			WHERE d.environment = $1 AND d.service <> $2 AND d.place > 0 AND d.finished_at > $3 AND d.finished_at <= $4
				AND NOT EXISTS (SELECT 1 FROM deployments n WHERE n.service = d.service AND n.environment = d.environment
					AND (n.place > d.place OR n.status <> 'failed' AND n.received_at > $4))
			ORDER BY d.finished_at DESC, d.service LIMIT $5`,
			d.Environment, d.Service, micros(since), micros(d.StartedAt.Add(-p.Window.D())), limit)
		return err
	})
	return neighbours, overlapping, err
}

func scanDeployment(rows *sql.Rows) (d verifier.Deployment, err error) {
	var record string
	if err := rows.Scan(&record); err != nil {
		return d, err
	}
	return d, decode("deployment", record, &d)
}

// overlapsRead bounds how many verifications, and how many deploys that are
// rolling out, are read for one verdict: first those that may have done harm,
// last those that were kept, which change nothing.
const overlapsRead = 200

// loadOverlapping returns the deploys of other services of the environment that
// started within a window of the verified one and whose own window had not
// ended before it started, and those that are rolling out.
func loadOverlapping(ctx context.Context, tx *sql.Tx, v verifier.Verification, p verifier.Policy) ([]verifier.Overlap, error) {
	d := v.Deployment
	from := d.StartedAt.Add(-p.Window.D())
	verified, err := queryAll(ctx, tx, scanOverlap, `SELECT id, record, policy FROM verifications
		WHERE environment = $1 AND service <> $2 AND finished_at >= $3 AND state IN ('pending', 'observing', 'decided')
		ORDER BY CASE WHEN state <> 'decided' OR decision = 'revert' OR action_state = 'withheld' THEN 0 WHEN decision = 'keep' THEN 2 ELSE 1 END,
			finished_at DESC, id LIMIT $4`, d.Environment, d.Service, micros(from), overlapsRead)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(verified, func(a, b verifier.Overlap) int { return a.Deployment.FinishedAt.Compare(b.Deployment.FinishedAt) })
	var out []verifier.Overlap
	for _, o := range verified {
		other := o.Deployment
		if !other.StartedAt.Before(from) && !other.StartedAt.After(v.ClosesAt) && !o.Verification.ClosesAt.Before(d.StartedAt) {
			out = append(out, o)
		}
	}
	rolling, err := queryAll(ctx, tx, scanDeployment, `SELECT r.record FROM deployments r
		WHERE r.environment = $1 AND r.service <> $2 AND r.status = 'started' AND r.received_at >= $3 AND NOT `+endedAnonymously+`
		ORDER BY r.received_at DESC LIMIT $4`, d.Environment, d.Service, micros(from), overlapsRead)
	if err != nil {
		return nil, err
	}
	for _, r := range rolling {
		out = append(out, verifier.Overlap{Deployment: r})
	}
	return out, nil
}

func scanOverlap(rows *sql.Rows) (o verifier.Overlap, err error) {
	var id, record, policy string
	if err := rows.Scan(&id, &record, &policy); err != nil {
		return o, err
	}
	v, p, err := decodeVerification(id, record, policy)
	return verifier.Overlap{Deployment: v.Deployment, Verification: &v, Policy: p}, err
}
