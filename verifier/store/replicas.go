package store

import (
	"context"
	"database/sql"
	"time"
)

// Replica is a daemon on this database, for people to see. Its lease says until
// when it counts as alive; what it works on has leases of its own.
type Replica struct {
	ID         string // of one run of the daemon
	Name       string
	Version    string
	StartedAt  time.Time
	SeenAt     time.Time // by the clock that leases count by
	LeaseUntil time.Time
}

// replicasKept is how long after its lease a replica is shown as gone: long
// enough for people to notice.
const replicasKept = 24 * time.Hour

// SeeReplica says that a replica is alive, from now for as long as from its
// SeenAt to its LeaseUntil, forgets those that have been gone for a day, and sees
// whether there are others; see Claim.
func (s *Store) SeeReplica(ctx context.Context, r Replica) error {
	return s.write(ctx, "say that this replica is alive", func(tx *sql.Tx) error {
		now := s.dialect.now
		// #nosec G202 -- the words are the dialect's
		_, err := tx.ExecContext(ctx, `INSERT INTO replicas (id, name, version, started_at, seen_at, lease_until)
			VALUES ($2, $3, $4, $5, `+now+`, `+now+` + $6)
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, lease_until = excluded.lease_until`,
			s.clock(r.SeenAt), r.ID, r.Name, r.Version, micros(r.StartedAt), r.LeaseUntil.Sub(r.SeenAt).Microseconds())
		if err != nil {
			return err
		}
		// #nosec G202 -- the words are the dialect's
		_, err = tx.ExecContext(ctx, `DELETE FROM replicas WHERE lease_until < `+now+` - $2`, s.clock(r.SeenAt), replicasKept.Microseconds())
		if err != nil {
			return err
		}
		alive, err := s.aliveReplicas(ctx, tx, r.SeenAt)
		s.accompanied.Store(alive > 1)
		return err
	})
}

// ForgetReplica says that a replica has stopped as it should.
func (s *Store) ForgetReplica(ctx context.Context, id string) error {
	return s.write(ctx, "say that this replica stopped", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM replicas WHERE id = $1`, id)
		return err
	})
}

// aliveReplicas counts the daemons whose lease has not run out.
func (s *Store) aliveReplicas(ctx context.Context, tx *sql.Tx, now time.Time) (n int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM replicas WHERE lease_until > `+s.dialect.now, s.clock(now)).Scan(&n)
	return n, err
}

func loadReplicas(ctx context.Context, tx *sql.Tx) ([]Replica, error) {
	return queryAll(ctx, tx, func(rows *sql.Rows) (r Replica, err error) {
		var started, seen, until int64
		err = rows.Scan(&r.ID, &r.Name, &r.Version, &started, &seen, &until)
		r.StartedAt, r.SeenAt, r.LeaseUntil = fromMicros(started), fromMicros(seen), fromMicros(until)
		return r, err
	}, `SELECT id, name, version, started_at, seen_at, lease_until FROM replicas ORDER BY started_at, id`)
}
