package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/postflight/postflight/verifier"
)

const auditColumns = `seq, at, decided_by, action, service, environment, subject, decision, until, reason, previous, hash`

// appendAudit stores a person's decision at the end of the chain, in the
// transaction of whatever else it changes, and returns it as it is stored. Its
// number and hashes are filled in here.
func appendAudit(ctx context.Context, tx *sql.Tx, e verifier.AuditEntry) (verifier.AuditEntry, error) {
	last, err := lastAudit(ctx, tx)
	if err != nil {
		return e, err
	}
	e = e.Chained(last)
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (`+auditColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		e.Seq, micros(e.At), e.By, e.Action, e.Service, e.Environment, e.Subject, e.Decision, micros(e.Until), e.Reason, e.Previous, e.Hash)
	return e, err
}

func lastAudit(ctx context.Context, tx *sql.Tx) (*verifier.AuditEntry, error) {
	var last verifier.AuditEntry
	err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&last.Seq, &last.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &last, err
}

// scanAudit refuses what reads as the entry that was written and is not it for
// those who ask by SQL: a time that is another number for the same moment, a
// text that a database without strict types keeps as bytes.
func scanAudit(rows *sql.Rows) (e verifier.AuditEntry, err error) {
	var at, until int64
	var by, action, service, environment, subject, decision, reason, previous, hash plainText
	err = rows.Scan(&e.Seq, &at, &by, &action, &service, &environment, &subject, &decision, &until, &reason, &previous, &hash)
	if err != nil {
		return e, fmt.Errorf("audit entry %d was changed: %w", e.Seq, err)
	}
	e.At, e.Until = fromMicros(at), fromMicros(until)
	if micros(e.At) != at || micros(e.Until) != until {
		return e, fmt.Errorf("audit entry %d was changed: its times are none that postflight writes", e.Seq)
	}
	e.By, e.Action, e.Service, e.Environment = string(by), verifier.AuditAction(action), string(service), string(environment)
	e.Subject, e.Decision, e.Reason = string(subject), string(decision), string(reason)
	e.Previous, e.Hash = string(previous), string(hash)
	return e, nil
}

// plainText is a column that holds text and nothing else.
type plainText string

// Scan takes text alone.
func (t *plainText) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("a column holds %T where text belongs", value)
	}
	*t = plainText(text)
	return nil
}

// Audit returns one page of the decisions of people that the filter selects,
// the newest first, and the cursor of the next page, "" after the last.
func (s *Store) Audit(ctx context.Context, f verifier.AuditFilter) (entries []verifier.AuditEntry, next string, err error) {
	query, args, err := selectAudit(f)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, "read the audit trail", func(tx *sql.Tx) error {
		entries, err = queryAll(ctx, tx, scanAudit, query, args...)
		return err
	})
	if len(entries) > f.Limit {
		entries = entries[:f.Limit]
		next = strconv.FormatInt(entries[f.Limit-1].Seq, 10)
	}
	return entries, next, err
}

func selectAudit(f verifier.AuditFilter) (query string, args []any, err error) {
	if err := checkLimit(f.Limit); err != nil {
		return "", nil, err
	}
	var s selection
	s.equal("service", f.Service)
	s.equal("environment", f.Environment)
	s.equal("action", string(f.Action))
	if f.Cursor != "" {
		before, err := strconv.ParseInt(f.Cursor, 10, 64)
		if err != nil {
			return "", nil, wrongPage("cursor", notOurCursor, f.Cursor)
		}
		s.conditions = append(s.conditions, "seq < "+s.mark(before))
	}
	return `SELECT ` + auditColumns + ` FROM audit WHERE ` + s.where() + ` ORDER BY seq DESC LIMIT ` + s.mark(f.Limit+1), s.args, nil
}

// ReadAudit returns all decisions of people in the store at url, the oldest
// first. It only reads, beside a daemon that uses it or without one.
func ReadAudit(ctx context.Context, url string) (entries []verifier.AuditEntry, err error) {
	s, err := openToRead(ctx, url, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = transaction{db: s.reader}.run(ctx, "read the audit trail", func(tx *sql.Tx) error {
		entries, err = queryAll(ctx, tx, scanAudit, wholeAuditSQL)
		return err
	})
	return entries, err
}

const wholeAuditSQL = `SELECT ` + auditColumns + ` FROM audit ORDER BY seq`
