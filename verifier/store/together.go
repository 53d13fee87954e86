package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/postflight/postflight/verifier"
)

// execer carries out a statement: a transaction at once, a round of many
// together with all others.
type execer interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
}

// scanner is a row of either.
type scanner interface{ Scan(into ...any) error }

// saving is a write whose statements rest on no answer of the database's, so that
// many can be sent together.
type saving interface {
	of() held
	save(ctx context.Context, to execer) error
}

// held is a running verification whose claim a write rests on.
type held struct {
	id    string
	epoch int64
}

// lost is the error of who has it no longer.
func (h held) lost() error {
	return verifier.Errorf(verifier.Conflict, "verification %s was claimed again or ended since epoch %d", h.id, h.epoch)
}

// lockHeld locks those of the verifications $1 that run and yields their epochs;
// lockChanged locks all of them. Both do so in the same order, so that nobody waits
// for somebody who waits for them.
const (
	lockHeld = `SELECT id, epoch FROM verifications
		WHERE id = ANY($1::text[]) AND state IN ('pending', 'observing') ORDER BY id FOR NO KEY UPDATE`
	lockChanged = `SELECT id FROM verifications WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE`
)

// wire is the connection of a transaction whose server takes many statements in
// one round trip; nil where there is no way to it.
type wire struct {
	conn *sql.Conn
	// marked: what is done together now has its savepoint. An earlier one of that
	// name may be there, of what has been done already.
	marked bool
}

// mark reads the answer to beginTogether.
func (w *wire) mark(answers pgx.BatchResults) error {
	_, err := answers.Exec()
	w.marked = err == nil
	return err
}

// send sends statements in one round trip and hands their answers to read.
func (w *wire) send(ctx context.Context, batch *pgx.Batch, read func(pgx.BatchResults) error) error {
	return w.conn.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("%T is no connection to PostgreSQL", driver)
		}
		answers := conn.Conn().SendBatch(ctx, batch)
		err := read(answers)
		return errors.Join(err, answers.Close())
	})
}

// overWire is once for a transaction that may send many statements in one round
// trip.
func (t transaction) overWire(ctx context.Context, fn func(*sql.Tx, *wire) error) (err error) {
	conn, err := t.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return t.begin(ctx, conn, func(tx *sql.Tx) error { return fn(tx, &wire{conn: conn}) })
}

// queue is an execer whose statements wait to be sent. Each is to change
// something, but for some.
type queue struct {
	pgx.Batch
	mayChangeNothing map[int]bool // by place
}

// ExecContext never fails: how the statement ended is known when all are sent.
func (q *queue) ExecContext(_ context.Context, text string, args ...any) (sql.Result, error) {
	q.Queue(text, args...)
	return oneRow{}, nil
}

// oneRow is the result of a statement that has not been sent yet.
type oneRow struct{}

func (oneRow) LastInsertId() (int64, error) { return 0, errors.ErrUnsupported }
func (oneRow) RowsAffected() (int64, error) { return 1, nil }

// errNothing is of a statement that changed no row.
var errNothing = errors.New("a statement changed nothing")

// add queues what was queued elsewhere.
func (q *queue) add(other *queue) {
	for i := range other.mayChangeNothing {
		q.allow(q.Len() + i)
	}
	q.QueuedQueries = append(q.QueuedQueries, other.QueuedQueries...)
}

// allow lets the statement at a place change nothing.
func (q *queue) allow(place int) {
	if q.mayChangeNothing == nil {
		q.mayChangeNothing = map[int]bool{}
	}
	q.mayChangeNothing[place] = true
}

// orNothing carries out a statement that may change nothing.
func orNothing(ctx context.Context, to execer, text string, args ...any) error {
	if q, ok := to.(*queue); ok {
		q.allow(q.Len())
	}
	_, err := to.ExecContext(ctx, text, args...)
	return err
}

// flush sends what was queued.
func (q *queue) flush(ctx context.Context, w *wire) error {
	if q.Len() == 0 {
		return nil
	}
	return w.send(ctx, &q.Batch, q.read)
}

// read reads how what was queued has ended.
func (q *queue) read(answers pgx.BatchResults) error {
	for i := range q.Len() {
		tag, err := answers.Exec()
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 && !q.mayChangeNothing[i] {
			return errNothing
		}
	}
	return nil
}

// together is false where it must have its turn by itself.
func (m *member) together() bool {
	return m.saves != nil || m.accepting != nil && m.accepting.n.Deployment.RevertID == "" // of that, more than historySQL must be asked for
}

// touches are the names of what a member rests on and writes.
func (m *member) touches() []string {
	if m.saves != nil {
		return []string{m.saves.of().id}
	}
	return m.accepting.touches()
}

// independent returns how many of the first members are of one kind and none of
// them rests on what another writes, so that they can be carried out side by side.
func independent(members []*member) int {
	taken := map[string]bool{}
	for i, m := range members {
		if !m.together() || (m.saves == nil) != (members[0].saves == nil) {
			return i
		}
		touched := m.touches()
		for _, what := range touched {
			if taken[what] {
				return i
			}
		}
		for _, what := range touched {
			taken[what] = true
		}
	}
	return len(members)
}

// beginTogether is what a group of members is undone to.
const (
	beginTogether = `SAVEPOINT together`
	undoTogether  = `ROLLBACK TO SAVEPOINT together`
)

// together carries out independent members in as many round trips as one of them
// takes. Where that fails, for whichever of them, it is undone and each half is
// carried out together, down to those that fail, which have their turns by
// themselves.
func (w *wire) together(ctx context.Context, tx *sql.Tx, members []*member) error {
	all := w.acceptAll
	if members[0].saves != nil {
		all = w.saveAll
		slices.SortFunc(members, func(a, b *member) int { return strings.Compare(a.saves.of().id, b.saves.of().id) }) // of halves as well
	}
	w.marked = false
	again, err := all(ctx, tx, members)
	if err != nil {
		if !w.marked { // a statement can't be prepared; what can be undone is what others were done with
			return err
		}
		if _, undo := tx.ExecContext(ctx, undoTogether); undo != nil {
			return err
		}
		if half := len(members) / 2; half > 0 {
			if err := w.together(ctx, tx, members[:half]); err != nil {
				return err
			}
			return w.together(ctx, tx, members[half:])
		}
		again = members
	}
	for _, m := range again {
		if err := m.behindSavepoint(ctx, tx, ""); err != nil {
			return err
		}
	}
	return nil
}

// saveAll sends all that the members save at once. Those whose claim is lost are
// known when the others have written: that is undone then, and sent again without
// them.
func (w *wire) saveAll(ctx context.Context, tx *sql.Tx, members []*member) ([]*member, error) {
	for {
		lost, err := w.saveHeld(ctx, members)
		if err != nil || len(lost) == 0 {
			return nil, err
		}
		for m := range lost {
			m.err = m.saves.of().lost()
		}
		if _, err := tx.ExecContext(ctx, undoTogether); err != nil {
			return nil, err
		}
		members = slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return lost[m] })
		if len(members) == 0 {
			return nil, nil
		}
	}
}

// saveHeld locks what the members hold, in the same round trip, and returns those
// that do so no longer.
func (w *wire) saveHeld(ctx context.Context, members []*member) (lost map[*member]bool, err error) {
	var writes queue
	var ids []string
	for _, m := range members {
		m.guarded(ctx, func(ctx context.Context) error {
			var own queue // of one that fails nothing is sent
			if err := m.saves.save(ctx, &own); err != nil {
				return err
			}
			writes.add(&own)
			ids = append(ids, m.saves.of().id)
			return nil
		})
	}
	var all pgx.Batch
	all.Queue(beginTogether)
	all.Queue(lockHeld, ids)
	all.QueuedQueries = append(all.QueuedQueries, writes.QueuedQueries...)
	err = w.send(ctx, &all, func(answers pgx.BatchResults) error {
		if err := w.mark(answers); err != nil {
			return err
		}
		rows, err := answers.Query()
		if err != nil {
			return err
		}
		there, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h held, err error) { return h, row.Scan(&h.id, &h.epoch) })
		if err != nil {
			return err
		}
		if lost = notAmong(there, members); len(lost) > 0 {
			return nil
		}
		return writes.read(answers)
	})
	return lost, err
}

// notAmong returns the members with nothing wrong but that they don't hold what
// they rest on.
func notAmong(there []held, members []*member) map[*member]bool {
	known, lost := make(map[held]bool, len(there)), map[*member]bool{}
	for _, h := range there {
		known[h] = true
	}
	for _, m := range members {
		if m.err == nil && !known[m.saves.of()] {
			lost[m] = true
		}
	}
	return lost
}

// acceptAll accepts notifications: all are asked for at once, decided on side by
// side, for the database waits meanwhile, and written at once. It returns the
// members that it did nothing for: what the same delivery meant before is still to
// be read.
func (w *wire) acceptAll(ctx context.Context, tx *sql.Tx, members []*member) (again []*member, err error) {
	known, err := w.known(ctx, members)
	if err != nil {
		return nil, err
	}
	parts := make([]meant, len(members))
	var deciding sync.WaitGroup
	for i, m := range members {
		deciding.Go(func() {
			m.guarded(ctx, func(ctx context.Context) (err error) {
				parts[i], err = m.accepting.meaning(ctx, known[i])
				return err
			})
		})
	}
	deciding.Wait()
	var locks, writes queue
	var changed []string
	var deliveries []verifier.Delivery
	for i, m := range members {
		switch {
		case m.err != nil: // nothing of it is sent
		case parts[i].delivered:
			again = append(again, m)
		default:
			changed = append(changed, m.accepting.changed()...)
			writes.add(&parts[i].writes)
			deliveries = append(deliveries, m.accepting.deliveries()...)
		}
	}
	if len(changed) > 0 {
		locks.Queue(lockChanged, changed)
	}
	locks.add(&writes)
	if err := locks.flush(ctx, w); err != nil {
		return nil, err
	}
	return again, members[0].accepting.store.queueDeliveries(ctx, tx, deliveries)
}

// meant is what is to be written for a notification, nothing where the same
// delivery was known.
type meant struct {
	writes    queue
	delivered bool
}

// meaning finds out what the notification means by what is known of its place.
func (w *accepting) meaning(ctx context.Context, known []knownRow) (out meant, err error) {
	h, delivered, err := w.store.historyOf(known)
	if err != nil || delivered {
		return meant{delivered: delivered}, err
	}
	if err := w.decide(h); err != nil {
		return out, err
	}
	return out, w.save(ctx, &out.writes)
}

// known asks for the history of each member, behind a savepoint.
func (w *wire) known(ctx context.Context, members []*member) ([][]knownRow, error) {
	var asks pgx.Batch
	asks.Queue(beginTogether)
	for _, m := range members {
		asks.Queue(historySQL, historyArgs(m.accepting.n)...)
	}
	known := make([][]knownRow, len(members))
	err := w.send(ctx, &asks, func(answers pgx.BatchResults) error {
		if err := w.mark(answers); err != nil {
			return err
		}
		for i := range members {
			rows, err := answers.Query()
			if err != nil {
				return err
			}
			if known[i], err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (knownRow, error) { return scanKnown(row) }); err != nil {
				return err
			}
		}
		return nil
	})
	return known, err
}
