package store

import (
	"context"
	"database/sql"
	"fmt"
	"sort"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
)

// Claim leases up to limit verifications that are due at now (on PostgreSQL by
// the database's clock, unless Options say otherwise), for lease, raising each
// one's epoch, and returns them in order of when they were due, with everything
// that a look needs. A verification whose lease runs out is due again.
func (s *Store) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]verifier.Check, error) {
	var checks []verifier.Check
	claiming := transaction{db: s.writer, options: s.dialect.claiming, within: s.dialect.within, failed: s.note}
	err := claiming.run(ctx, "claim due verifications", func(tx *sql.Tx) (err error) {
		checks, err = queryAll(ctx, tx, scanCheck, s.dialect.claim, s.clock(now), lease.Microseconds(), limit)
		return err
	})
	if err != nil || len(checks) == 0 {
		return nil, err
	}
	if err := failpoint.Reach(ctx, failpoint.LeaseAfterRenew); err != nil {
		return nil, err
	}
	sort.Slice(checks, func(i, j int) bool { return checks[i].DueAt.Before(checks[j].DueAt) })
	// Nobody else may write the evidence of a claimed verification, so that it
	// is read without holding up the writer.
	err = s.read(ctx, "read claimed verifications", func(tx *sql.Tx) error {
		for i := range checks {
			c := &checks[i]
			if c.Signals, err = loadEvidence(ctx, tx, c.Verification.ID, c.Policy); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return checks, nil
}

// clock is the time by which leases count: nothing for the database's own.
func (s *Store) clock(now time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: micros(now), Valid: s.callersTime}
}

func scanCheck(rows *sql.Rows) (c verifier.Check, err error) {
	var id, record, policy string
	var due int64
	if err := rows.Scan(&id, &record, &policy, &c.Epoch, &due); err != nil {
		return c, err
	}
	c.DueAt = fromMicros(due)
	c.Verification, c.Policy, err = decodeVerification(id, record, policy)
	return c, err
}

// Renew lets the lease of c, which its holder still has, end lease after now,
// by the clock that Claim counts by: later, while a look goes on, or sooner,
// where it came to nothing. A lease that was given back, or whose verification
// was claimed again or has ended, is a Conflict.
func (s *Store) Renew(ctx context.Context, c verifier.Check, now time.Time, lease time.Duration) error {
	id := c.Verification.ID
	renewing := transaction{db: s.writer, options: s.dialect.claiming, within: s.dialect.within, failed: s.note}
	return renewing.run(ctx, "renew the lease of verification "+id, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.dialect.renew, s.clock(now), lease.Microseconds(), id, c.Epoch)
		return affected(result, err, "verification %s was claimed again, given back or ended since epoch %d", id, c.Epoch)
	})
}

// hold makes sure that c is still its holder's: the epoch is the claim's and
// the verification is not final. Otherwise it is a Conflict. It locks the row,
// and returns the verification as it is stored.
func hold(ctx context.Context, tx *sql.Tx, c verifier.Check) (verifier.Verification, error) {
	id := c.Verification.ID
	result, err := tx.ExecContext(ctx, `UPDATE verifications SET epoch = epoch
		WHERE id = $1 AND epoch = $2 AND state IN ('pending', 'observing')`, id, c.Epoch)
	if err := affected(result, err, "verification %s was claimed again or ended since epoch %d", id, c.Epoch); err != nil {
		return verifier.Verification{}, err
	}
	v, _, err := loadVerification(ctx, tx, id)
	return v, err
}

// Prepare stores the plans, calibrations and baselines in c.Signals and moves
// a pending verification to observing. It may be called again while observing.
// The lease stays.
func (s *Store) Prepare(ctx context.Context, c verifier.Check) error {
	return s.write(ctx, "store the plans of verification "+c.Verification.ID, func(tx *sql.Tx) error {
		v, err := hold(ctx, tx, c)
		if err != nil {
			return err
		}
		for _, e := range c.Signals {
			if err := savePlan(ctx, tx, c, e); err != nil {
				return err
			}
		}
		v.State = verifier.StateObserving
		return saveVerification(ctx, tx, v)
	})
}

// Record stores fresh observations, the findings and the cleared time of c's
// verification, and the messages, gives the lease back and makes the next look
// due at next.
func (s *Store) Record(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, next time.Time, messages []verifier.Delivery) error {
	id := c.Verification.ID
	return s.write(ctx, "store a look at verification "+id, func(tx *sql.Tx) error {
		v, err := hold(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := saveObservations(ctx, tx, id, fresh); err != nil {
			return err
		}
		v.Signals, v.ClearedAt, v.Attribution = c.Verification.Signals, c.Verification.ClearedAt, c.Verification.Attribution
		if err := saveVerification(ctx, tx, v); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE verifications SET lease_until = 0, next_check_at = $2 WHERE id = $1`, id, micros(next))
		if err != nil {
			return err
		}
		return s.insertDeliveries(ctx, tx, messages)
	})
}

// Decide stores fresh observations and whatever decide makes of the facts, in
// one transaction with the deliveries. An error of decide leaves everything as
// it was, and is returned.
func (s *Store) Decide(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, now time.Time, decide verifier.DecideFunc) error {
	id := c.Verification.ID
	return s.alone(ctx, "decide verification "+id, func(tx *sql.Tx) error {
		v, err := hold(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := saveObservations(ctx, tx, id, fresh); err != nil {
			return err
		}
		facts, err := loadFacts(ctx, tx, v, c.Policy, now)
		if err != nil {
			return err
		}
		// Only a revert is attributed. The others need not read everybody's
		// records while all who decide wait.
		if c.Verification.Attribution != nil {
			if facts.Overlapping, err = loadOverlapping(ctx, tx, v, c.Policy); err != nil {
				return err
			}
		}
		if facts.Release, err = loadRelease(ctx, tx, v, now); err != nil {
			return err
		}
		decided, err := decide(facts)
		if err != nil {
			return err
		}
		if decided.Verification.ID != id {
			return fmt.Errorf("the decision is about %q", decided.Verification.ID)
		}
		for _, changed := range append(decided.Members, decided.Verification) {
			if err := saveVerification(ctx, tx, changed); err != nil {
				return err
			}
		}
		return s.insertDeliveries(ctx, tx, decided.Deliveries)
	})
}
