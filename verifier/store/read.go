package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Verification returns a verification with its deliveries and their attempts,
// and what people say of the deploy and of its verdict.
func (s *Store) Verification(ctx context.Context, id string) (v verifier.Verification, err error) {
	err = s.read(ctx, "read verification "+id, func(tx *sql.Tx) error {
		if v, _, err = loadVerification(ctx, tx, id); err != nil {
			return err
		}
		if v.Deliveries, err = loadDeliveries(ctx, tx, id); err != nil {
			return err
		}
		if err := loadVotes(ctx, tx, &v); err != nil {
			return err
		}
		return loadFeedback(ctx, tx, &v)
	})
	return v, err
}

// maxPage is the most that one page of Verifications holds.
const maxPage = 500

// Verifications returns one page of the verifications that the filter selects,
// the newest first, with their deliveries, votes and feedback, and the cursor of the next page,
// "" after the last. Verifications opened meanwhile move nothing between
// pages.
func (s *Store) Verifications(ctx context.Context, f verifier.Filter) (list []verifier.Verification, next string, err error) {
	query, args, err := selectPage(f)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, "list verifications", func(tx *sql.Tx) error {
		list, err = queryAll(ctx, tx, scanVerification, query, args...)
		if err != nil {
			return err
		}
		if len(list) > f.Limit {
			list = list[:f.Limit]
			next = pageCursor(list[f.Limit-1])
		}
		for i := range list {
			if list[i].Deliveries, err = loadDeliveries(ctx, tx, list[i].ID); err != nil {
				return err
			}
			if err := loadVotes(ctx, tx, &list[i]); err != nil {
				return err
			}
			if err := loadFeedback(ctx, tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, next, err
}

// Recent returns the verifications that were opened last, at most limit, 1 to
// 500, the newest first, without their deliveries.
func (s *Store) Recent(ctx context.Context, limit int) (list []verifier.Verification, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	err = s.read(ctx, "list recent verifications", func(tx *sql.Tx) error {
		list, err = queryAll(ctx, tx, scanVerification, `SELECT record FROM verifications ORDER BY opened_at DESC, id DESC LIMIT $1`, limit)
		return err
	})
	return list, err
}

// Current returns what runs where, as far as it was verified: of each service
// and environment that the filter's names select, the verification of the
// deployment that became current last, without its deliveries and feedback. The newest come
// first, at most Limit of them, 1 to 500; more says that there are others.
func (s *Store) Current(ctx context.Context, f verifier.Filter) (list []verifier.Verification, more bool, err error) {
	if err := checkLimit(f.Limit); err != nil {
		return nil, false, err
	}
	var where selection
	where.equal("v.service", f.Service)
	where.equal("v.environment", f.Environment)
	query := `SELECT v.record FROM verifications v
		JOIN (SELECT service, environment, max(place) AS place FROM verifications GROUP BY service, environment) AS newest
			ON newest.service = v.service AND newest.environment = v.environment AND newest.place = v.place
		WHERE ` + where.where() + ` ORDER BY v.opened_at DESC, v.id DESC LIMIT ` + where.mark(f.Limit+1)
	err = s.read(ctx, "list what runs", func(tx *sql.Tx) error {
		list, err = queryAll(ctx, tx, scanVerification, query, where.args...)
		return err
	})
	if len(list) > f.Limit {
		list, more = list[:f.Limit], true
	}
	return list, more, err
}

func scanVerification(rows *sql.Rows) (v verifier.Verification, err error) {
	var record string
	if err := rows.Scan(&record); err != nil {
		return v, err
	}
	err = decode("verification", record, &v)
	return v, err
}

// selection collects the conditions of a query and its arguments.
type selection struct {
	conditions []string
	args       []any
}

// mark takes a value as an argument and returns its place in the query.
func (s *selection) mark(value any) string {
	s.args = append(s.args, value)
	return "$" + strconv.Itoa(len(s.args))
}

// equal asks for a column's value, where there is one to ask for.
func (s *selection) equal(column, value string) {
	if value != "" {
		s.conditions = append(s.conditions, column+" = "+s.mark(value))
	}
}

func (s *selection) where() string {
	return strings.Join(append([]string{"1 = 1"}, s.conditions...), " AND ")
}

const notOurCursor = "is none of ours: use the one from the page before, or none"

func wrongPage(field, message, value string) error {
	return verifier.InvalidFields("the page can't be listed", verifier.FieldError{Field: field, Message: message, Value: value})
}

func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return wrongPage("limit", "must be 1 to "+strconv.Itoa(maxPage), strconv.Itoa(limit))
	}
	return nil
}

// selectPage asks for one more than the page holds, to know whether another
// follows.
func selectPage(f verifier.Filter) (query string, args []any, err error) {
	if err := checkLimit(f.Limit); err != nil {
		return "", nil, err
	}
	var s selection
	s.equal("service", f.Service)
	s.equal("environment", f.Environment)
	s.equal("version", f.Version)
	s.equal("state", string(f.State))
	if f.Cleared {
		s.conditions = append(s.conditions, "state = 'observing' AND cleared_at > 0")
	}
	s.equal("decision", string(f.Verdict))
	if f.Cursor != "" {
		at, id, err := readCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		opened := s.mark(at)
		s.conditions = append(s.conditions, "(opened_at < "+opened+" OR opened_at = "+opened+" AND id < "+s.mark(id)+")")
	}
	return `SELECT record FROM verifications WHERE ` + s.where() + ` ORDER BY opened_at DESC, id DESC LIMIT ` + s.mark(f.Limit+1), s.args, nil
}

// pageCursor names the last verification of a page.
func pageCursor(last verifier.Verification) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", micros(last.OpenedAt), last.ID))
}

func readCursor(cursor string) (at int64, id string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d %s", &at, &id)
	}
	if err != nil {
		return 0, "", wrongPage("cursor", notOurCursor, cursor)
	}
	return at, id, nil
}

// Counts is the state in numbers, for metrics.
type Counts struct {
	Verifications map[verifier.State]int
	// OldestUnsent is when the oldest delivery that is neither delivered nor
	// discarded was created; zero when there is none.
	OldestUnsent time.Time
	// OldestDue is when the next look at a verification that is not final is or
	// was due; zero when there is none.
	OldestDue time.Time
	Unsent    int // deliveries that are neither delivered nor discarded
	Brake     verifier.Brake
	Freezing  verifier.Freezing
	Reverts   int   // rollbacks that were asked for within the last day
	Replicas  int   // daemons on this database that are alive
	Bytes     int64 // that the database takes
}

// Counts returns the state in numbers as of now.
func (s *Store) Counts(ctx context.Context, now time.Time) (c Counts, err error) {
	c.Verifications = make(map[verifier.State]int)
	err = s.read(ctx, "count verifications", func(tx *sql.Tx) error {
		_, err := queryAll(ctx, tx, func(rows *sql.Rows) (state verifier.State, err error) {
			var n int
			err = rows.Scan(&state, &n)
			c.Verifications[state] = n
			return state, err
		}, `SELECT state, count(*) FROM verifications GROUP BY state`)
		if err != nil {
			return err
		}
		var oldest, due int64
		err = tx.QueryRowContext(ctx, `SELECT count(*), coalesce(min(created_at), 0) FROM deliveries WHERE state IN ('pending', 'retryable')`).Scan(&c.Unsent, &oldest)
		if err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `SELECT coalesce(min(next_check_at), 0) FROM verifications WHERE state IN ('pending', 'observing')`).Scan(&due)
		if err != nil {
			return err
		}
		c.OldestUnsent, c.OldestDue = fromMicros(oldest), fromMicros(due)
		if c.Brake, err = loadBrake(ctx, tx); err != nil {
			return err
		}
		if c.Freezing, err = loadFreezing(ctx, tx, now); err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `SELECT count(DISTINCT revert_id) FROM verifications WHERE revert_id <> '' AND requested_at > $1`,
			micros(now.Add(-24*time.Hour))).Scan(&c.Reverts)
		if err != nil {
			return err
		}
		if c.Replicas, err = s.aliveReplicas(ctx, tx, now); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, s.dialect.size).Scan(&c.Bytes)
	})
	return c, err
}
