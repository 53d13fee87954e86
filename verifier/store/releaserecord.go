package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/postflight/postflight/verifier"
)

// shownOfRelease is how many answers of the gate, and how many deployments, a
// record has of each environment.
const shownOfRelease = 50

// ReleaseRecord returns what is known of a version of a service, in one
// environment or, where that is "", in all of them. One of which nothing is
// known is a NotFound.
func (s *Store) ReleaseRecord(ctx context.Context, service, version, environment string) (r verifier.ReleaseRecord, err error) {
	r = verifier.ReleaseRecord{Service: service, Version: version}
	err = s.read(ctx, "read the record of "+service+" "+version, func(tx *sql.Tx) error {
		environments, err := queryAll(ctx, tx, scanText, `SELECT environment FROM (
				SELECT environment, min(received_at) AS first FROM deployments WHERE service = $1 AND version = $2 GROUP BY environment
				UNION ALL SELECT environment, min(at) FROM gate_decisions WHERE service = $1 AND version = $2 GROUP BY environment
				UNION ALL SELECT w.environment, min(a.at) FROM gate_words w JOIN audit a ON a.seq = w.seq WHERE w.service = $1 AND w.version = $2 GROUP BY w.environment) e
			WHERE $3 IN ('', environment) GROUP BY environment ORDER BY min(first), environment LIMIT $4`, service, version, environment, shownOfRelease)
		if err != nil {
			return err
		}
		if len(environments) == 0 {
			return verifier.Errorf(verifier.NotFound, "nothing is known of %s %s: check the names", service, version)
		}
		for _, e := range environments {
			one, err := loadReleased(ctx, tx, verifier.Release{Service: service, Environment: e, Version: version})
			if err != nil {
				return err
			}
			r.Environments = append(r.Environments, one)
		}
		return nil
	})
	return r, err
}

func loadReleased(ctx context.Context, tx *sql.Tx, r verifier.Release) (e verifier.EnvironmentOfRelease, err error) {
	e.Environment = r.Environment
	if e.Words, err = loadWords(ctx, tx, r); err != nil {
		return e, err
	}
	if e.Gate, err = lastVerdicts(ctx, tx, r, shownOfRelease); err != nil {
		return e, err
	}
	deployments, err := queryAll(ctx, tx, func(rows *sql.Rows) (d verifier.Deployment, err error) {
		var record string
		if err := rows.Scan(&record); err != nil {
			return d, err
		}
		return d, decode("deployment", record, &d)
	}, `SELECT record FROM deployments WHERE service = $1 AND environment = $2 AND version = $3 ORDER BY received_at DESC, id LIMIT $4`,
		r.Service, r.Environment, r.Version, shownOfRelease)
	if err != nil {
		return e, err
	}
	for _, d := range deployments {
		one, err := loadOutcome(ctx, tx, d)
		if err != nil {
			return e, err
		}
		e.Deployments = append(e.Deployments, one)
	}
	e.Decisions, err = loadReleaseDecisions(ctx, tx, r, e.Deployments)
	return e, err
}

// loadOutcome adds what became of a deployment.
func loadOutcome(ctx context.Context, tx *sql.Tx, d verifier.Deployment) (r verifier.Released, err error) {
	r.Deployment = d
	if r.Verification, err = queryOne[verifier.Verification](ctx, tx, "verification", `SELECT record FROM verifications WHERE deployment = $1`, d.ID); err != nil {
		return r, err
	}
	if r.Verification != nil {
		if err := loadVotes(ctx, tx, r.Verification); err != nil {
			return r, err
		}
		if err := loadFeedback(ctx, tx, r.Verification); err != nil {
			return r, err
		}
		if r.Verification.Deliveries, err = loadDeliveries(ctx, tx, r.Verification.ID); err != nil {
			return r, err
		}
	}
	return r, nil
}

// loadReleaseDecisions are what people decided about a version and about the
// verifications of its deployments.
func loadReleaseDecisions(ctx context.Context, tx *sql.Tx, r verifier.Release, released []verifier.Released) ([]verifier.AuditEntry, error) {
	out, err := queryAll(ctx, tx, scanAudit, `SELECT `+auditColumns+` FROM audit
		WHERE action = 'mark' AND service = $1 AND environment = $2 AND subject = $3 ORDER BY seq`, r.Service, r.Environment, r.Version)
	if err != nil {
		return nil, err
	}
	for _, d := range released {
		if d.Verification == nil {
			continue
		}
		about, err := queryAll(ctx, tx, scanAudit, `SELECT `+auditColumns+` FROM audit
			WHERE action IN ('override', 'feedback', 'vote') AND service = $1 AND environment = $2 AND subject = $3 ORDER BY seq`, r.Service, r.Environment, d.Verification.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, about...)
	}
	slices.SortFunc(out, func(a, b verifier.AuditEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	return out, nil
}
