package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/postflight/postflight/verifier"
)

// SaveTickets stores what was pushed to a feed, all of it or nothing, and
// returns how many tickets were new. One whose id is known already stays as it
// was first told.
func (s *Store) SaveTickets(ctx context.Context, feed string, list []verifier.Ticket, now time.Time) (stored int, err error) {
	err = s.write(ctx, "store the tickets of feed "+feed, func(tx *sql.Tx) error {
		stored = 0
		for _, t := range list {
			tags, err := encode("tags of ticket "+t.ID, t.Tags)
			if err != nil {
				return err
			}
			result, err := tx.ExecContext(ctx, `INSERT INTO tickets
				(feed, id, created_at, service, environment, reporter, tags, received_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (feed, id) DO NOTHING`,
				feed, t.ID, micros(t.CreatedAt), t.Service, t.Environment, t.Reporter, tags, micros(now))
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			stored += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return stored, nil
}

// Tickets returns the tickets of a feed created in [from, to), in order of
// creation, at most limit: the oldest.
func (s *Store) Tickets(ctx context.Context, feed string, from, to time.Time, limit int) (out []verifier.Ticket, err error) {
	err = s.read(ctx, "read the tickets of feed "+feed, func(tx *sql.Tx) (err error) {
		out, err = queryAll(ctx, tx, scanTicket, `SELECT id, created_at, service, environment, reporter, tags FROM tickets
			WHERE feed = $1 AND created_at >= $2 AND created_at < $3 ORDER BY created_at, id LIMIT $4`,
			feed, micros(from), micros(to), limit)
		return err
	})
	return out, err
}

func scanTicket(rows *sql.Rows) (t verifier.Ticket, err error) {
	var created int64
	var tags string
	if err := rows.Scan(&t.ID, &created, &t.Service, &t.Environment, &t.Reporter, &tags); err != nil {
		return t, err
	}
	t.CreatedAt = fromMicros(created)
	err = decode("tags of ticket "+t.ID, tags, &t.Tags)
	return t, err
}

// SaveTicketCounts keeps what a feed answered to a question about the past; an
// answer about the same span replaces the earlier one.
func (s *Store) SaveTicketCounts(ctx context.Context, feed, question string, counts []verifier.TicketCount) error {
	return s.write(ctx, "store the history of feed "+feed, func(tx *sql.Tx) error {
		for _, c := range counts {
			_, err := tx.ExecContext(ctx, `INSERT INTO ticket_counts (feed, question, span, at, count, read_at)
				VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (feed, question, span, at) DO UPDATE SET count = excluded.count, read_at = excluded.read_at`,
				feed, question, int64(c.Span), micros(c.At), c.Count, micros(c.ReadAt))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// TicketCounts returns what a feed answered to a question, for spans of that
// length that end in (since, until], in order of time.
func (s *Store) TicketCounts(ctx context.Context, feed, question string, span time.Duration, since, until time.Time) (out []verifier.TicketCount, err error) {
	err = s.read(ctx, "read the history of feed "+feed, func(tx *sql.Tx) (err error) {
		out, err = queryAll(ctx, tx, scanTicketCount, `SELECT at, span, count, read_at FROM ticket_counts
			WHERE feed = $1 AND question = $2 AND span = $3 AND at > $4 AND at <= $5 ORDER BY at`,
			feed, question, int64(span), micros(since), micros(until))
		return err
	})
	return out, err
}

func scanTicketCount(rows *sql.Rows) (c verifier.TicketCount, err error) {
	var at, read int64
	err = rows.Scan(&at, &c.Span, &c.Count, &read)
	c.At, c.ReadAt = fromMicros(at), fromMicros(read)
	return c, err
}
