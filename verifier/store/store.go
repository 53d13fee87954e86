package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/riverqueue/river"
)

// Store is the durable state. Its methods may be called at the same time.
type Store struct {
	dialect dialect
	writer  *sql.DB
	reader  *sql.DB
	jobs    *river.Client[*sql.Tx] // inserts only
	lock    *fileLock              // of the file, where there is one
	logger  *slog.Logger
	// callersTime: leases count by the times that callers pass.
	callersTime bool
}

// Options are what Open needs beside the place.
type Options struct {
	Logger *slog.Logger // nil logs nothing
	// CallersTime lets leases count by the times that callers pass, on every
	// database: for tests in virtual time. PostgreSQL otherwise counts by its
	// own clock, which all replicas share.
	CallersTime bool
}

// Open opens the store at url, "sqlite:PATH", "sqlite:///ABSOLUTE/PATH" or
// "postgres://USER@HOST/DATABASE", creates what is missing and brings the
// schema up to this version. It refuses a file that another process holds,
// that is not SQLite or that is corrupt, and any store that a newer postflight
// wrote, and leaves such a store as it was. Of PostgreSQL, any number of
// replicas may have the same database open.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	s := &Store{logger: opts.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	open := s.openSQLite
	if isPostgres(url) {
		open = s.openPostgres
	}
	err := open(ctx, url)
	s.callersTime = opts.CallersTime || !s.dialect.ownClock
	if err == nil {
		s.jobs, err = newInserter(s.dialect.queue(s.writer), s.logger)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends everything and gives the file, where there is one, free for
// another process. Stop the deliveries first.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Ping reports whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	if err := s.reader.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM audit`).Scan(&n); err != nil {
		return fail("ask the store", err)
	}
	return nil
}

// write runs fn in a transaction that is on disk when write returns nil. It
// must not rest on rows that fn doesn't write; see alone.
func (s *Store) write(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	return transaction{db: s.writer, options: s.dialect.writing, within: s.dialect.within}.run(ctx, doing, fn)
}

// alone is write for what others' rows decide, such as how many reverts there
// were: no other such transaction runs beside it, on any replica.
func (s *Store) alone(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	return transaction{db: s.writer, options: s.dialect.writing, within: s.dialect.within, first: s.dialect.alone}.run(ctx, doing, fn)
}

// read runs fn on one unchanging view of the state.
func (s *Store) read(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	return transaction{db: s.reader, options: s.dialect.reading, within: s.dialect.within}.run(ctx, doing, fn)
}
