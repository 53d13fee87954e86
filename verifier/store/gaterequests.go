package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postflight/postflight/verifier"
)

// keepRequests is how long a request to the gate is known after it came: longer
// than any waits, so that one that is sent again is not answered twice.
const keepRequests = 60 * 24 * time.Hour

// RequestGate stores a pipeline that waits for the gate's answer, and returns
// it as it is stored, with true where its source had asked the same before: then
// nothing changes.
func (s *Store) RequestGate(ctx context.Context, r verifier.GateRequest) (stored verifier.GateRequest, known bool, err error) {
	err = s.alone(ctx, "store a request to the gate of source "+r.Source, func(tx *sql.Tx) error {
		stored, known = r, false
		stored.ReceivedAt, stored.State = utc(r.ReceivedAt), verifier.RequestWaiting
		earlier, err := queryOne[verifier.GateRequest](ctx, tx, "request to the gate",
			`SELECT record FROM gate_requests WHERE source = $1 AND request_key = $2`, r.Source, r.Key)
		if err != nil {
			return err
		}
		if earlier != nil {
			stored, known = *earlier, true
			return nil
		}
		record, err := encode("request "+r.ID, stored)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO gate_requests (id, source, request_key, service, environment, version, received_at, state, next_at, epoch, record)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)`,
			r.ID, r.Source, r.Key, r.Service, r.Environment, r.Version, micros(stored.ReceivedAt), stored.State, micros(stored.ReceivedAt), record)
		return err
	})
	return stored, known, err
}

// ClaimGateRequests returns up to limit requests to the gate that are due at now,
// those first that have been for longest. Nobody else is given them for lease,
// and who had them before can't write any more.
func (s *Store) ClaimGateRequests(ctx context.Context, now time.Time, lease time.Duration, limit int) (list []verifier.GateRequest, err error) {
	// Most times there is none, which needs no writer.
	due := false
	err = s.read(ctx, "look for requests to the gate", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM gate_requests WHERE state IN ('waiting', 'answering') AND next_at <= $1)`, micros(now)).Scan(&due)
	})
	if err != nil || !due {
		return nil, err
	}
	err = s.alone(ctx, "claim requests to the gate", func(tx *sql.Tx) error {
		list, err = queryAll(ctx, tx, func(rows *sql.Rows) (r verifier.GateRequest, err error) {
			var record string
			var epoch int64
			if err := rows.Scan(&record, &epoch); err != nil {
				return r, err
			}
			err = decode("request to the gate", record, &r)
			r.Epoch = epoch + 1
			return r, err
		}, `SELECT record, epoch FROM gate_requests WHERE state IN ('waiting', 'answering') AND next_at <= $1 ORDER BY next_at, id LIMIT $2`, micros(now), limit)
		if err != nil {
			return err
		}
		for _, r := range list {
			if _, err := tx.ExecContext(ctx, `UPDATE gate_requests SET epoch = $2, next_at = $3 WHERE id = $1`, r.ID, r.Epoch, micros(now.Add(lease))); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// SaveGateRequest stores what became of a claimed request, and when it is looked
// at next. A request that somebody else claimed meanwhile, or that has ended, is
// a Conflict.
func (s *Store) SaveGateRequest(ctx context.Context, r verifier.GateRequest, next time.Time) error {
	return s.write(ctx, "store request "+r.ID+" to the gate", func(tx *sql.Tx) error { return updateRequest(ctx, tx, r, next) })
}

func updateRequest(ctx context.Context, tx *sql.Tx, r verifier.GateRequest, next time.Time) error {
	r.ReceivedAt, r.AnsweredAt = utc(r.ReceivedAt), utc(r.AnsweredAt)
	record, err := encode("request "+r.ID, r)
	if err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `UPDATE gate_requests SET state = $3, next_at = $4, record = $5
			WHERE id = $1 AND epoch = $2 AND state IN ('waiting', 'answering')`, r.ID, r.Epoch, r.State, micros(next), record)
	return affected(result, err, "request %s to the gate was claimed again or has ended since epoch %d", r.ID, r.Epoch)
}

// ApproveGateRequest stores that a claimed request is approved, and when that is
// told next, unless another version was let go to the same place since then and
// no deploy of it was announced after that: then that request is returned, and
// nothing is stored. A request that is another's by now is a Conflict.
func (s *Store) ApproveGateRequest(ctx context.Context, r verifier.GateRequest, next, since time.Time) (ahead *verifier.GateRequest, err error) {
	err = s.alone(ctx, "approve request "+r.ID+" to the gate", func(tx *sql.Tx) error {
		if ahead, err = letGo(ctx, tx, r, since); err != nil || ahead != nil {
			return err
		}
		return updateRequest(ctx, tx, r, next)
	})
	return ahead, err
}

// letGo returns a request of another version to the place of r that was approved
// since then, and of whose deploy nothing was heard afterwards.
func letGo(ctx context.Context, tx *sql.Tx, r verifier.GateRequest, since time.Time) (*verifier.GateRequest, error) {
	// What has ended was due last when it ended, and what is being told is due later.
	others, err := queryAll(ctx, tx, func(rows *sql.Rows) (other verifier.GateRequest, err error) {
		var record string
		if err := rows.Scan(&record); err != nil {
			return other, err
		}
		return other, decode("request to the gate", record, &other)
	}, `SELECT record FROM gate_requests WHERE service = $1 AND environment = $2 AND version <> $3
		AND state IN ('answering', 'answered') AND next_at >= $4 ORDER BY id`, r.Service, r.Environment, r.Version, micros(since))
	if err != nil {
		return nil, err
	}
	for _, other := range others {
		if other.Answer != verifier.AnswerApproved || !other.AnsweredAt.After(since) {
			continue
		}
		announced := false
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deployments WHERE service = $1 AND environment = $2 AND version = $3 AND received_at >= $4)`,
			other.Service, other.Environment, other.Version, micros(other.AnsweredAt)).Scan(&announced)
		if err != nil {
			return nil, err
		}
		if !announced {
			return &other, nil
		}
	}
	return nil, nil
}

// GateRequest returns a request to the gate; an unknown one is NotFound.
func (s *Store) GateRequest(ctx context.Context, id string) (r verifier.GateRequest, err error) {
	err = s.read(ctx, "read request "+id+" to the gate", func(tx *sql.Tx) error {
		var record string
		err := tx.QueryRowContext(ctx, `SELECT record, epoch FROM gate_requests WHERE id = $1`, id).Scan(&record, &r.Epoch)
		if errors.Is(err, sql.ErrNoRows) {
			return verifier.Errorf(verifier.NotFound, "request %q to the gate is not known", id)
		}
		if err != nil {
			return err
		}
		return decode("request to the gate", record, &r)
	})
	return r, err
}

// wakeRequests lets the requests about a release be looked at now: something was
// said of it.
func wakeRequests(ctx context.Context, tx *sql.Tx, r verifier.Release) error {
	_, err := tx.ExecContext(ctx, `UPDATE gate_requests SET next_at = 0
		WHERE state = 'waiting' AND service = $1 AND version = $2 AND environment = $3`, r.Service, r.Version, r.Environment)
	return err
}

// pruneRequests forgets requests whatever their state: nobody waits as long.
func (s *Store) pruneRequests(ctx context.Context, before time.Time) (int, error) {
	return s.pruneAll(ctx, "forget old requests to the gate", before, `DELETE FROM gate_requests WHERE id IN (
		SELECT id FROM gate_requests WHERE received_at < $1 LIMIT $2)`)
}
