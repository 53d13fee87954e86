package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/postflight/postflight/verifier"
)

// transaction is one unit of work on a database. Its function is called again
// where another transaction got in the way: it must start afresh each time.
type transaction struct {
	db      *sql.DB
	options *sql.TxOptions
	within  time.Duration // 0 for no bound
	first   string        // a statement to begin with, "" for none
	release string        // see dialect
	wired   bool          // see dialect
	failed  func(verifier.Kind, error)
	ended   func(*sql.Tx) // told of each that began, nil for nobody
}

func (t transaction) run(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	return t.tell(ctx, doing, insist(ctx, func() error { return t.once(ctx, fn) }))
}

// bounded returns ctx with the end that every transaction has.
func (t transaction) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.within > 0 {
		return context.WithTimeout(ctx, t.within)
	}
	return ctx, func() {}
}

// insist tries again where another transaction got in the way.
func insist(ctx context.Context, try func() error) (err error) {
	for again := range tries {
		if err = try(); err == nil || !lostRace(err) && !errors.Is(err, errSpoilt) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(time.Duration(again+1) * 10 * time.Millisecond)): // #nosec G404 -- to part those that met
		}
	}
	return err
}

// tell says of what was being done how it failed, if it did.
func (t transaction) tell(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if over := ctx.Err(); errors.Is(over, context.Canceled) && !errors.Is(err, over) && isOfConnection(err) { // which this has ended
		err = fmt.Errorf("%w: %w", over, err)
	}
	told := fail(doing, err)
	t.count(ctx, err, told)
	return told
}

// count tells of a fault of the database: not of what fn refused, and not where
// the caller went away.
func (t transaction) count(ctx context.Context, err, told error) {
	var known *verifier.Error
	if t.failed == nil || errors.As(err, &known) || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if kind := verifier.KindOf(told); kind == verifier.Unavailable || kind == verifier.Internal {
		t.failed(kind, told)
	}
}

// tries is how often a transaction is begun that others get in the way of.
const tries = 6

func (t transaction) once(ctx context.Context, fn func(*sql.Tx) error) error {
	return t.begin(ctx, t.db, fn)
}

// beginner is a database, or one connection to it.
type beginner interface {
	BeginTx(ctx context.Context, options *sql.TxOptions) (*sql.Tx, error)
}

func (t transaction) begin(ctx context.Context, db beginner, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, t.options)
	if err != nil {
		return err
	}
	if t.ended != nil {
		defer t.ended(tx)
	}
	defer tx.Rollback() //nolint:errcheck // where fn never returns; otherwise it has ended
	if t.first != "" {
		_, err = tx.ExecContext(ctx, t.first)
	}
	if err == nil {
		err = fn(tx)
	}
	if err != nil {
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
		return err
	}
	return tx.Commit()
}

// fail says what was being done when err came, with the kind that callers act
// on. An error that has a kind already is passed on as it is.
func fail(doing string, err error) error {
	var known *verifier.Error
	if errors.As(err, &known) {
		return err
	}
	if unstorable(err) {
		return verifier.Errorf(verifier.Invalid, "%s: %w", doing, err)
	}
	if mayPass(err) {
		return verifier.Errorf(verifier.Unavailable, "%s: %w", doing, err)
	}
	if strings.Contains(err.Error(), "no such index") { // somebody has dropped it
		return verifier.Errorf(verifier.Internal, "%s: %w: restart postflight, which creates it anew", doing, err)
	}
	return verifier.Errorf(verifier.Internal, "%s: %w", doing, err)
}

// isOfConnection reports whether a connection can't be used any more.
func isOfConnection(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone)
}

// mayPass reports whether the same call may go through later.
func mayPass(err error) bool {
	for _, known := range []error{errSpoilt, context.Canceled, context.DeadlineExceeded, sql.ErrConnDone, sql.ErrTxDone, driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return true
		}
	}
	var network net.Error
	var ofSQLite *sqlite.Error
	var ofPostgres *pgconn.PgError
	switch {
	case errors.As(err, &ofSQLite):
		return sqliteMayPass(ofSQLite)
	case errors.As(err, &ofPostgres):
		return postgresMayPass(ofPostgres)
	}
	return errors.As(err, &network) || pgconn.SafeToRetry(err)
}
