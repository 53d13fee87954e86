package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// decisionsOfPlace is how many answers of the gate are kept of a service in an
// environment, beside those that say who asked for a release.
const decisionsOfPlace = 1000

// spokenOf holds for an answer g about a release of which somebody spoke, lastOf
// for the last one about a release: that one names all who asked for it, who may
// not sign it off.
const (
	spokenOf = `EXISTS (SELECT 1 FROM gate_words w WHERE w.service = g.service AND w.version = g.version AND w.environment = g.environment)`
	lastOf   = `g.id = (SELECT l.id FROM gate_decisions l WHERE l.service = g.service AND l.version = g.version AND l.environment = g.environment
		ORDER BY l.at DESC, l.id DESC LIMIT 1)`
)

// Gate lets decide answer by what is known of a release, and keeps the answer
// where ask.Record says so, in one transaction: what was said or reverted before
// the answer counts, and nothing is said or reverted between it and its record.
// An answer that says the same as the last one is that one, asked again.
func (s *Store) Gate(ctx context.Context, ask verifier.GateAsk, now time.Time, decide func(verifier.GateState) verifier.GateVerdict) (v verifier.GateVerdict, err error) {
	run := s.read
	if ask.Record {
		run = s.alone
	}
	err = run(ctx, "ask the gate of "+ask.String(), func(tx *sql.Tx) error {
		state, err := loadGate(ctx, tx, ask, now)
		if err != nil {
			return err
		}
		v = decide(state)
		v.At, v.LastAt = utc(v.At), utc(v.LastAt)
		if !ask.Record {
			return nil
		}
		v, err = saveVerdict(ctx, tx, v)
		return err
	})
	return v, err
}

// loadGate reads what the gate looks at.
func loadGate(ctx context.Context, tx *sql.Tx, ask verifier.GateAsk, now time.Time) (g verifier.GateState, err error) {
	r := ask.Release
	if g.Words, err = loadWords(ctx, tx, r); err != nil {
		return g, err
	}
	if g.Reverted, err = revertedBy(ctx, tx, r); err != nil {
		return g, err
	}
	if g.Reverted != nil {
		if g.RevertedSeq, err = lastOverride(ctx, tx, *g.Reverted); err != nil {
			return g, err
		}
	}
	if g.Mark, err = lastMark(ctx, tx, r); err != nil {
		return g, err
	}
	if g.Watched, err = queryAll(ctx, tx, scanVerification, `SELECT record FROM verifications
		WHERE service = $1 AND environment = $2 AND state IN ('pending', 'observing') ORDER BY place DESC`, r.Service, r.Environment); err != nil {
		return g, err
	}
	if g.OpenRevert, err = queryOne[verifier.Verification](ctx, tx, "verification", `SELECT record FROM verifications
		WHERE service = $1 AND environment = $2 AND `+openActionSQL+` ORDER BY requested_at DESC LIMIT 1`, r.Service, r.Environment); err != nil {
		return g, err
	}
	if g.Running, err = runningBefore(ctx, tx, r, now); err != nil {
		return g, err
	}
	if g.Freezing, err = loadFreezing(ctx, tx, now); err != nil {
		return g, err
	}
	if g.Brake, err = loadBrake(ctx, tx); err != nil {
		return g, err
	}
	next := verifier.Deployment{Service: r.Service, Environment: r.Environment, Version: r.Version, Place: math.MaxInt64}
	if g.Target, err = rollbackTarget(ctx, tx, next, ""); err != nil {
		return g, err
	}
	if ask.Before != "" {
		if g.Before, err = queryOne[verifier.Verification](ctx, tx, "verification", `SELECT record FROM verifications
			WHERE service = $1 AND version = $2 AND environment = $3 ORDER BY place DESC, opened_at DESC LIMIT 1`, r.Service, r.Version, ask.Before); err != nil {
			return g, err
		}
		there := r
		there.Environment = ask.Before
		if g.BeforeMark, err = lastMark(ctx, tx, there); err != nil {
			return g, err
		}
	}
	g.Actors, err = actorsOf(ctx, tx, r)
	return g, err
}

// keptSince holds for a verification v after which its version was kept there.
const keptSince = `EXISTS (SELECT 1 FROM verifications k WHERE k.service = v.service AND k.version = v.version AND k.environment = v.environment
	AND k.effective = 'keep' AND k.place > v.place AND k.opened_at > v.effective_at)`

// standingRevert holds for a verification v by which its version counts as
// reverted, and the only one where it was reverted several times. Retention
// leaves it, for the version may not go out again unless it is approved again.
const standingRevert = `v.effective = 'revert' AND NOT ` + keptSince + `
	AND NOT EXISTS (SELECT 1 FROM verifications n WHERE n.service = v.service AND n.version = v.version AND n.environment = v.environment
		AND n.effective = 'revert' AND n.place > v.place AND n.effective_at >= v.effective_at)`

// revertedBy is the newest verification by which a version counts as reverted
// in a place, nil where it was kept since then.
func revertedBy(ctx context.Context, tx *sql.Tx, r verifier.Release) (*verifier.Verification, error) {
	return queryOne[verifier.Verification](ctx, tx, "verification", `SELECT v.record FROM verifications v
		WHERE v.service = $1 AND v.version = $2 AND v.environment = $3 AND v.effective = 'revert' AND NOT `+keptSince+`
		ORDER BY v.effective_at DESC, v.place DESC LIMIT 1`, r.Service, r.Version, r.Environment)
}

// lastOverride is the audit entry of the last decision of a person about a
// verification, 0 without one.
func lastOverride(ctx context.Context, tx *sql.Tx, v verifier.Verification) (seq int64, err error) {
	d := v.Deployment
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM audit
		WHERE action = 'override' AND service = $1 AND environment = $2 AND subject = $3`, d.Service, d.Environment, v.ID).Scan(&seq)
	return seq, err
}

func lastMark(ctx context.Context, tx *sql.Tx, r verifier.Release) (*verifier.AuditEntry, error) {
	marks, err := queryAll(ctx, tx, scanAudit, `SELECT `+auditColumns+` FROM audit
		WHERE action = 'mark' AND service = $1 AND environment = $2 AND subject = $3 ORDER BY seq DESC LIMIT 1`, r.Service, r.Environment, r.Version)
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	return &marks[0], nil
}

// runningBefore is a deploy of another version that was announced as started
// and isn't known to have ended. One that only waits, maybe for this gate, is
// none.
func runningBefore(ctx context.Context, tx *sql.Tx, r verifier.Release, now time.Time) (*verifier.Deployment, error) {
	running, err := queryAll(ctx, tx, func(rows *sql.Rows) (d verifier.Deployment, err error) {
		var record string
		if err := rows.Scan(&record); err != nil {
			return d, err
		}
		return d, decode("deployment", record, &d)
	}, `SELECT r.record FROM deployments r WHERE r.service = $1 AND r.environment = $2 AND r.version <> $3
			AND r.status = 'started' AND r.received_at > $4 AND NOT `+endedAnonymously+` ORDER BY r.received_at DESC`,
		r.Service, r.Environment, r.Version, micros(now.Add(-verifier.RunningDeployExpires)))
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(running, func(d verifier.Deployment) bool { return !d.Queued }); i >= 0 {
		return &running[i], nil
	}
	return nil, nil
}

// lastVerdicts are the last answers of the gate about a release, the newest
// first.
func lastVerdicts(ctx context.Context, tx *sql.Tx, r verifier.Release, limit int) ([]verifier.GateVerdict, error) {
	return queryAll(ctx, tx, scanVerdict, `SELECT record, last_at FROM gate_decisions
		WHERE service = $1 AND version = $2 AND $3 IN ('', environment) ORDER BY at DESC, id DESC LIMIT $4`, r.Service, r.Version, r.Environment, limit)
}

// answersForDeploy is how many answers of the gate a deploy is compared with:
// those that came while it was under way are passed over.
const answersForDeploy = 10

// answersSQL are the last answers of the gate that may have been given for a
// deploy, as historySQL asks for them. Those from before the release was deployed
// and then replaced by another version were for that time.
const answersSQL = `SELECT record, last_at FROM gate_decisions
	WHERE service = $3 AND version = $5 AND environment = $4 AND last_at > coalesce((SELECT max(e.received_at) FROM deployments e
		WHERE e.service = $3 AND e.version = $5 AND e.environment = $4 AND e.place > 0
			AND e.place < (SELECT max(o.place) FROM deployments o WHERE o.service = $3 AND o.environment = $4 AND o.version <> $5)), 0)
	ORDER BY at DESC, id DESC LIMIT $6`

func scanVerdict(rows *sql.Rows) (v verifier.GateVerdict, err error) {
	var record string
	var last int64
	if err := rows.Scan(&record, &last); err != nil {
		return v, err
	}
	return decodeVerdict(record, last)
}

func decodeVerdict(record string, last int64) (v verifier.GateVerdict, err error) {
	err = decode("decision of the gate", record, &v)
	v.LastAt = fromMicros(last)
	return v, err
}

// actorsOf are all who were ever named as asking for a release.
func actorsOf(ctx context.Context, tx *sql.Tx, r verifier.Release) ([]string, error) {
	last, err := lastVerdicts(ctx, tx, r, 1)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	return last[0].Actors, nil
}

// saveVerdict keeps an answer, or that it was given again.
func saveVerdict(ctx context.Context, tx *sql.Tx, v verifier.GateVerdict) (verifier.GateVerdict, error) {
	last, err := lastVerdicts(ctx, tx, v.Release, 1)
	if err != nil {
		return v, err
	}
	if len(last) > 0 && last[0].Same(v) {
		v.ID, v.At = last[0].ID, last[0].At
		_, err := tx.ExecContext(ctx, `UPDATE gate_decisions SET last_at = $2 WHERE id = $1 AND last_at < $2`, v.ID, micros(v.LastAt))
		return v, err
	}
	if len(last) > 0 && v.At.Before(last[0].At) {
		v.At = last[0].At // another replica's clock is ahead: the order is that of the answers
		v.LastAt = v.At
	}
	v.ID = verifier.NewID(verifier.GatePrefix)
	record, err := encode("decision of the gate", v.Kept())
	if err != nil {
		return v, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO gate_decisions (id, service, environment, version, at, last_at, decision, record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		v.ID, v.Service, v.Environment, v.Version, micros(v.At), micros(v.LastAt), v.Decision, record)
	if err != nil {
		return v, err
	}
	return v, forgetVerdicts(ctx, tx, v.Location())
}

// forgetVerdicts deletes the oldest answers about a place, where there are more
// than are kept.
func forgetVerdicts(ctx context.Context, tx *sql.Tx, where verifier.Location) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM gate_decisions WHERE id IN (SELECT g.id FROM gate_decisions g
		WHERE g.service = $1 AND g.environment = $2
			AND (SELECT count(*) FROM gate_decisions WHERE service = $1 AND environment = $2) > $3
			AND NOT ((g.record LIKE '%"actors":[%' OR `+spokenOf+`) AND `+lastOf+`)
		ORDER BY g.at DESC, g.id DESC LIMIT 100 OFFSET $3)`, where.Service, where.Environment, decisionsOfPlace)
	return err
}

// waitingLimit bounds what Waiting returns.
const waitingLimit = 50

// Waiting returns the last answers of the gate about releases that it was asked
// about since a moment and that were not deployed since, the newest first, at
// most 50.
func (s *Store) Waiting(ctx context.Context, since time.Time) (list []verifier.GateVerdict, err error) {
	err = s.read(ctx, "list what waits at the gate", func(tx *sql.Tx) error {
		list, err = queryAll(ctx, tx, scanVerdict, `SELECT record, last_at FROM (
				SELECT record, last_at, at, id, service, environment, version,
					row_number() OVER (PARTITION BY service, environment, version ORDER BY at DESC, id DESC) AS nth
				FROM gate_decisions WHERE last_at >= $1) g
			WHERE nth = 1
				AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.service = g.service AND d.environment = g.environment AND d.version = g.version
					AND (d.received_at >= g.at OR d.place > 0 AND d.place = (SELECT max(place) FROM deployments c WHERE c.service = g.service AND c.environment = g.environment)))
			ORDER BY last_at DESC LIMIT $2`, micros(since), waitingLimit)
		if err != nil {
			return fmt.Errorf("read the answers: %w", err)
		}
		return nil
	})
	return list, err
}
