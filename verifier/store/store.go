package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/riverqueue/river"

	"github.com/postflight/postflight/verifier"
)

// Store is the durable state. Its methods may be called at the same time.
type Store struct {
	writer *sql.DB // one connection: writes queue here, in the process, instead of failing as busy
	reader *sql.DB
	jobs   *river.Client[*sql.Tx] // inserts only
	lock   *fileLock
	logger *slog.Logger
}

// Options are what Open needs beside the place.
type Options struct {
	Logger *slog.Logger // nil logs nothing
}

// Open opens the store at url, "sqlite:PATH" or "sqlite:///ABSOLUTE/PATH",
// creates what is missing and brings the schema up to this version. It refuses
// a file that another process holds, that is not SQLite, that is corrupt or
// that a newer postflight wrote, and leaves such a file as it was.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	logger := opts.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	path, err := databasePath(url)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, logger: logger}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	if err := checkFile(ctx, path); err != nil {
		return err
	}
	var err error
	if s.writer, err = openWriter(ctx, path); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer, s.logger); err != nil {
		return fmt.Errorf("bring the schema of store %q up to date: %w", path, err)
	}
	if s.reader, err = openReader(ctx, path); err != nil {
		return err
	}
	s.jobs, err = newInserter(s.writer, s.logger)
	return err
}

// Close ends everything and gives the file free for another process. Stop the
// deliveries first.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	errs = append(errs, s.lock.release())
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

// write runs fn in a transaction that is on disk when write returns nil.
func (s *Store) write(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	return transact(ctx, s.writer, doing, fn)
}

// read runs fn on one unchanging view of the state.
func (s *Store) read(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	return transact(ctx, s.reader, doing, fn)
}

func transact(ctx context.Context, db *sql.DB, doing string, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fail(doing, err)
	}
	if err := fn(tx); err != nil {
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
		return fail(doing, err)
	}
	if err := tx.Commit(); err != nil {
		return fail(doing, err)
	}
	return nil
}

// fail says what was being done when err came, with the kind that callers act
// on. An error that has a kind already is passed on as it is.
func fail(doing string, err error) error {
	var known *verifier.Error
	if errors.As(err, &known) {
		return err
	}
	if mayPass(err) {
		return verifier.Errorf(verifier.Unavailable, "%s: %w", doing, err)
	}
	return verifier.Errorf(verifier.Internal, "%s: %w", doing, err)
}
