package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// savePlan stores what a signal was prepared with, unless it has its calibration.
func savePlan(ctx context.Context, to execer, c verifier.Check, e verifier.SignalEvidence) error {
	what := "signal " + e.Signal
	signal, _ := c.Policy.Signal(e.Signal)
	plan, err := encode("plan of "+what, e.Plan)
	if err != nil {
		return err
	}
	before, err := encode("past of "+what, storedObservations(e.Before))
	if err != nil {
		return err
	}
	return orNothing(ctx, to, `INSERT INTO signals (verification, name, source, plan, calibration, before) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (verification, name) DO UPDATE SET source = excluded.source, plan = excluded.plan,
			calibration = excluded.calibration, before = excluded.before
			WHERE signals.calibration = ''`,
		c.Verification.ID, e.Signal, signal.Source(), plan, string(e.Calibration), before)
}

func storedObservations(list []verifier.Observation) []verifier.Observation {
	out := slices.Clone(list)
	for i := range out {
		out[i].At = utc(out[i].At)
	}
	return out
}

// observationsAtOnce is how many are stored by one statement.
const observationsAtOnce = 8

// observationKey is what there is one observation of.
type observationKey struct {
	signal string
	at     int64
}

// saveObservations replaces those of a step stored before: a source may know
// better later.
func saveObservations(ctx context.Context, tx execer, verification string, fresh map[string][]verifier.Observation) error {
	last := map[observationKey]verifier.Observation{} // one statement can't store two of a moment
	var keys []observationKey
	for signal, list := range fresh {
		for _, o := range list {
			key := observationKey{signal, micros(o.At)}
			if _, again := last[key]; !again {
				keys = append(keys, key)
			}
			last[key] = o
		}
	}
	for part := range slices.Chunk(keys, observationsAtOnce) {
		args := make([]any, 0, len(part)*observationWidth)
		for _, key := range part {
			o := last[key]
			timing, err := encodeSome("timing", o.Timing)
			if err != nil {
				return err
			}
			control, err := encodeSome("control group", o.Control)
			if err != nil {
				return err
			}
			args = append(args, verification, key.signal, key.at, int64(o.Span), o.Outcome, o.Bad, o.Total, o.Count, o.Value, storable(o.Message), timing, control, o.Voter)
		}
		if _, err := tx.ExecContext(ctx, insertObservations[len(part)], args...); err != nil {
			return err
		}
	}
	return nil
}

const observationWidth = 13

// insertObservations are the statements, by how many they store.
var insertObservations = func() (out [observationsAtOnce + 1]string) {
	var rows []string
	for n := 1; n <= observationsAtOnce; n++ {
		var row []string
		for i := range observationWidth {
			row = append(row, fmt.Sprintf("$%d", (n-1)*observationWidth+i+1))
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
		out[n] = `INSERT INTO observations
			(verification, signal, at, span, outcome, bad, total, count, value, message, timing, control, voter)
			VALUES ` + strings.Join(rows, ", ") + `
			ON CONFLICT (verification, signal, at) DO UPDATE SET span = excluded.span, outcome = excluded.outcome,
				bad = excluded.bad, total = excluded.total, count = excluded.count, value = excluded.value,
				message = excluded.message, timing = excluded.timing, control = excluded.control, voter = excluded.voter`
	}
	return out
}()

const observationColumns = `o.at, o.span, o.outcome, o.bad, o.total, o.count, o.value, o.message, o.timing, o.control, o.voter`

// scanObservation reads an observation, and what comes after it.
func scanObservation(rows *sql.Rows, rest ...any) (o verifier.Observation, err error) {
	var at int64
	var timing, control string
	if err := rows.Scan(append([]any{&at, &o.Span, &o.Outcome, &o.Bad, &o.Total, &o.Count, &o.Value, &o.Message, &timing, &control, &o.Voter}, rest...)...); err != nil {
		return o, err
	}
	o.At = fromMicros(at)
	if o.Timing, err = decodeSome[verifier.Timing]("timing", timing); err != nil {
		return o, err
	}
	o.Control, err = decodeSome[verifier.Control]("control group", control)
	return o, err
}

// storedEvidence is the evidence of one verification.
type storedEvidence struct {
	signals    []verifier.SignalEvidence
	unreadable error // of this one alone
}

// loadEvidence returns the evidence of the signals that were prepared, of those of
// the verifications in a list in JSON that have any.
func (d *dialect) loadEvidence(ctx context.Context, tx *sql.Tx, list string) (map[string]*storedEvidence, error) {
	out := map[string]*storedEvidence{}
	of := func(verification string) *storedEvidence {
		if out[verification] == nil {
			out[verification] = &storedEvidence{}
		}
		return out[verification]
	}
	prepared := map[[2]string]*verifier.SignalEvidence{}
	err := eachOf(ctx, tx, `SELECT verification, name, plan, calibration, before FROM signals WHERE verification `+d.among, list, func(rows *sql.Rows) error {
		verification, e, err := scanEvidence(rows)
		stored := of(verification)
		stored.signals = append(stored.signals, e)
		return stored.take(err)
	})
	if err != nil {
		return nil, err
	}
	for verification, stored := range out {
		for i := range stored.signals {
			prepared[[2]string{verification, stored.signals[i].Signal}] = &stored.signals[i]
		}
	}
	err = eachOf(ctx, tx, `SELECT `+observationColumns+`, o.verification, o.signal FROM observations o WHERE o.verification `+d.among, list, func(rows *sql.Rows) error {
		var verification, signal string
		o, err := scanObservation(rows, &verification, &signal)
		e := prepared[[2]string{verification, signal}]
		if e == nil {
			return sqlFault(err)
		}
		e.Observations = append(e.Observations, o)
		return of(verification).take(err)
	})
	if err != nil {
		return nil, err
	}
	for _, e := range prepared { // PostgreSQL reads them in the order in which they were written
		slices.SortFunc(e.Observations, func(a, b verifier.Observation) int { return a.At.Compare(b.At) })
	}
	return out, nil
}

// eachOf calls fn for each row of a query about a list.
func eachOf(ctx context.Context, tx *sql.Tx, query, list string, fn func(*sql.Rows) error) error {
	_, err := queryAll(ctx, tx, func(rows *sql.Rows) (struct{}, error) { return struct{}{}, fn(rows) }, query, list)
	return err
}

// take keeps that something can't be read, and returns any other error.
func (e *storedEvidence) take(err error) error {
	if fault := sqlFault(err); fault != nil {
		return fault
	}
	e.unreadable = cmp.Or(e.unreadable, err)
	return nil
}

// sqlFault is err but where it is only that something can't be read.
func sqlFault(err error) error {
	if unreadable := new(unreadableError); errors.As(err, &unreadable) {
		return nil
	}
	return err
}

// signalsOf returns the evidence in the policy's order; e may be nil for none.
func (e *storedEvidence) signalsOf(p verifier.Policy) ([]verifier.SignalEvidence, error) {
	if e == nil {
		return nil, nil
	}
	if e.unreadable != nil {
		return nil, e.unreadable
	}
	position := make(map[string]int, len(p.Signals))
	for i, s := range p.Signals {
		position[s.Name] = i
	}
	slices.SortFunc(e.signals, func(a, b verifier.SignalEvidence) int {
		return cmp.Or(position[a.Signal]-position[b.Signal], strings.Compare(a.Signal, b.Signal))
	})
	return e.signals, nil
}

func scanEvidence(rows *sql.Rows) (verification string, e verifier.SignalEvidence, err error) {
	var plan, calibration, before string
	if err := rows.Scan(&verification, &e.Signal, &plan, &calibration, &before); err != nil {
		return "", e, err
	}
	if calibration != "" {
		e.Calibration = json.RawMessage(calibration)
	}
	if err := decode("plan of signal "+e.Signal, plan, &e.Plan); err != nil {
		return verification, e, err
	}
	err = decode("past of signal "+e.Signal, before, &e.Before)
	return verification, e, err
}

// Evidence returns what a verification rests on.
func (s *Store) Evidence(ctx context.Context, id string) (e verifier.Evidence, err error) {
	err = s.read(ctx, "read the evidence of verification "+id, func(tx *sql.Tx) error {
		v, p, err := loadVerification(ctx, tx, id)
		if err != nil {
			return err
		}
		e = verifier.Evidence{VerificationID: id, Policy: p,
			StartedAt: v.Deployment.StartedAt, FinishedAt: v.Deployment.FinishedAt, ClosesAt: v.ClosesAt}
		if e.DroppedAt, err = droppedAt(ctx, tx, id); err != nil || e.DroppedAt != nil {
			return err
		}
		list, err := encode("ids", []string{id})
		if err != nil {
			return err
		}
		stored, err := s.dialect.loadEvidence(ctx, tx, list)
		if err != nil {
			return err
		}
		e.Signals, err = stored[id].signalsOf(p)
		return err
	})
	return e, err
}

// droppedAt is when the evidence of a verification was dropped, nil while it is
// all there.
func droppedAt(ctx context.Context, tx *sql.Tx, id string) (*time.Time, error) {
	var at int64
	err := tx.QueryRowContext(ctx, `SELECT evidence_dropped_at FROM verifications WHERE id = $1`, id).Scan(&at)
	if err != nil || at == 0 {
		return nil, err
	}
	dropped := fromMicros(at)
	if at < 0 { // it is being dropped
		dropped = utc(time.Now())
	}
	return &dropped, nil
}

// pastLimit bounds what PastObservations returns.
const pastLimit = 5000

// PastObservations returns what earlier verifications of the same service and
// environment measured of a probe of that name since then, up to the start of
// d, in order of time: the newest 5,000. What fell into a warm-up is left out:
// a cold start is nothing to compare a warm service with. Other sources have a history of their
// own, so that nothing is returned for them.
func (s *Store) PastObservations(ctx context.Context, d verifier.Deployment, signal verifier.Signal, since time.Time) ([]verifier.Observation, error) {
	if signal.Source() != verifier.FromProbe {
		return nil, nil
	}
	var out []verifier.Observation
	err := s.read(ctx, "read the past of signal "+signal.Name, func(tx *sql.Tx) (err error) {
		out, err = queryAll(ctx, tx, func(rows *sql.Rows) (verifier.Observation, error) { return scanObservation(rows) }, `SELECT `+observationColumns+` FROM verifications v
			JOIN signals s ON s.verification = v.id AND s.name = $3 AND s.source = $4
			JOIN observations o ON o.verification = v.id AND o.signal = s.name
			WHERE v.service = $1 AND v.environment = $2 AND v.deployment <> $5
				AND o.at > $6 AND o.at <= $7 AND o.at >= v.judged_from AND o.outcome = 'measured'
			ORDER BY o.at DESC LIMIT $8`,
			d.Service, d.Environment, signal.Name, signal.Source(), d.ID, micros(since), micros(d.StartedAt), pastLimit)
		return err
	})
	slices.Reverse(out)
	return out, err
}

// PassedBefore reports whether an earlier verification of the same service and
// environment saw a probe of that name succeed since then and up to the start of
// d: in its warm-up as well, and whatever its verdict was or people say of it,
// for a pass shows that the probe can pass.
func (s *Store) PassedBefore(ctx context.Context, d verifier.Deployment, signal verifier.Signal, since time.Time) (passed bool, err error) {
	if signal.Source() != verifier.FromProbe {
		return false, nil
	}
	err = s.read(ctx, "look for a pass of signal "+signal.Name, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM verifications v
			JOIN signals s ON s.verification = v.id AND s.name = $3 AND s.source = $4
			JOIN observations o ON o.verification = v.id AND o.signal = s.name
			WHERE v.service = $1 AND v.environment = $2 AND v.deployment <> $5
				AND o.at > $6 AND o.at <= $7 AND o.outcome = 'measured' AND o.total > o.bad)`,
			d.Service, d.Environment, signal.Name, signal.Source(), d.ID, micros(since), micros(d.StartedAt)).Scan(&passed)
	})
	return passed, err
}

// LeftOut returns the stretches of a service's past that say nothing about
// what is usual: from the start of each deploy that counts as reverted, or
// whose harm was held as not proven to be its own (the only verdict beside
// revert whose action is withheld), or whose verdict somebody says was wrong
// while no person decided otherwise, until the deploy after it had finished, and
// one window where none came after. A
// version that went on running, its rollback withheld or never seen, is left
// out for two windows at most: by then it is what is usual.
func (s *Store) LeftOut(ctx context.Context, service, environment string, since time.Time) ([]verifier.Span, error) {
	var out []verifier.Span
	err := s.read(ctx, "read the reverted deploys of "+service, func(tx *sql.Tx) error {
		reverted, err := queryAll(ctx, tx, scanReverted, `SELECT v.record, coalesce((
				SELECT min(d.finished_at) FROM deployments d
				WHERE d.service = v.service AND d.environment = v.environment AND d.place > v.place), 0),
				CASE WHEN v.effective = 'revert' OR v.effective = 'inconclusive' AND v.action_state = 'withheld'
					OR coalesce(m.decision, '') = 'bad' AND v.opened_at <= m.at THEN 0 ELSE 1 END
			FROM verifications v LEFT JOIN `+marksSQL+` m ON m.version = v.version
			WHERE v.service = $1 AND v.environment = $2
				AND (v.effective = 'revert' OR v.effective = 'inconclusive' AND v.action_state = 'withheld' OR coalesce(m.decision, '') = 'bad' AND v.opened_at <= m.at
					OR v.effective = v.decision AND v.id IN `+saidWrongSQL+`)
			ORDER BY v.place`, service, environment)
		if err != nil {
			return err
		}
		for _, span := range reverted {
			if span.To.After(since) {
				out = append(out, span)
			}
		}
		return nil
	})
	return out, err
}

func scanReverted(rows *sql.Rows) (span verifier.Span, err error) {
	var record string
	var next, feedback int64
	if err := rows.Scan(&record, &next, &feedback); err != nil {
		return span, err
	}
	var v verifier.Verification
	if err := decode("verification", record, &v); err != nil {
		return span, err
	}
	span = verifier.Span{From: v.Deployment.StartedAt, To: v.ClosesAt, Feedback: feedback != 0}
	if next != 0 {
		span.To = fromMicros(next)
		if latest := v.ClosesAt.Add(v.ClosesAt.Sub(v.Deployment.FinishedAt)); span.To.After(latest) && v.Action.State != verifier.ActionConfirmed {
			span.To = latest
		}
	}
	return span, nil
}
