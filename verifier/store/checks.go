package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
)

// Claim leases up to limit verifications that are due at now (on PostgreSQL by
// the database's clock, unless Options say otherwise), for lease, raising each
// one's epoch, and returns them in order of when they were due, with everything
// that a look needs. A verification whose lease runs out is due again. What
// another replica remembers of its last look is left to that one until it is half
// a second late, or four times as late as what this one remembers, 10 s at most:
// to read it takes longer than the look. What this one could not measure then, and
// a probe that failed here, is the others' for half a second.
func (s *Store) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]verifier.Check, error) {
	if s.nothingDue(ctx, now) {
		return nil, nil
	}
	var claims []claim
	claiming := transaction{db: s.writer, options: s.dialect.claiming, within: s.dialect.within, failed: s.note}
	err := claiming.run(ctx, "claim due verifications", func(tx *sql.Tx) (err error) {
		claims, err = queryAll(ctx, tx, scanClaim, s.dialect.claim, s.claimArgs(now, lease, limit)...)
		return err
	})
	if err != nil || len(claims) == 0 {
		return nil, err
	}
	if err := failpoint.Reach(ctx, failpoint.LeaseAfterRenew); err != nil {
		return nil, err
	}
	slices.SortFunc(claims, func(a, b claim) int { return a.due.Compare(b.due) })
	return s.claimed(ctx, now, claims)
}

// How late a look may be before it is taken from the replica that remembers the
// last one: that one is slow, or gone. Where this one is late as well, both have
// too much to do, and reading what the other remembers would make it more: then
// it is so many times as late as its own looks are.
const (
	leftToOthers     = 500 * time.Millisecond
	leftAtMost       = 10 * time.Second
	leftTimesOwnLate = 4
)

// ownDueWithin is how far ahead of this clock the database's may be for own looks
// to be found in time; beyond that they are late by leftToOthers.
const ownDueWithin = 2 * time.Second

func (s *Store) claimArgs(now time.Time, lease time.Duration, limit int) []any {
	args := []any{s.clock(now), lease.Microseconds(), limit}
	if !s.dialect.shared {
		return args
	}
	if !s.accompanied.Load() {
		return append(args, 0, []string{}, []int64{}, []string{}, []int64{})
	}
	left := min(max(leftToOthers, leftTimesOwnLate*time.Duration(s.ownLate.Load())), leftAtMost)
	own, doubtful := s.memory.due(now.Add(ownDueWithin))
	return append(args, left.Microseconds(), own.ids, own.due, doubtful.ids, doubtful.due)
}

// nothingDue reports whether there is nothing to claim, without a transaction
// and beside whoever writes: mostly there isn't. Where that can't be told, to
// claim says why.
func (s *Store) nothingDue(ctx context.Context, now time.Time) bool {
	if s.readersBusy() {
		return false
	}
	ctx, cancel := transaction{within: s.dialect.within}.bounded(ctx)
	defer cancel()
	var due bool
	err := s.reader.QueryRowContext(ctx, s.dialect.isDue, s.clock(now)).Scan(&due)
	if err != nil || due {
		return false
	}
	s.ownLate.Store(0)
	return true
}

// readersBusy reports whether whoever reads now would have to wait for others to
// have read, however long that takes.
func (s *Store) readersBusy() bool {
	stats := s.reader.Stats()
	return stats.InUse >= stats.MaxOpenConnections
}

// claim is a verification that was leased.
type claim struct {
	id    string
	epoch int64
	due   time.Time
	late  time.Duration // when it was claimed, by the clock that leases count by
}

func scanClaim(rows *sql.Rows) (c claim, err error) {
	var due, late int64
	err = rows.Scan(&c.id, &c.epoch, &due, &late)
	c.due, c.late = fromMicros(due), time.Duration(late)*time.Microsecond
	return c, err
}

// claimed returns what a look at each of them needs, as far as it is remembered
// from memory. One that was claimed again meanwhile is left out, and so is one
// that can't be read, which holds up no other.
func (s *Store) claimed(ctx context.Context, now time.Time, claims []claim) ([]verifier.Check, error) {
	checks := make([]verifier.Check, len(claims))
	var unknown []int
	var late time.Duration // what is remembered, together
	for i, c := range claims {
		var ok bool
		if checks[i], ok = s.memory.take(c.id, c.epoch, c.due); ok {
			// By whichever clock is further behind: where it is this one, what is
			// remembered isn't found in time, whoever else has much to do.
			late += max(0, min(c.late, now.Sub(c.due)))
		} else {
			unknown = append(unknown, i)
		}
		checks[i].DueAt = c.due
	}
	s.ownLate.Store(int64(late) / int64(max(1, len(claims)-len(unknown))))
	if len(unknown) > 0 {
		// Nobody else may write the evidence of a claimed verification, so that
		// it is read without holding up the writer.
		err := s.read(ctx, "read claimed verifications", func(tx *sql.Tx) error {
			for places := range slices.Chunk(unknown, readAtOnce) {
				if err := s.loadChecks(ctx, tx, claims, places, checks); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(checks, func(c verifier.Check) bool { return c.Epoch == 0 }), nil
}

// lament tells of a verification that nobody can look at.
func (s *Store) lament(ctx context.Context, id string, err error) {
	s.logger.ErrorContext(ctx, "a running verification can't be read, and nobody looks at it: `postflight storage check` says what is wrong; restore the store from a backup", "verification", id, "err", err)
	s.noteRead(verifier.Internal, err)
}

// storedCheck is a verification as a claim reads it.
type storedCheck struct {
	id, record, policy string
	epoch              int64
}

func scanStoredCheck(rows *sql.Rows) (c storedCheck, err error) {
	return c, rows.Scan(&c.id, &c.record, &c.policy, &c.epoch)
}

// readAtOnce is how many claims one statement reads: there may be ten thousand
// observations of each.
const readAtOnce = 32

// loadChecks reads those of the claims at the places into the checks at the same
// places, many of them at once; the Epoch is left 0 where one was claimed again
// since, or can't be read.
func (s *Store) loadChecks(ctx context.Context, tx *sql.Tx, claims []claim, places []int, checks []verifier.Check) error {
	ids := make([]string, len(places))
	for i, place := range places {
		ids[i] = claims[place].id
	}
	list, err := encode("ids", ids)
	if err != nil {
		return err
	}
	stored, err := queryAll(ctx, tx, scanStoredCheck, `SELECT id, record, policy, epoch FROM verifications WHERE id `+s.dialect.among, list)
	if err != nil {
		return err
	}
	found := make(map[string]storedCheck, len(stored))
	for _, c := range stored {
		found[c.id] = c
	}
	evidence, err := s.dialect.loadEvidence(ctx, tx, list)
	if err != nil {
		return err
	}
	for _, place := range places {
		of := claims[place]
		if found[of.id].epoch != of.epoch {
			continue
		}
		c, err := s.checkOf(found[of.id], evidence[of.id])
		if err != nil {
			s.lament(ctx, of.id, err)
			continue
		}
		c.DueAt = of.due
		checks[place] = c
	}
	return nil
}

// checkOf is what a look needs, made out of what is stored of it; e is nil where
// nothing is prepared.
func (s *Store) checkOf(stored storedCheck, e *storedEvidence) (c verifier.Check, err error) {
	if err := decode("verification "+stored.id, stored.record, &c.Verification); err != nil {
		return c, err
	}
	if c.Policy, err = s.memory.policy(stored.id, stored.policy); err != nil {
		return c, err
	}
	c.Epoch = stored.epoch
	c.Signals, err = e.signalsOf(c.Policy)
	return c, err
}

// clock is the time by which leases count: nothing for the database's own.
func (s *Store) clock(now time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: micros(now), Valid: s.callersTime}
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
	if err := changed(result, err, held{id, c.Epoch}.lost()); err != nil {
		return verifier.Verification{}, err
	}
	v, _, err := loadVerification(ctx, tx, id)
	return v, err
}

// Prepare stores the plans, calibrations and baselines in c.Signals and moves
// a pending verification to observing. It may be called again while observing;
// what has its calibration stays as it is. The lease stays.
func (s *Store) Prepare(ctx context.Context, c verifier.Check) error {
	c.Verification.State = verifier.StateObserving
	return s.save(ctx, preparation{c}, "store the plans of verification "+c.Verification.ID)
}

// save is inWritersGroup of what can be sent together with others'.
func (s *Store) save(ctx context.Context, what saving, doing string) error {
	fn := func(ctx context.Context, tx *sql.Tx) error { return what.save(ctx, tx) }
	return s.inWritersGroup(ctx, turn{fn: fn, saves: what, patient: true}, doing)
}

// preparation is a check whose plans are to be stored.
type preparation struct{ verifier.Check }

func (p preparation) of() held { return held{p.Verification.ID, p.Epoch} }

func (p preparation) save(ctx context.Context, to execer) error {
	// The epoch's holder alone writes the record of a running verification.
	v := storedVerification(p.Verification)
	record, err := encode("verification "+v.ID, v)
	if err != nil {
		return err
	}
	result, err := to.ExecContext(ctx, `UPDATE verifications SET state = $3, record = $4
		WHERE id = $1 AND epoch = $2 AND state IN ('pending', 'observing')`, v.ID, p.Epoch, v.State, record)
	if err := changed(result, err, p.of().lost()); err != nil {
		return err
	}
	for _, e := range p.Signals {
		if err := savePlan(ctx, to, p.Check, e); err != nil {
			return err
		}
	}
	return nil
}

// Record stores fresh observations, the findings and the cleared time of c's
// verification, whose state is what Prepare made it, and the messages, gives the
// lease back and makes the next look due at next.
func (s *Store) Record(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, next time.Time, messages []verifier.Delivery) error {
	v := storedVerification(c.Verification)
	record, err := encode("verification "+v.ID, v)
	if err != nil {
		return err
	}
	left, known := rememberedOf(c, fresh, v, utc(next))
	l := &looked{id: v.ID, epoch: c.Epoch, cleared: v.ClearedAt, state: v.State, record: record, fresh: fresh, next: next, lease: givenToAll}
	if known && !left.doubtful && s.memory.hasRoom(left) {
		l.lease = givenBack
	}
	what := turn{fn: func(ctx context.Context, tx *sql.Tx) error {
		if err := l.save(ctx, tx); err != nil {
			return err
		}
		return s.insertDeliveries(ctx, tx, messages)
	}, patient: true}
	if len(messages) == 0 {
		what.saves = l
	}
	if err = s.inWritersGroup(ctx, what, "store a look at verification "+v.ID); err == nil && known {
		s.memory.put(left)
	}
	return err
}

// looked is what a look that decided nothing leaves to be stored.
type looked struct {
	id      string
	epoch   int64
	cleared *time.Time
	state   verifier.State
	record  string
	fresh   map[string][]verifier.Observation
	next    time.Time
	lease   string // givenBack or givenToAll
}

func (l *looked) of() held { return held{l.id, l.epoch} }

func (l *looked) save(ctx context.Context, to execer) error {
	// The epoch's holder alone writes the record of a running verification.
	result, err := to.ExecContext(ctx, `UPDATE verifications SET cleared_at = $3, state = $4, record = $5, lease_until = `+l.lease+`, next_check_at = $6
		WHERE id = $1 AND epoch = $2 AND state IN ('pending', 'observing')`,
		l.id, l.epoch, microsOf(l.cleared), l.state, l.record, micros(l.next))
	if err := changed(result, err, l.of().lost()); err != nil {
		return err
	}
	return saveObservations(ctx, to, l.id, l.fresh)
}

// Decide stores fresh observations and whatever decide makes of the facts, in
// one transaction with the deliveries. An error of decide leaves everything as
// it was, and is returned.
func (s *Store) Decide(ctx context.Context, c verifier.Check, fresh map[string][]verifier.Observation, now time.Time, decide verifier.DecideFunc) error {
	id := c.Verification.ID
	s.memory.forget(id)
	return s.grouped(ctx, "decide verification "+id, func(ctx context.Context, tx *sql.Tx) error {
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
