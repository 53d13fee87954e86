package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"modernc.org/sqlite"

	"github.com/postflight/postflight/verifier"
)

// transaction is one unit of work on a database.
type transaction struct {
	db      *sql.DB
	options *sql.TxOptions
	within  time.Duration // 0 for no bound
	first   string        // a statement to begin with, "" for none
}

func (t transaction) run(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	if t.within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.within)
		defer cancel()
	}
	if err := t.once(ctx, fn); err != nil {
		return fail(doing, err)
	}
	return nil
}

func (t transaction) once(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := t.db.BeginTx(ctx, t.options)
	if err != nil {
		return err
	}
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
	if mayPass(err) {
		return verifier.Errorf(verifier.Unavailable, "%s: %w", doing, err)
	}
	return verifier.Errorf(verifier.Internal, "%s: %w", doing, err)
}

// mayPass reports whether the same call may go through later.
func mayPass(err error) bool {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrConnDone, driver.ErrBadConn} {
		if errors.Is(err, known) {
			return true
		}
	}
	var ofSQLite *sqlite.Error
	return errors.As(err, &ofSQLite) && sqliteMayPass(ofSQLite)
}
