package store

import (
	"context"
	"database/sql"

	"github.com/postflight/postflight/verifier"
)

// saveDeployment stores a deployment, or what has become of it.
func saveDeployment(ctx context.Context, tx execer, d verifier.Deployment) error {
	d = storedDeployment(d)
	record, err := encode("deployment "+d.ID, d)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO deployments
		(id, source, deployment_id, service, environment, version, status, irreversible, started_at, finished_at, received_at, place, release_id, record)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, irreversible = excluded.irreversible,
			started_at = excluded.started_at, finished_at = excluded.finished_at, received_at = excluded.received_at, place = excluded.place, release_id = excluded.release_id, record = excluded.record`,
		d.ID, d.Source, d.DeploymentID, d.Service, d.Environment, d.Version, d.Status, boolean(d.Irreversible),
		micros(d.StartedAt), micros(d.FinishedAt), micros(d.ReceivedAt), d.Place, d.ReleaseID, record)
	return err
}

// boolean is how a truth is stored: every database has integers.
func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// currentDeployment is the one that became current last, in the order of
// verifier.Deployment.Follows.
func currentDeployment(ctx context.Context, tx *sql.Tx, service, environment string) (*verifier.Deployment, error) {
	return queryOne[verifier.Deployment](ctx, tx, "deployment", `SELECT record FROM deployments
		WHERE service = $1 AND environment = $2 AND place > 0
		ORDER BY place DESC LIMIT 1`, service, environment)
}

// deploymentBefore is the last that was current before d with another version.
func deploymentBefore(ctx context.Context, tx *sql.Tx, d verifier.Deployment) (*verifier.Deployment, error) {
	return queryOne[verifier.Deployment](ctx, tx, "deployment", `SELECT record FROM deployments
		WHERE service = $1 AND environment = $2 AND version <> $3 AND place > 0 AND place < $4
		ORDER BY place DESC LIMIT 1`,
		d.Service, d.Environment, d.Version, d.Place)
}
