package invariant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	_ "modernc.org/sqlite" // the driver of the daemon's store

	"github.com/postflight/postflight/verifier"
)

// State is what the database holds.
type State struct {
	Deployments   []verifier.Deployment
	Verifications []Verification
	Keys          []Key
	Audit         []verifier.AuditEntry
}

// Verification is a verification with its policy and evidence as stored. Its
// Deliveries are filled.
type Verification struct {
	verifier.Verification
	Policy   verifier.Policy
	Evidence verifier.Evidence
}

// Key is a delivery to us that is known.
type Key struct {
	Source, DeliveryID       string
	Deployment, Verification string // their ids; the second "" where none was opened
}

// ReadFile reads the state of an SQLite file. The daemon may be running.
func ReadFile(ctx context.Context, file string) (State, error) {
	u := url.URL{Scheme: "file", Path: file, RawQuery: url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)", "query_only(1)"}}.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return State{}, fmt.Errorf("open %q: %w", file, err)
	}
	s, err := Read(ctx, db)
	return s, errors.Join(err, db.Close())
}

// Read reads the state of a database, SQLite or PostgreSQL, at one moment.
func Read(ctx context.Context, db *sql.DB) (s State, err error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return s, fmt.Errorf("read the state: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	r := reader{ctx: ctx, tx: tx}
	s.Deployments = all(&r, scanRecord[verifier.Deployment], `SELECT record FROM deployments ORDER BY received_at, id`)
	s.Verifications = all(&r, scanVerification, `SELECT record, policy FROM verifications ORDER BY opened_at, id`)
	s.Keys = all(&r, func(rows *sql.Rows) (k Key, err error) {
		return k, rows.Scan(&k.Source, &k.DeliveryID, &k.Deployment, &k.Verification)
	}, `SELECT source, delivery_id, deployment, verification FROM intake_keys ORDER BY received_at`)
	s.Audit = all(&r, scanAudit, `SELECT seq, at, decided_by, action, service, environment, subject, decision, until, reason, previous, hash FROM audit ORDER BY seq`)
	for i := range s.Verifications {
		r.fill(&s.Verifications[i])
	}
	return s, r.err
}

// reader keeps the first error of several queries.
type reader struct {
	ctx context.Context
	tx  *sql.Tx
	err error
}

// all returns what scan makes of each row, nothing after an error.
func all[T any](r *reader, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T) {
	if r.err != nil {
		return nil
	}
	defer func() {
		if r.err != nil {
			r.err = fmt.Errorf("read the state: %s: %w", query, r.err)
		}
	}()
	rows, err := r.tx.QueryContext(r.ctx, query, args...)
	if err != nil {
		r.err = err
		return nil
	}
	defer rows.Close() //nolint:errcheck // Err below tells what went wrong
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			r.err = err
			return nil
		}
		out = append(out, item)
	}
	r.err = rows.Err()
	return out
}

// fill adds what belongs to a verification.
func (r *reader) fill(v *Verification) {
	v.Deliveries = all(r, scanDelivery, `SELECT id, verification, kind, receiver, event, state, reason, created_at, key, body
		FROM deliveries WHERE verification = $1 ORDER BY created_at, id`, v.ID)
	for i := range v.Deliveries {
		v.Deliveries[i].Attempts = all(r, scanAttempt, `SELECT at, duration, status, result, error
			FROM attempts WHERE delivery = $1 ORDER BY at`, v.Deliveries[i].ID)
	}
	signals := all(r, scanSignal, `SELECT name, plan, calibration, before FROM signals WHERE verification = $1`, v.ID)
	position := make(map[string]int, len(v.Policy.Signals))
	for i, s := range v.Policy.Signals {
		position[s.Name] = i
	}
	slices.SortFunc(signals, func(a, b verifier.SignalEvidence) int { return position[a.Signal] - position[b.Signal] })
	for i := range signals {
		signals[i].Observations = all(r, scanObservation, `SELECT at, span, outcome, bad, total, count, value, message, timing, control, voter
			FROM observations WHERE verification = $1 AND signal = $2 ORDER BY at`, v.ID, signals[i].Signal)
	}
	v.Evidence = verifier.Evidence{VerificationID: v.ID, Policy: v.Policy, Signals: signals,
		StartedAt: v.Deployment.StartedAt, FinishedAt: v.Deployment.FinishedAt, ClosesAt: v.ClosesAt}
}

func scanRecord[T any](rows *sql.Rows) (out T, err error) {
	var record string
	if err = rows.Scan(&record); err == nil {
		err = json.Unmarshal([]byte(record), &out)
	}
	return out, err
}

func scanVerification(rows *sql.Rows) (v Verification, err error) {
	var record, policy string
	if err := rows.Scan(&record, &policy); err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(record), &v.Verification); err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(policy), &v.Policy)
}

func scanDelivery(rows *sql.Rows) (d verifier.Delivery, err error) {
	var created int64
	err = rows.Scan(&d.ID, &d.VerificationID, &d.Kind, &d.Receiver, &d.Event, &d.State, &d.Reason, &created, &d.Key, &d.Body)
	d.CreatedAt = moment(created)
	return d, err
}

func scanAttempt(rows *sql.Rows) (a verifier.Attempt, err error) {
	var at int64
	err = rows.Scan(&at, &a.Duration, &a.Status, &a.Result, &a.Error)
	a.At = moment(at)
	return a, err
}

func scanSignal(rows *sql.Rows) (e verifier.SignalEvidence, err error) {
	var plan, calibration, before string
	if err := rows.Scan(&e.Signal, &plan, &calibration, &before); err != nil {
		return e, err
	}
	if calibration != "" {
		e.Calibration = json.RawMessage(calibration)
	}
	return e, errors.Join(json.Unmarshal([]byte(plan), &e.Plan), json.Unmarshal([]byte(before), &e.Before))
}

func scanObservation(rows *sql.Rows) (o verifier.Observation, err error) {
	var at int64
	var timing, control string
	if err := rows.Scan(&at, &o.Span, &o.Outcome, &o.Bad, &o.Total, &o.Count, &o.Value, &o.Message, &timing, &control, &o.Voter); err != nil {
		return o, err
	}
	o.At = moment(at)
	if timing != "" {
		err = json.Unmarshal([]byte(timing), &o.Timing)
	}
	if control != "" {
		err = errors.Join(err, json.Unmarshal([]byte(control), &o.Control))
	}
	return o, err
}

func scanAudit(rows *sql.Rows) (e verifier.AuditEntry, err error) {
	var at, until int64
	err = rows.Scan(&e.Seq, &at, &e.By, &e.Action, &e.Service, &e.Environment, &e.Subject, &e.Decision, &until, &e.Reason, &e.Previous, &e.Hash)
	e.At, e.Until = moment(at), moment(until)
	return e, err
}

// moment reads a stored time: microseconds since 1970, 0 for never.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
