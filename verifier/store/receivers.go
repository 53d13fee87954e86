package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	// receiversWithin is how far back attempts are looked at: a message is tried
	// for no longer, so whatever still waits for a receiver is among them.
	receiversWithin = 24 * time.Hour
	// mostAttempts bounds how many of them are read, the newest: the page is
	// asked for every few seconds.
	mostAttempts = 20_000
)

// ReceiverVitals is how it goes with what one receiver, or rollback, is sent:
// what was tried within the last 24 hours, of 20,000 attempts at most.
type ReceiverVitals struct {
	Name      string
	Kind      verifier.DeliveryKind
	Delivered time.Time // the last attempt that it took; zero for none
	Failed    time.Time // the last that it didn't take, whether that is tried again or not
	Refused   time.Time // the last that it refused for good
	Refusals  int
	Skipped   int    // for want of something that their sources don't tell
	Retrying  int    // messages of which an attempt failed and another will follow
	Error     string // of Failed, without secrets
}

// loadReceivers returns those that anything was sent to, in order of name.
func loadReceivers(ctx context.Context, tx *sql.Tx, now time.Time) ([]ReceiverVitals, error) {
	out, err := queryAll(ctx, tx, func(rows *sql.Rows) (r ReceiverVitals, err error) {
		var delivered, failed, refused int64
		err = rows.Scan(&r.Name, &r.Kind, &delivered, &failed, &refused, &r.Refusals, &r.Skipped)
		r.Delivered, r.Failed, r.Refused = fromMicros(delivered), fromMicros(failed), fromMicros(refused)
		return r, err
	}, `SELECT d.receiver, d.kind,
			COALESCE(max(CASE WHEN a.result = 'delivered' THEN a.at END), 0),
			COALESCE(max(CASE WHEN a.result IN ('failed', 'retry') OR a.result = 'declined' AND d.kind = 'message' THEN a.at END), 0),
			COALESCE(max(CASE WHEN a.result = 'failed' OR a.result = 'declined' AND d.kind = 'message' THEN a.at END), 0),
			count(CASE WHEN a.result = 'failed' OR a.result = 'declined' AND d.kind = 'message' THEN 1 END),
			count(CASE WHEN a.result = 'skipped' THEN 1 END)
		FROM (SELECT delivery, at, result FROM attempts WHERE at > $1 ORDER BY at DESC LIMIT $2) a JOIN deliveries d ON d.id = a.delivery
		GROUP BY d.receiver, d.kind ORDER BY d.receiver, d.kind`, micros(now.Add(-receiversWithin)), mostAttempts)
	if err != nil {
		return nil, err
	}
	for i := range out {
		r := &out[i]
		if r.Failed.IsZero() {
			continue
		}
		err := tx.QueryRowContext(ctx, `SELECT a.error FROM attempts a JOIN deliveries d ON d.id = a.delivery
			WHERE a.at = $1 AND d.receiver = $2 AND d.kind = $3 AND a.error <> '' LIMIT 1`, micros(r.Failed), r.Name, r.Kind).Scan(&r.Error)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	_, err = queryAll(ctx, tx, func(rows *sql.Rows) (n int, err error) {
		var name string
		var kind verifier.DeliveryKind
		err = rows.Scan(&name, &kind, &n)
		for i := range out {
			if out[i].Name == name && out[i].Kind == kind {
				out[i].Retrying = n
			}
		}
		return n, err
	}, `SELECT receiver, kind, count(*) FROM deliveries WHERE state = 'retryable' GROUP BY receiver, kind`)
	return out, err
}
