package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river/riverdriver"
)

// alarm tells River of a queue that has a job to do. By itself River fetches
// from each queue again and again, which keeps a daemon busy that has nothing to
// do; here it is told as soon as a transaction of this process has queued
// something, and of all else, such as what waited or what another replica left,
// by watchQueues. The zero value is one that rings nothing yet.
type alarm struct {
	mu     sync.Mutex
	queued map[*sql.Tx][]string // by transactions under way
	rung   []string             // and not told yet, each once
	bell   chan struct{}        // something was rung; nil until anybody listens
}

// set rings for the queue when tx has ended.
func (a *alarm) set(tx *sql.Tx, queue string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.queued == nil {
		a.queued = map[*sql.Tx][]string{}
	}
	a.queued[tx] = append(a.queued[tx], queue)
}

// ended rings for what tx has queued. How it ended doesn't matter: a commit may
// have got through whose answer did not, and where nothing was queued River
// looks in vain, once.
func (a *alarm) ended(tx *sql.Tx) {
	a.mu.Lock()
	queues := a.queued[tx]
	delete(a.queued, tx)
	a.mu.Unlock()
	a.ring(queues...)
}

// ring tells whoever listens, now or later, of those queues.
func (a *alarm) ring(queues ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range queues {
		a.rung = appendOnce(a.rung, q)
	}
	if len(a.rung) == 0 {
		return
	}
	select {
	case a.heard() <- struct{}{}:
	default: // it rings already
	}
}

// heard returns the bell; the caller holds mu.
func (a *alarm) heard() chan struct{} {
	if a.bell == nil {
		a.bell = make(chan struct{}, 1)
	}
	return a.bell
}

// wait returns a queue that was rung for, or ctx's error.
func (a *alarm) wait(ctx context.Context) (queue string, err error) {
	for {
		a.mu.Lock()
		bell := a.heard()
		if n := len(a.rung); n > 0 {
			queue, a.rung = a.rung[n-1], a.rung[:n-1]
		}
		a.mu.Unlock()
		if queue != "" {
			return queue, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-bell:
		}
	}
}

func appendOnce(all []string, one string) []string {
	for _, s := range all {
		if s == one {
			return all
		}
	}
	return append(all, one)
}

// alarmed is a driver whose listener is the alarm: River's own for PostgreSQL
// takes a connection, which a pooler may not lend for that, and tells nothing of
// what was queued within 100 ms of something else; that for SQLite polls every
// 50 ms a table that each insert writes to.
type alarmed struct {
	riverdriver.Driver[*sql.Tx]
	alarm *alarm
}

// SupportsListener is true: the alarm is one.
func (alarmed) SupportsListener() bool { return true }

// SupportsListenNotify is false: nobody listens to the database.
func (alarmed) SupportsListenNotify() bool { return false }

// GetListener returns what waits for the alarm.
func (d alarmed) GetListener(*riverdriver.GetListenenerParams) riverdriver.Listener {
	return listening{d.alarm}
}

// listening is the alarm as River knows it: a connection that never breaks.
type listening struct{ alarm *alarm }

// insertTopic is by what River tells of a job that was queued.
const insertTopic = "river_insert"

func (listening) Close(context.Context) error            { return nil }
func (listening) Connect(context.Context) error          { return nil }
func (listening) Listen(context.Context, string) error   { return nil }
func (listening) Ping(context.Context) error             { return nil }
func (listening) Schema() string                         { return "" }
func (listening) SetAfterConnectExec(string)             {}
func (listening) Unlisten(context.Context, string) error { return nil }

func (l listening) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	queue, err := l.alarm.wait(ctx)
	if err != nil {
		return nil, err
	}
	return &riverdriver.Notification{Topic: insertTopic, Payload: fmt.Sprintf(`{"queue": %q}`, queue)}, nil
}

// watchQueues rings, until stop, for each queue in which a job is due: after a
// wait, or where the replica that queued it has no room for it or is gone.
func (s *Store) watchQueues(ctx context.Context, every time.Duration) (stop func()) {
	return repeatedly(ctx, every, func(ctx context.Context) {
		queues, err := s.dueQueues(ctx)
		if err != nil {
			queues = allQueues // River says what is wrong
		}
		s.alarm.ring(queues...)
	})
}

var allQueues = []string{rollbackQueue, messageQueue}

// dueQueues returns the queues in which a job is due, by one statement and no
// transaction: it is asked all the time. Where it would have to wait for others
// who read, River may as well look itself.
func (s *Store) dueQueues(ctx context.Context) (queues []string, err error) {
	if s.readersBusy() {
		return allQueues, nil
	}
	ctx, cancel := transaction{within: s.dialect.within}.bounded(ctx)
	defer cancel()
	rows, err := s.reader.QueryContext(ctx, s.dialect.dueQueues)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err below tells what went wrong
	for rows.Next() {
		var queue string
		if err := rows.Scan(&queue); err != nil {
			return nil, err
		}
		queues = append(queues, queue)
	}
	return queues, rows.Err()
}

// dueQueuesOf is the statement of dueQueues where now yields the database's time
// as jobs have it.
func dueQueuesOf(now string) string {
	return `SELECT name FROM (SELECT '` + rollbackQueue + `' AS name UNION ALL SELECT '` + messageQueue + `') AS queues
		WHERE EXISTS (SELECT 1 FROM river_job WHERE state = 'available' AND queue = name AND priority >= 0 AND scheduled_at <= ` + now + `)`
}
