package crash

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
)

// What a replica that is gone holds is free after these: a look's lease, as the
// engine takes it, and a delivery's, with a minute for all of it.
const (
	lookLease      = 15 * time.Second
	earlierLease   = time.Minute     // of version 20ec3b2 and those before
	twoIntervals   = 2 * time.Second // of the policies here
	deliveriesGone = time.Minute
	stoppedLoad    = 10 * time.Second // under which the other is alone
	// heldUp is how long a transaction may wait for one of a stopped replica: the
	// database ends those that idle after 4 s.
	heldUp = 6 * time.Second
)

// stoppedSteps are the moments in which a replica is stopped: while it holds
// looks, with a verdict in its hands, with an attempt begun, sent and not yet
// told, and somewhere.
var stoppedSteps = []string{"lease.after_renew", "dispatch.after_claim", "sample.before_store", "judge.before_tx", "judge.after_commit",
	"outbox.after_claim", "outbox.after_send_before_mark", "notify.after_send_before_mark", "confirm.before_store", "supersede.mid", AtRandom}

// stopped makes a scenario of each of those moments.
func stopped() (out []Scenario) {
	for _, step := range stoppedSteps {
		where := step
		if step == AtRandom {
			where = "any moment"
		}
		out = append(out, Scenario{Name: "a replica stands still at " + where, Row: "F33", Store: PostgreSQL, replicas: 2,
			slow: heldUp, late: lookLease, do: func(ctx context.Context, u *universe) error { return u.standStill(ctx, step) }})
	}
	return out
}

// standStill stops one of two replicas for longer than its leases and lets it
// go on: what it had is the other's by then, and stays as that one left it.
func (u *universe) standStill(ctx context.Context, step string) error {
	if !sleep(ctx, before) {
		return ctx.Err()
	}
	db, err := u.open()
	if err != nil {
		return err
	}
	defer db.Close()                       //nolint:errcheck // only read
	defer u.daemon.Signal(syscall.SIGCONT) //nolint:errcheck // it goes on already, or has ended
	h, err := u.stopBusy(ctx, db, step)
	if err != nil {
		return err
	}
	if !sleep(ctx, stoppedLoad) {
		return ctx.Err()
	}
	// The rest is waiting: other worlds may have their turn.
	u.load.still.Store(true)
	u.rest()
	err = h.takenOver(ctx, db)
	u.resume()
	u.load.still.Store(false)
	if err != nil {
		return err
	}
	return u.goOn(ctx, db, h)
}

// stopBusy stops the daemon at a step while it holds what the step is about. What
// it held may be superseded or overridden meanwhile: then it is stopped again.
func (u *universe) stopBusy(ctx context.Context, db *sql.DB, step string) (h held, err error) {
	for range 5 {
		if h, err = u.stopHolding(ctx, db, step); err != nil {
			return h, err
		}
		if err = h.enough(step); err == nil {
			return h, nil
		}
		if err := u.daemon.Signal(syscall.SIGCONT); err != nil {
			return h, err
		}
		u.front.add(u.daemon.Address())
	}
	return h, err
}

// stopHolding stops the daemon at a step, takes it out of service, and looks at
// what it had.
func (u *universe) stopHolding(ctx context.Context, db *sql.DB, step string) (held, error) {
	if err := u.stopAt(ctx, step); err != nil {
		return held{}, err
	}
	u.front.remove(u.daemon.Address())
	var at int64 // by the database's clock, as leases are
	if err := db.QueryRowContext(ctx, `SELECT (extract(epoch FROM now()) * 1000000)::bigint`).Scan(&at); err != nil {
		return held{}, err
	}
	if !sleep(ctx, 3*time.Second) { // the other gives back what it had then
		return held{}, ctx.Err()
	}
	return heldSince(ctx, db, at)
}

// stopAt stops the daemon at a step, or at any moment, and waits until it is.
func (u *universe) stopAt(ctx context.Context, step string) error {
	if step == AtRandom {
		if !sleep(ctx, time.Duration(u.chance.Int64N(int64(atRandomMost)))) {
			return ctx.Err()
		}
		if err := u.daemon.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
	} else if err := u.set(ctx, step, "stop@1"); err != nil {
		return err
	}
	for begun := time.Now(); time.Since(begun) < reachWithin; {
		if step != AtRandom {
			u.load.goDo(u.leadTo(step))
		}
		for range 20 {
			if still, err := u.daemon.StandsStill(); err != nil || still {
				return err
			}
			if !sleep(ctx, provokeEvery/20) {
				return ctx.Err()
			}
		}
	}
	return fmt.Errorf("it did not stop at %s within %s", step, reachWithin)
}

// held is what a replica had when it was stopped.
type held struct {
	at         int64            // when that was
	looks      map[string]int64 // epoch by verification
	until      int64            // when the last of the leases ends
	jobs       []int64
	deliveries []string
}

func heldSince(ctx context.Context, db *sql.DB, at int64) (h held, err error) {
	h.at, h.looks = at, map[string]int64{}
	rows, err := db.QueryContext(ctx, `SELECT id, epoch, lease_until FROM verifications
		WHERE state IN ('pending', 'observing') AND lease_until > $1 AND lease_until <= $1::bigint + $2`, at, lookLease.Microseconds())
	if err != nil {
		return h, err
	}
	defer rows.Close() //nolint:errcheck // Err tells what went wrong
	for rows.Next() {
		var id string
		var epoch, until int64
		if err := rows.Scan(&id, &epoch, &until); err != nil {
			return h, err
		}
		h.looks[id], h.until = epoch, max(h.until, until)
	}
	if err := rows.Err(); err != nil {
		return h, err
	}
	jobs, err := db.QueryContext(ctx, `SELECT id, args ->> 'id' FROM river_job WHERE kind = 'delivery' AND state = 'running'
		AND attempted_at <= to_timestamp($1::bigint / 1000000.0)`, at)
	if err != nil {
		return h, err
	}
	defer jobs.Close() //nolint:errcheck // Err tells what went wrong
	for jobs.Next() {
		var job int64
		var delivery string
		if err := jobs.Scan(&job, &delivery); err != nil {
			return h, err
		}
		h.jobs, h.deliveries = append(h.jobs, job), append(h.deliveries, delivery)
	}
	return h, jobs.Err()
}

// enough tells whether there is something to take over.
func (h held) enough(step string) error {
	switch {
	case step == AtRandom || step == "judge.after_commit" || step == "confirm.before_store" || step == "supersede.mid":
		return nil // it may have had nothing, or a transaction only
	case strings.HasPrefix(step, "outbox.") || strings.HasPrefix(step, "notify."):
		if len(h.jobs) == 0 {
			return errors.New("the replica that was stopped had no delivery, so nothing was shown")
		}
	case len(h.looks) == 0:
		return errors.New("the replica that was stopped had no look, so nothing was shown")
	}
	return nil
}

// takenOver waits until the other replica has everything: the looks within two
// intervals of their leases' end, and the deliveries within a minute.
func (h held) takenOver(ctx context.Context, db *sql.DB) error {
	looksBy := time.UnixMicro(max(h.until, h.at+lookLease.Microseconds())).Add(twoIntervals + time.Second)
	jobsBy := time.UnixMicro(h.at).Add(deliveriesGone + time.Second)
	var looks, jobs int
	for {
		if !sleep(ctx, 250*time.Millisecond) {
			return ctx.Err()
		}
		looks, jobs = 0, 0
		for id, epoch := range h.looks {
			var had int
			if err := db.QueryRowContext(ctx, `SELECT count(*) FROM verifications WHERE id = $1 AND epoch = $2 AND state IN ('pending', 'observing')`, id, epoch).Scan(&had); err != nil {
				return err
			}
			looks += had
		}
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM river_job WHERE state = 'running' AND id = ANY($1)`, h.jobs).Scan(&jobs); err != nil {
			return err
		}
		now := time.Now()
		switch {
		case looks > 0 && now.After(looksBy):
			return fmt.Errorf("%d of %d looks were not taken over within two intervals of their leases' end", looks, len(h.looks))
		case jobs > 0 && now.After(jobsBy):
			return fmt.Errorf("%d of %d deliveries were not taken over within a minute", jobs, len(h.jobs))
		case looks+jobs == 0 && now.After(looksBy) && now.After(jobsBy):
			return nil // it slept past all of its leases, whatever it had
		}
	}
}

// goOn wakes the replica up, and compares what it had with what the other made
// of it: nothing that had ended changes any more. Then it works again.
func (u *universe) goOn(ctx context.Context, db *sql.DB, h held) error {
	was, err := u.left(ctx, db, h)
	if err != nil {
		return err
	}
	if len(was) == 0 && len(h.looks)+len(h.deliveries) > 0 {
		return errors.New("nothing that the replica had has come to an end meanwhile")
	}
	own, err := u.daemon.decided()
	if err != nil {
		return err
	}
	if err := u.daemon.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	if !sleep(ctx, 4*time.Second) {
		return ctx.Err()
	}
	is, err := u.left(ctx, db, h)
	if err != nil {
		return err
	}
	for id, line := range was {
		if is[id] != line {
			return fmt.Errorf("%s was %s when the replica woke up, and is %s since", id, line, is[id])
		}
	}
	since, err := u.daemon.decided()
	if err != nil {
		return err
	}
	for _, id := range since[len(own):] {
		if _, had := h.looks[id]; had {
			return fmt.Errorf("%s was decided by the replica that had stood still", id)
		}
	}
	u.front.add(u.daemon.Address())
	if err := u.stageOf(ctx, u.replicas...); err != nil {
		return fmt.Errorf("after it woke up: %w", err)
	}
	return u.sample()
}

// left is what was stored and sent of what the stopped replica had and has come
// to its end, in a line each.
func (u *universe) left(ctx context.Context, db *sql.DB, h held) (map[string]string, error) {
	out := map[string]string{}
	for id := range h.looks {
		var line sql.NullString
		err := db.QueryRowContext(ctx, `SELECT v.state || ' at epoch ' || v.epoch || ' with '
			|| (SELECT count(*) FROM observations o WHERE o.verification = v.id) || ' observations and the verdict '
			|| coalesce(v.record::jsonb ->> 'verdict', 'none') FROM verifications v WHERE v.id = $1 AND v.state NOT IN ('pending', 'observing')`, id).Scan(&line)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if line.Valid {
			out[id] = line.String
		}
	}
	calls := slices.Concat(u.pipeline.Arrivals(pipeline.RollbackPath), u.pipeline.Arrivals(pipeline.VerdictPath))
	for _, id := range h.deliveries {
		var line sql.NullString
		err := db.QueryRowContext(ctx, `SELECT d.state || ' after the attempts ' || coalesce(
			(SELECT string_agg(a.at || ' ' || a.result || ' ' || a.status, ', ' ORDER BY a.at) FROM attempts a WHERE a.delivery = d.id), 'none')
			FROM deliveries d WHERE d.id = $1 AND d.state IN ('delivered', 'discarded')`, id).Scan(&line)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if !line.Valid {
			continue
		}
		came := 0
		for _, c := range calls {
			if c.Header.Get("webhook-id") == id {
				came++
			}
		}
		out[id] = fmt.Sprintf("%s, which came %d times", line.String, came)
	}
	return out, nil
}
