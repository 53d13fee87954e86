package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// micros is how a time is stored; 0 is the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func microsOf(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return micros(*t)
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// utc is what a time becomes by being stored.
func utc(t time.Time) time.Time { return fromMicros(micros(t)) }

func utcOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	stored := utc(*t)
	return &stored
}

func storedDeployment(d verifier.Deployment) verifier.Deployment {
	d.StartedAt, d.FinishedAt, d.ReceivedAt, d.ToldAt = utc(d.StartedAt), utc(d.FinishedAt), utc(d.ReceivedAt), utc(d.ToldAt)
	return d
}

// storedVerification is what a verification becomes by being stored: its times
// in UTC with microseconds, its deliveries, feedback and votes elsewhere.
func storedVerification(v verifier.Verification) verifier.Verification {
	v.Deployment = storedDeployment(v.Deployment)
	v.OpenedAt, v.ClosesAt, v.ClearedAt = utc(v.OpenedAt), utc(v.ClosesAt), utcOf(v.ClearedAt)
	if v.Verdict != nil {
		verdict := *v.Verdict
		verdict.DecidedAt = utc(verdict.DecidedAt)
		v.Verdict = &verdict
	}
	if v.Override != nil {
		override := *v.Override
		override.At = utc(override.At)
		v.Override = &override
	}
	v.Action.RequestedAt, v.Action.AutomaticAt, v.Action.ChangedAt = utcOf(v.Action.RequestedAt), utcOf(v.Action.AutomaticAt), utcOf(v.Action.ChangedAt)
	findings := make([]verifier.Finding, len(v.Signals))
	for i, f := range v.Signals {
		f.Onset = utcOf(f.Onset)
		findings[i] = f
	}
	v.Signals = findings
	v.Deliveries, v.Feedback, v.Votes = nil, nil, nil
	return v
}

func encode(what string, value any) (string, error) {
	var b strings.Builder // Marshal would copy it once more
	if err := json.NewEncoder(&b).Encode(value); err != nil {
		return "", fmt.Errorf("write %s: %w", what, err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func decode(what, text string, into any) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return &unreadableError{what, err}
	}
	return nil
}

// unreadableError is what is stored in no form that postflight writes: it will
// not be read by asking again.
type unreadableError struct {
	what string
	err  error
}

func (e *unreadableError) Error() string { return "read " + e.what + ": " + e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

// encodeSome and decodeSome keep what may be missing as "".
func encodeSome[T any](what string, value *T) (string, error) {
	if value == nil {
		return "", nil
	}
	return encode(what, value)
}

func decodeSome[T any](what, text string) (*T, error) {
	if text == "" {
		return nil, nil
	}
	value := new(T)
	return value, decode(what, text, value)
}

// queryAll collects what scan makes of each row.
func queryAll[T any](ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err below tells what went wrong
	var out []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, rows.Err()
}

// queryOne returns nil where there is no row.
func queryOne[T any](ctx context.Context, tx *sql.Tx, what, query string, args ...any) (*T, error) {
	var text string
	err := tx.QueryRowContext(ctx, query, args...).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out T
	if err := decode(what, text, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// affected turns a write that changed nothing into a Conflict.
func affected(result sql.Result, err error, conflict string, args ...any) error {
	return changed(result, err, verifier.Errorf(verifier.Conflict, conflict, args...))
}

// changed is how a statement ended: otherwise where it changed nothing.
func changed(result sql.Result, err, otherwise error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return otherwise
	}
	return nil
}

func scanText(rows *sql.Rows) (text string, err error) {
	err = rows.Scan(&text)
	return text, err
}
