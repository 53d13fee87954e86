package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/postflight/postflight/verifier"
)

// RecordDecision stores a person's decision that is complete in itself (a
// freeze, its end, a mark, what is done to the brake) and returns it as it is
// stored. From then on it holds: facts are read out of the audit trail.
func (s *Store) RecordDecision(ctx context.Context, e verifier.AuditEntry) (stored verifier.AuditEntry, err error) {
	err = s.alone(ctx, "record "+string(e.Action), func(tx *sql.Tx) error {
		stored, err = appendAudit(ctx, tx, e)
		return err
	})
	return stored, err
}

// Versions returns the versions that were ever current in a place, the last
// one first.
func (s *Store) Versions(ctx context.Context, where verifier.Location) (versions []string, err error) {
	err = s.read(ctx, "list the versions of "+where.Service, func(tx *sql.Tx) error {
		versions, err = queryAll(ctx, tx, scanText, `SELECT version FROM deployments
			WHERE service = $1 AND environment = $2 AND place > 0
			GROUP BY version ORDER BY max(place) DESC`, where.Service, where.Environment)
		return err
	})
	return versions, err
}

// Freezing returns what says which services are frozen at now.
func (s *Store) Freezing(ctx context.Context, now time.Time) (f verifier.Freezing, err error) {
	err = s.read(ctx, "read what is frozen", func(tx *sql.Tx) error {
		f, err = loadFreezing(ctx, tx, now)
		return err
	})
	return f, err
}

// freezesSQL selects the freezes of people that are in force at $1: no end has
// come, neither its own nor by an unfreeze of it or of its place.
const freezesSQL = `SELECT subject, service, environment, decided_by, at, until, reason FROM audit f
	WHERE action = 'freeze' AND (until = 0 OR until > $1) AND NOT EXISTS (SELECT 1 FROM audit u
		WHERE u.action = 'unfreeze' AND u.service = f.service AND u.environment = f.environment
			AND u.seq > f.seq AND u.subject IN ('', f.subject))`

func scanFreeze(rows *sql.Rows) (f verifier.Freeze, err error) {
	var at, until int64
	err = rows.Scan(&f.ID, &f.Service, &f.Environment, &f.By, &at, &until, &f.Reason)
	f.Kind, f.At, f.Until = verifier.FrozenByPerson, fromMicros(at), fromMicros(until)
	return f, err
}

func loadFreezing(ctx context.Context, tx *sql.Tx, now time.Time) (f verifier.Freezing, err error) {
	f.Unfrozen = map[verifier.Location]time.Time{}
	if f.Freezes, err = queryAll(ctx, tx, scanFreeze, freezesSQL+` ORDER BY seq DESC`, micros(now)); err != nil {
		return f, err
	}
	_, err = queryAll(ctx, tx, func(rows *sql.Rows) (where verifier.Location, err error) {
		var at int64
		err = rows.Scan(&where.Service, &where.Environment, &at)
		f.Unfrozen[where] = fromMicros(at)
		return where, err
	}, `SELECT service, environment, max(at) FROM audit WHERE `+unfrozenSQL+` GROUP BY service, environment`)
	if err != nil {
		return f, err
	}
	f.PastReverts, err = queryAll(ctx, tx, scanPastRevert, `SELECT revert_id, service, environment, automatic_at FROM (
			SELECT revert_id, service, environment, automatic_at, row_number() OVER (PARTITION BY service, environment ORDER BY place DESC) AS nth
			FROM verifications WHERE automatic_at > 0) latest
		WHERE nth <= $1 ORDER BY automatic_at, revert_id`, lastOfPlace)
	return f, err
}

// Once the caps of a place hold, no automatic revert of it follows until a
// person unfreezes it, and once the brake is engaged none at all: those that
// reached a limit are the last ones, so that no more than these are read,
// however many there were. A limit is 100 at most, and a release that goes back
// together is one request of several rows.
const (
	lastOfPlace = 100
	lastOfAll   = 1000
)

// unfrozenSQL selects what ends the freeze of a place by its caps: all but the
// end of one freeze of a person.
const unfrozenSQL = `action = 'unfreeze' AND subject NOT LIKE 'fz\_%' ESCAPE '\'`

// placeFreeze returns the freeze of a place that is in force, the one that
// lasts longest where there are several, and when the place was last unfrozen.
func placeFreeze(ctx context.Context, tx *sql.Tx, d verifier.Deployment, now time.Time) (freeze *verifier.Freeze, unfrozen time.Time, err error) {
	in, err := queryAll(ctx, tx, scanFreeze, freezesSQL+` AND service = $2 AND environment = $3
		ORDER BY until = 0 DESC, until DESC LIMIT 1`, micros(now), d.Service, d.Environment)
	if err != nil {
		return nil, unfrozen, err
	}
	if len(in) > 0 {
		freeze = &in[0]
	}
	var at int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(at), 0) FROM audit WHERE service = $1 AND environment = $2 AND `+unfrozenSQL,
		d.Service, d.Environment).Scan(&at)
	return freeze, fromMicros(at), err
}

// marksSQL is the last mark of each version in a place: service $1,
// environment $2.
const marksSQL = `(SELECT subject AS version, decision, at FROM audit
	WHERE seq IN (SELECT max(seq) FROM audit WHERE action = 'mark' AND service = $1 AND environment = $2 GROUP BY subject))`

// Brake returns what says whether the brake is engaged.
func (s *Store) Brake(ctx context.Context) (b verifier.Brake, err error) {
	err = s.read(ctx, "read the brake", func(tx *sql.Tx) error {
		b, err = loadBrake(ctx, tx)
		return err
	})
	return b, err
}

func loadBrake(ctx context.Context, tx *sql.Tx) (b verifier.Brake, err error) {
	if b.ReleasedAt, err = brakeReleased(ctx, tx); err != nil {
		return b, err
	}
	if b.Held, err = brakeHeld(ctx, tx); err != nil {
		return b, err
	}
	b.Reverts, err = brakeReverts(ctx, tx, b.ReleasedAt)
	return b, err
}

// EngageBrake records that a person stopped the automatic reverts of all
// services, until somebody releases the brake.
func (s *Store) EngageBrake(ctx context.Context, by, reason string, now time.Time) error {
	_, err := s.RecordDecision(ctx, verifier.AuditEntry{At: now, By: by, Action: verifier.AuditBrakeEngage, Reason: reason})
	return err
}

// ReleaseBrake records that a person released the brake: reverts up to now
// count no more for it, and who engaged it by hand is heard no more.
func (s *Store) ReleaseBrake(ctx context.Context, by, reason string, now time.Time) error {
	_, err := s.RecordDecision(ctx, verifier.AuditEntry{At: now, By: by, Action: verifier.AuditBrakeRelease, Reason: reason})
	return err
}
