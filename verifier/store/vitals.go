package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Vitals are what tells an operator whether a store's daemons do their work.
type Vitals struct {
	// Notified is when each source was heard last, as far as its ids are kept;
	// Ticketed the same for the feeds that tickets are pushed to.
	Notified, Ticketed map[string]time.Time
	Pending, Observing int
	Leased             int       // looks under way
	Overdue            int       // due, and nobody looks
	DueSince           time.Time // of the one of them that waits longest; zero when there is none
	Queues             []QueueVitals
	Receivers          []ReceiverVitals
	Replicas           []Replica
}

// QueueVitals is what waits of one kind of delivery.
type QueueVitals struct {
	Kind              verifier.DeliveryKind
	Pending, Retrying int
	Oldest            time.Time // of both; zero when nothing waits
}

// Vitals returns them as of now.
func (s *Store) Vitals(ctx context.Context, now time.Time) (v Vitals, err error) {
	err = s.read(ctx, "read vitals", func(tx *sql.Tx) error {
		v = Vitals{Notified: map[string]time.Time{}, Ticketed: map[string]time.Time{}}
		if err := newestBy(ctx, tx, v.Notified, `SELECT source, max(at) FROM (SELECT source, received_at AS at FROM intake_keys
			UNION ALL SELECT source, last_at AS at FROM alert_sources) AS heard GROUP BY source`); err != nil {
			return err
		}
		if err := newestBy(ctx, tx, v.Ticketed, `SELECT feed, max(received_at) FROM tickets GROUP BY feed`); err != nil {
			return err
		}
		var due int64
		err := tx.QueryRowContext(ctx, `SELECT count(CASE WHEN state = 'pending' THEN 1 END), count(CASE WHEN state = 'observing' THEN 1 END),
				count(CASE WHEN lease_until > $1 THEN 1 END), count(CASE WHEN lease_until <= $1 AND next_check_at <= $1 THEN 1 END),
				coalesce(min(CASE WHEN lease_until <= $1 AND next_check_at <= $1 THEN next_check_at END), 0)
			FROM verifications WHERE state IN ('pending', 'observing')`, micros(now)).Scan(&v.Pending, &v.Observing, &v.Leased, &v.Overdue, &due)
		if err != nil {
			return err
		}
		v.DueSince = fromMicros(due)
		v.Queues, err = loadQueues(ctx, tx)
		if err != nil {
			return err
		}
		if v.Receivers, err = loadReceivers(ctx, tx, now); err != nil {
			return err
		}
		v.Replicas, err = loadReplicas(ctx, tx)
		return err
	})
	return v, err
}

func newestBy(ctx context.Context, tx *sql.Tx, into map[string]time.Time, query string) error {
	_, err := queryAll(ctx, tx, func(rows *sql.Rows) (by string, err error) {
		var at int64
		err = rows.Scan(&by, &at)
		into[by] = fromMicros(at)
		return by, err
	}, query)
	return err
}

// loadQueues returns a queue for each kind, also where nothing waits.
func loadQueues(ctx context.Context, tx *sql.Tx) ([]QueueVitals, error) {
	out := []QueueVitals{{Kind: verifier.RollbackDelivery}, {Kind: verifier.MessageDelivery}}
	_, err := queryAll(ctx, tx, func(rows *sql.Rows) (q QueueVitals, err error) {
		var oldest int64
		err = rows.Scan(&q.Kind, &q.Pending, &q.Retrying, &oldest)
		q.Oldest = fromMicros(oldest)
		for i := range out {
			if out[i].Kind == q.Kind {
				out[i] = q
			}
		}
		return q, err
	}, `SELECT kind, count(CASE WHEN state = 'pending' THEN 1 END), count(CASE WHEN state = 'retryable' THEN 1 END), min(created_at)
		FROM deliveries WHERE state IN ('pending', 'retryable') GROUP BY kind`)
	return out, err
}

// Around returns the verifications of an environment whose deploys finished in
// [from, to], without their deliveries, in order of time, at most limit.
func (s *Store) Around(ctx context.Context, environment string, from, to time.Time, limit int) (list []verifier.Verification, err error) {
	err = s.read(ctx, "read the verifications around a time", func(tx *sql.Tx) error {
		list, err = queryAll(ctx, tx, scanVerification, `SELECT record FROM verifications
			WHERE environment = $1 AND finished_at >= $2 AND finished_at <= $3 ORDER BY finished_at, id LIMIT $4`,
			environment, micros(from), micros(to), limit)
		return err
	})
	return list, err
}
