package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postflight/postflight/verifier"
)

// keepAlerts is how long alerts are kept: as long as the longest history that a
// policy may ask for.
const keepAlerts = 90 * 24 * time.Hour

// alertsLimit bounds what AlertHistory returns.
const alertsLimit = 20_000

// NoteAlerts stores alerts that a source told at now, and that it told anything.
// The same again changes nothing but when it was told last; an alert that has
// ended stays ended, for notifications overtake one another, unless it is told
// as firing more than verifier.ClockTolerance after its end was told: then it
// had not ended.
func (s *Store) NoteAlerts(ctx context.Context, source string, alerts []verifier.Alert, now time.Time) error {
	return s.alone(ctx, "store alerts", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO alert_sources (source, first_at, last_at) VALUES ($1, $2, $2)
			ON CONFLICT (source) DO UPDATE SET last_at = excluded.last_at WHERE excluded.last_at > alert_sources.last_at`, source, micros(now))
		if err != nil {
			return err
		}
		for _, a := range alerts {
			if err := saveAlert(ctx, tx, source, a, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func saveAlert(ctx context.Context, tx *sql.Tx, source string, a verifier.Alert, now time.Time) error {
	a.Source, a.StartsAt, a.EndsAt, a.ToldAt = source, utc(a.StartsAt), utc(a.EndsAt), utc(now)
	record, err := encode("alert "+a.Fingerprint, a)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO alerts (source, fingerprint, starts_at, ends_at, told_at, service, environment, record)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (source, fingerprint, starts_at) DO UPDATE SET service = excluded.service, environment = excluded.environment, record = excluded.record,
			ends_at = CASE WHEN alerts.ends_at > 0 AND (excluded.ends_at > 0 OR excluded.told_at <= alerts.told_at + $9) THEN alerts.ends_at ELSE excluded.ends_at END,
			told_at = CASE WHEN alerts.ends_at > 0 AND (excluded.ends_at > 0 OR excluded.told_at <= alerts.told_at + $9) OR excluded.told_at <= alerts.told_at
				THEN alerts.told_at ELSE excluded.told_at END`,
		source, a.Fingerprint, micros(a.StartsAt), micros(a.EndsAt), micros(now), a.Service, a.Environment, record, verifier.ClockTolerance.Microseconds())
	return err
}

// AlertHistory returns what a source told of alerts about a service and
// environment that were firing at some time in [since, until], in order of
// their start, the newest 20,000; and when it told anything at all.
func (s *Store) AlertHistory(ctx context.Context, source, service, environment string, since, until time.Time) (h verifier.AlertHistory, err error) {
	err = s.read(ctx, "read the alerts of "+service, func(tx *sql.Tx) error {
		var first, last int64
		err := tx.QueryRowContext(ctx, `SELECT first_at, last_at FROM alert_sources WHERE source = $1`, source).Scan(&first, &last)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		h = verifier.AlertHistory{First: fromMicros(first), Last: fromMicros(last)}
		h.Alerts, err = queryAll(ctx, tx, scanAlert, `SELECT record, ends_at, told_at FROM (
				SELECT record, ends_at, told_at, starts_at, fingerprint FROM alerts
				WHERE source = $1 AND service = $2 AND environment = $3 AND starts_at <= $4
					AND (ends_at >= $5 OR ends_at = 0 AND told_at >= $6)
				ORDER BY starts_at DESC, fingerprint LIMIT $7) newest
			ORDER BY starts_at, fingerprint`,
			source, service, environment, micros(until), micros(since), micros(since.Add(-verifier.AlertForgottenAfter)), alertsLimit)
		return err
	})
	return h, err
}

func scanAlert(rows *sql.Rows) (a verifier.Alert, err error) {
	var record string
	var ends, told int64
	if err := rows.Scan(&record, &ends, &told); err != nil {
		return a, err
	}
	if err := decode("alert", record, &a); err != nil {
		return a, err
	}
	a.EndsAt, a.ToldAt = fromMicros(ends), fromMicros(told)
	return a, nil
}
