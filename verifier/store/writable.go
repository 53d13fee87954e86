package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/postflight/postflight/verifier"
)

// tryEvery bounds how often Ping tries a write of its own.
const tryEvery = time.Second

// writable remembers that a write failed by the database's fault. Only a write
// made to find out ends that: a transaction that changed nothing goes through
// on a full disk as well.
type writable struct {
	mu      sync.Mutex
	failure error
	tried   time.Time
}

func (w *writable) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = err
}

// check returns nil while no write has failed, or once try goes through again.
func (w *writable) check(try func() error) error {
	w.mu.Lock()
	failure, due := w.failure, time.Since(w.tried) >= tryEvery
	if failure != nil && due {
		w.tried = time.Now()
	}
	w.mu.Unlock()
	if failure == nil || !due {
		return failure
	}
	err := try()
	w.failed(err)
	return err
}

// NoWritesError is that the store can be read, and takes no writes.
type NoWritesError struct {
	// Why is the database's own word for it, without its place.
	Why string
	err error
}

func (e *NoWritesError) Error() string {
	if e.err == nil {
		return "the store takes no writes: " + e.Why
	}
	return "the store takes no writes: " + e.err.Error()
}

// Unwrap returns how the write failed.
func (e *NoWritesError) Unwrap() error { return e.err }

func noWrites(err error) *NoWritesError {
	var ofSQLite *sqlite.Error
	var ofPostgres *pgconn.PgError
	why := "writes are not carried out in time"
	switch {
	case errors.As(err, &ofSQLite):
		why = ofSQLite.Error()
	case errors.As(err, &ofPostgres):
		why = ofPostgres.Message
	}
	return &NoWritesError{why, err}
}

// somePages takes more room than a page that is there already may have left.
const somePages = `INSERT INTO deciding (holds)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT i FROM n`

// tryWrite writes as much as a deploy may, and leaves nothing.
func (s *Store) tryWrite(ctx context.Context) error {
	return s.write(ctx, "try to write", func(tx *sql.Tx) error {
		for _, statement := range []string{somePages, `DELETE FROM deciding`} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// note hears of each write that the database did not carry out.
func (s *Store) note(kind verifier.Kind, err error) {
	s.writes.failed(err)
	if s.failed != nil {
		s.failed(kind)
	}
}

func (s *Store) noteRead(kind verifier.Kind, _ error) {
	if s.failed != nil {
		s.failed(kind)
	}
}
