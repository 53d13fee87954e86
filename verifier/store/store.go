package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/riverqueue/river"

	"github.com/postflight/postflight/verifier"
)

// Store is the durable state. Its methods may be called at the same time.
type Store struct {
	dialect dialect
	writer  *sql.DB
	reader  *sql.DB
	jobs    *river.Client[*sql.Tx] // inserts only
	lock    *fileLock              // of the file, where there is one
	logger  *slog.Logger
	place   string // the file, or the database without its password
	// callersTime: leases count by the times that callers pass.
	callersTime bool
	failed      func(verifier.Kind) // nil tells nobody
	writes      writable
	deciders    group // see grouped
	writers     group // see inWritersGroup
	memory      memory
	accompanied atomic.Bool  // by other replicas, a moment ago
	ownLate     atomic.Int64 // how late, on average, those were that were claimed last and remembered: nanoseconds
	alarm       alarm
}

// Options are what Open needs beside the place.
type Options struct {
	Logger *slog.Logger // nil logs nothing
	// CallersTime lets leases count by the times that callers pass, on every
	// database: for tests in virtual time. PostgreSQL otherwise counts by its
	// own clock, which all replicas share.
	CallersTime bool
	// Failed is told of each transaction that the database did not carry out:
	// Unavailable where it may later, Internal where it never will. nil is
	// nobody; it must be quick.
	Failed func(kind verifier.Kind)
}

// Open opens the store at url, "sqlite:PATH", "sqlite:///ABSOLUTE/PATH" or
// "postgres://USER@HOST/DATABASE", creates what is missing and brings the
// schema up to this version. It refuses a file that another process holds,
// that is not SQLite or that is corrupt, and any store that a newer postflight
// wrote, and leaves such a store as it was. Of PostgreSQL, any number of
// replicas may have the same database open.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	return open(ctx, url, opts, nil)
}

// open is Open that says each step of a migration, to the log where say is nil.
func open(ctx context.Context, url string, opts Options, say func(string)) (*Store, error) {
	s := &Store{logger: opts.Logger, failed: opts.Failed}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if say == nil {
		say = func(step string) { s.logger.InfoContext(ctx, "store brought up to date", "step", step) }
	}
	begin := s.openSQLite
	if isPostgres(url) {
		begin = s.openPostgres
	}
	err := begin(ctx, url, say)
	s.callersTime = opts.CallersTime || !s.dialect.ownClock
	if err == nil {
		s.jobs, err = newInserter(s.queue(), s.logger)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openToRead opens a store that is there and brings nothing up to date, beside
// a daemon that uses it unless exclusive; of PostgreSQL that can't be had.
func openToRead(ctx context.Context, url string, exclusive bool) (*Store, error) {
	s := &Store{logger: slog.New(slog.DiscardHandler)}
	var err error
	if isPostgres(url) {
		err = s.openPostgresToRead(ctx, url)
	} else {
		err = s.openSQLiteToRead(ctx, url, exclusive)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// upToDate refuses a store whose schema this postflight would change first.
func (s *Store) upToDate(ctx context.Context) error {
	ours, rivers, err := s.dialect.schemaVersions(ctx, s.reader, s.place)
	if err != nil {
		return err
	}
	for _, v := range []schemaVersion{ours, rivers} {
		if v.found < v.known {
			return verifier.Errorf(verifier.Conflict, "store %q has %s version %d, this postflight needs %d: run `postflight storage migrate`, or start the daemon", s.place, v.name, v.found, v.known)
		}
	}
	return nil
}

// Close ends everything and gives the file, where there is one, free for
// another process. Stop the deliveries, and whoever else writes, first.
func (s *Store) Close() error {
	s.deciders.close()
	s.writers.close()
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

// Ping reports whether the store answers and, as far as writes tell, takes
// them: a NoWritesError where it doesn't.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.lock.there(); err != nil {
		return err
	}
	var n int
	if err := s.reader.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM audit`).Scan(&n); err != nil {
		return fail("ask the store", err)
	}
	if err := s.writes.check(func() error { return s.tryWrite(ctx) }); err != nil {
		return noWrites(err)
	}
	return nil
}

// write runs fn in a transaction that is on disk when write returns nil. It
// must not rest on rows that fn doesn't write; see alone.
func (s *Store) write(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	if err := s.lock.there(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return s.writing().run(ctx, doing, fn)
}

// alone is write for what others' rows decide, such as how many reverts there
// were: no other such transaction runs beside it, on any replica.
func (s *Store) alone(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	if err := s.lock.there(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return s.deciding().run(ctx, doing, fn)
}

// writing is the transaction of write.
func (s *Store) writing() transaction {
	return transaction{db: s.writer, options: s.dialect.writing, within: s.dialect.within, release: s.dialect.release, wired: s.dialect.wired, failed: s.note, ended: s.alarm.ended}
}

// deciding is the transaction of alone.
func (s *Store) deciding() transaction {
	t := s.writing()
	t.first = s.dialect.alone
	return t
}

// read runs fn on one unchanging view of the state.
func (s *Store) read(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	return transaction{db: s.reader, options: s.dialect.reading, within: s.dialect.within, failed: s.noteRead}.run(ctx, doing, fn)
}
