package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Retention is how long what has ended is kept. Evidence is not longer than
// Verifications, and none is longer than that.
type Retention struct {
	Evidence      time.Duration // observations and calibrations, from when the verification opened
	Verifications time.Duration // verifications and deployments, with all that belongs to them
	DeliveryIDs   time.Duration // of notifications: for so long one that comes again is known by its id
	// Keep are places whose verifications and deployments stay, and KeepAll
	// keeps those of every place: what froze them must be there until a person
	// says otherwise.
	Keep    map[verifier.Location]bool
	KeepAll bool
}

// Pruned is what was deleted.
type Pruned struct {
	Evidence      int // verifications whose evidence was dropped
	Verifications int // deployments, with their verifications where they had one
	DeliveryIDs   int
	Tickets       int // and counts of them
	Alerts        int
	GateDecisions int
	GateRequests  int
}

const (
	// pruneRows is how many rows one transaction deletes, about.
	pruneRows = 2000
	// pruneRests is how much longer than a transaction of its own Prune waits
	// before the next one: others write meanwhile.
	pruneRests = 4
)

// Prune deletes what was kept for long enough, in small transactions with
// pauses, so that nothing else waits for it. It never deletes what a running
// verification, a rollback that is open, a delivery that is to be sent, or a
// later decision needs: of each service and environment the deployment that
// runs, the one to go back to, everything after that and the last 20 stay,
// however old they are, and so does what a version counts as reverted by. The
// audit trail stays whole. What was deleted before an error or the end of ctx is
// in Pruned. Call it hourly; several replicas may at once.
func (s *Store) Prune(ctx context.Context, now time.Time, r Retention) (p Pruned, err error) {
	if p.Evidence, err = s.pruneEvidence(ctx, now, now.Add(-r.Evidence)); err != nil {
		return p, err
	}
	if !r.KeepAll {
		if p.Verifications, err = s.prunePlaces(ctx, now.Add(-r.Verifications), r.Keep); err != nil {
			return p, err
		}
	}
	if p.DeliveryIDs, err = s.pruneKeys(ctx, now.Add(-r.DeliveryIDs)); err != nil {
		return p, err
	}
	if p.Tickets, err = s.pruneTickets(ctx, now.Add(-verifier.KeepTickets)); err != nil {
		return p, err
	}
	p.Alerts, err = s.pruneAll(ctx, "forget old alerts", now.Add(-keepAlerts),
		`DELETE FROM alerts WHERE (source, fingerprint, starts_at) IN (SELECT source, fingerprint, starts_at FROM alerts WHERE told_at < $1 LIMIT $2)`)
	if err != nil {
		return p, err
	}
	if p.GateDecisions, err = s.pruneGate(ctx, now.Add(-r.Verifications)); err != nil {
		return p, err
	}
	p.GateRequests, err = s.pruneRequests(ctx, now.Add(-keepRequests))
	return p, err
}

// gently calls step until it has nothing left to do.
func gently(ctx context.Context, step func() (n int, more bool, err error)) (total int, err error) {
	for {
		begun := time.Now()
		n, more, err := step()
		total += n
		if err != nil || !more {
			return total, err
		}
		select {
		case <-ctx.Done():
			return total, fail("prune", ctx.Err())
		case <-time.After(pruneRests * time.Since(begun)):
		}
	}
}

// deleted runs a statement that deletes, and returns how many rows it did.
func deleted(ctx context.Context, tx *sql.Tx, statement string, args ...any) (int, error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

func (s *Store) pruneKeys(ctx context.Context, before time.Time) (int, error) {
	return s.pruneAll(ctx, "forget old delivery ids", before, `DELETE FROM intake_keys WHERE (source, delivery_id) IN (
		SELECT source, delivery_id FROM intake_keys WHERE received_at < $1 LIMIT $2)`)
}

// pruneGate deletes what the gate answered long ago, but for releases whose
// deployments are there, for their record would say that nobody asked, and the
// last about those of which somebody spoke: their words stay, and so do those who
// asked.
func (s *Store) pruneGate(ctx context.Context, before time.Time) (int, error) {
	return s.pruneAll(ctx, "forget old decisions of the gate", before, `DELETE FROM gate_decisions WHERE id IN (
		SELECT g.id FROM gate_decisions g WHERE g.last_at < $1 AND NOT EXISTS (
			SELECT 1 FROM deployments d WHERE d.service = g.service AND d.environment = g.environment AND d.version = g.version)
			AND NOT (`+spokenOf+` AND `+lastOf+`) LIMIT $2)`)
}

// pruneAll deletes the rows of one table that are older, pruneRows at a time.
func (s *Store) pruneAll(ctx context.Context, doing string, before time.Time, statement string) (int, error) {
	return gently(ctx, func() (n int, more bool, err error) {
		err = s.write(ctx, doing, func(tx *sql.Tx) error {
			n, err = deleted(ctx, tx, statement, micros(before), pruneRows)
			return err
		})
		return n, n == pruneRows, err
	})
}

// pruneTickets deletes pushed tickets and counts that no history reaches any more.
func (s *Store) pruneTickets(ctx context.Context, before time.Time) (total int, err error) {
	for _, statement := range []string{
		`DELETE FROM tickets WHERE (feed, id) IN (SELECT feed, id FROM tickets WHERE created_at < $1 LIMIT $2)`,
		`DELETE FROM ticket_counts WHERE (feed, question, span, at) IN (SELECT feed, question, span, at FROM ticket_counts WHERE at < $1 LIMIT $2)`,
	} {
		n, err := s.pruneAll(ctx, "forget old tickets", before, statement)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// endedSQL holds for a verification v that nothing will be added to.
const endedSQL = `v.state NOT IN ('pending', 'observing') AND v.action_state NOT IN ('requested', 'accepted', 'unconfirmed')
	AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.verification = v.id AND d.state IN ('pending', 'retryable'))`

func (s *Store) pruneEvidence(ctx context.Context, now, before time.Time) (dropped int, err error) {
	var ids []string
	return gently(ctx, func() (n int, more bool, err error) {
		if len(ids) == 0 {
			err = s.read(ctx, "look for old evidence", func(tx *sql.Tx) error {
				ids, err = queryAll(ctx, tx, scanText, `SELECT v.id FROM verifications v
					WHERE v.evidence_dropped_at <= 0 AND v.opened_at < $1 AND `+endedSQL+` ORDER BY v.opened_at LIMIT 200`, micros(before))
				return err
			})
			if err != nil || len(ids) == 0 {
				return 0, false, err
			}
		}
		done, err := s.dropEvidence(ctx, ids[0], now)
		if err != nil {
			return 0, false, err
		}
		if !done {
			return 0, true, nil
		}
		ids = ids[1:]
		return 1, true, nil
	})
}

// dropEvidence drops some of a verification's evidence, and reports whether
// that was the rest. From the first on nothing of it is shown: a part of it
// would not be what was judged.
func (s *Store) dropEvidence(ctx context.Context, id string, now time.Time) (done bool, err error) {
	err = s.write(ctx, "drop the evidence of verification "+id, func(tx *sql.Tx) error {
		begun, err := deleted(ctx, tx, `UPDATE verifications AS v SET evidence_dropped_at = -1 WHERE v.id = $1 AND `+endedSQL, id)
		if err != nil || begun == 0 { // it isn't over any more
			done = true
			return err
		}
		n, err := deleted(ctx, tx, `DELETE FROM observations WHERE (verification, signal, at) IN (
			SELECT verification, signal, at FROM observations WHERE verification = $1 LIMIT $2)`, id, pruneRows)
		if done = n < pruneRows; err != nil || !done {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM signals WHERE verification = $1`, id); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE verifications SET evidence_dropped_at = $2 WHERE id = $1`, id, micros(now))
		return err
	})
	return done, err
}

// prunePlaces deletes the oldest deployments of each place.
func (s *Store) prunePlaces(ctx context.Context, before time.Time, keep map[verifier.Location]bool) (total int, err error) {
	var places []verifier.Location
	err = s.read(ctx, "look for old deployments", func(tx *sql.Tx) error {
		places, err = queryAll(ctx, tx, func(rows *sql.Rows) (l verifier.Location, err error) {
			err = rows.Scan(&l.Service, &l.Environment)
			return l, err
		}, `SELECT DISTINCT service, environment FROM deployments WHERE received_at < $1`, micros(before))
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, where := range places {
		if keep[where] {
			continue
		}
		n, err := gently(ctx, func() (n int, more bool, err error) {
			n, err = s.prunePlace(ctx, where, before)
			return n, n > 0, err
		})
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// pruneDeployments is how many deployments one transaction deletes.
const pruneDeployments = 10

// keptDeployments before the one that runs stay, however old they are.
const keptDeployments = 20

// prunePlace deletes some of a place's deployments that are older than
// everything that must stay: never one in the middle, for what it says (that a
// version was reverted, that a migration ran) may be about an older one.
func (s *Store) prunePlace(ctx context.Context, where verifier.Location, before time.Time) (n int, err error) {
	err = s.alone(ctx, "drop old deployments of "+where.Service, func(tx *sql.Tx) error {
		floor, received, err := keptFrom(ctx, tx, where, before)
		if err != nil {
			return err
		}
		ids, err := queryAll(ctx, tx, scanText, `SELECT d.id FROM deployments d LEFT JOIN verifications v ON v.deployment = d.id
			WHERE d.service = $1 AND d.environment = $2 AND d.received_at < $3
				AND (d.place > 0 AND d.place < $4 OR d.place = 0 AND d.received_at < $5)
				AND (v.id IS NULL OR v.evidence_dropped_at > 0 AND `+endedSQL+` AND NOT (`+standingRevert+`))
			ORDER BY d.place, d.received_at LIMIT $6`,
			where.Service, where.Environment, micros(before), floor, received, pruneDeployments)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := deleteDeployment(ctx, tx, id); err != nil {
				return err
			}
		}
		n = len(ids)
		return nil
	})
	return n, err
}

// keptFrom is the place of the oldest deployment that must stay, and when it
// was received: of what runs, of what to go back to, and of whatever isn't old
// enough or isn't over. Those that never became current stay from there on.
func keptFrom(ctx context.Context, tx *sql.Tx, where verifier.Location, before time.Time) (place, received int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce(min(d.place), 0), coalesce(min(d.received_at), 0) FROM deployments d
		LEFT JOIN verifications v ON v.deployment = d.id
		WHERE d.service = $1 AND d.environment = $2 AND d.place > 0 AND (d.received_at >= $3
			OR v.id IS NOT NULL AND NOT (v.evidence_dropped_at > 0 AND `+endedSQL+`))`,
		where.Service, where.Environment, micros(before)).Scan(&place, &received)
	if err != nil {
		return 0, 0, err
	}
	stays := func(d *verifier.Deployment) {
		if d == nil {
			return
		}
		if place == 0 || d.Place < place {
			place = d.Place
		}
		if at := micros(d.ReceivedAt); received == 0 || at < received {
			received = at
		}
	}
	current, err := currentDeployment(ctx, tx, where.Service, where.Environment)
	if err != nil {
		return 0, 0, err
	}
	if current == nil { // nothing ever ran: only what was announced and didn't finish
		return 0, micros(before), nil
	}
	stays(current)
	target, err := rollbackTarget(ctx, tx, *current, "")
	if err != nil {
		return 0, 0, err
	}
	stays(target)
	last, err := deploymentBefore(ctx, tx, *current) // what a return to it is recognised by
	if err != nil {
		return 0, 0, err
	}
	stays(last)
	place = min(place, current.Place-keptDeployments)
	return place, received, nil
}

// deleteDeployment deletes a deployment with all that belongs to it.
func deleteDeployment(ctx context.Context, tx *sql.Tx, id string) error {
	const its = ` (SELECT id FROM verifications WHERE deployment = $1)`
	for _, statement := range []string{
		`DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE verification IN` + its + `)`,
		`DELETE FROM deliveries WHERE verification IN` + its,
		`DELETE FROM observations WHERE verification IN` + its,
		`DELETE FROM signals WHERE verification IN` + its,
		`DELETE FROM intake_keys WHERE deployment = $1`,
		`DELETE FROM verifications WHERE deployment = $1`,
		`DELETE FROM deployments WHERE id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, id); err != nil {
			return err
		}
	}
	return nil
}
