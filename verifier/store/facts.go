package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// loadFacts reads what the guards look at, as it is in this transaction.
func loadFacts(ctx context.Context, tx *sql.Tx, v verifier.Verification, p verifier.Policy, now time.Time) (verifier.Facts, error) {
	d := v.Deployment
	f := verifier.Facts{Now: utc(now), Mode: v.Mode, Rollback: p.Rollback, Deployment: d, Override: v.PersonSays(),
		ReleaseWindows: p.ReleaseWindows, Freezes: p.Freezes}
	current, err := currentDeployment(ctx, tx, d.Service, d.Environment)
	if err != nil {
		return f, err
	}
	if current != nil {
		f.Current = *current
	}
	if f.Running, err = runningDeploy(ctx, tx, v, now); err != nil {
		return f, err
	}
	if f.Unclear, err = unclearDeploy(ctx, tx, d); err != nil {
		return f, err
	}
	if f.Target, err = rollbackTarget(ctx, tx, d, ""); err != nil {
		return f, err
	}
	if f.Barrier, err = irreversible(ctx, tx, d, f.Target); err != nil {
		return f, err
	}
	if f.OpenRevert, err = openRevert(ctx, tx, v); err != nil {
		return f, err
	}
	if f.Freeze, f.UnfrozenAt, err = placeFreeze(ctx, tx, d, now); err != nil {
		return f, err
	}
	if f.BrakeReleasedAt, f.PastReverts, err = pastReverts(ctx, tx, d, f.UnfrozenAt); err != nil {
		return f, err
	}
	if f.BrakeHeld, err = brakeHeld(ctx, tx); err != nil {
		return f, err
	}
	request, err := lastRequest(ctx, tx, v)
	if err != nil || request == nil {
		return f, err
	}
	f.ExpiresAt = request.ExpiresAt
	f.TargetLost, err = lostTarget(ctx, tx, d, request.TargetVersion)
	return f, err
}

// runningDeploy is the newest deploy beside d that was announced as started
// and isn't known to have ended, whichever of them began first: a deploy that
// is still under way will be what runs. Without a deployment_id its end is a
// deployment of its own, of the same source and version; d's own start may
// come a little after its end. How long it has been
// running is counted by our clock. Once an attempt of v's rollback was made, a
// start of v's own version may be that rollback's pipeline, run from it.
func runningDeploy(ctx context.Context, tx *sql.Tx, v verifier.Verification, now time.Time) (*verifier.Deployment, error) {
	d, requester := v.Deployment, v.ID
	if v.Action.RequestedBy != "" {
		requester = v.Action.RequestedBy
	}
	return queryOne[verifier.Deployment](ctx, tx, "deployment", `SELECT r.record FROM deployments r
		WHERE r.service = $1 AND r.environment = $2 AND r.status = 'started' AND r.id <> $3
			AND r.received_at > $4
			AND NOT (r.source = $5 AND r.version = $6 AND r.received_at <= $7)
			AND NOT (r.version = $6 AND EXISTS (SELECT 1 FROM attempts t JOIN deliveries y ON y.id = t.delivery
				WHERE y.verification = $8 AND y.kind = 'rollback' AND y.key = $9 AND t.at <= r.received_at))
			AND NOT `+endedAnonymously+`
		ORDER BY r.received_at DESC LIMIT 1`,
		d.Service, d.Environment, d.ID, micros(now.Add(-verifier.RunningDeployExpires)), d.Source, d.Version, micros(d.ReceivedAt.Add(verifier.ClockTolerance)),
		requester, v.Action.RevertID)
}

// endedAnonymously holds for a started deploy r without an id whose end is a
// deployment of its own.
const endedAnonymously = `(r.deployment_id = '' AND EXISTS (SELECT 1 FROM deployments e
	WHERE e.service = r.service AND e.environment = r.environment AND e.source = r.source AND e.version = r.version
		AND e.status <> 'started' AND e.received_at > r.received_at))`

// unclearDeploy is the newest finished one of another version that never
// became current although it was announced after d.
func unclearDeploy(ctx context.Context, tx *sql.Tx, d verifier.Deployment) (*verifier.Deployment, error) {
	return queryOne[verifier.Deployment](ctx, tx, "deployment", `SELECT record FROM deployments
		WHERE service = $1 AND environment = $2 AND status = 'finished' AND place = 0 AND version <> $3 AND received_at > $4
		ORDER BY received_at DESC LIMIT 1`, d.Service, d.Environment, d.Version, micros(d.ReceivedAt))
}

// rollbackTarget is the newest finished deployment before d, of another
// version, that was kept, cleared or marked good, and whose version has neither
// counted as reverted since nor been marked bad. What a person says of a
// version ends what was seen of it before; after a bad mark it takes a new
// deploy of the version that is kept. A version that was announced within
// verifier.RunningDeployExpires of a request to roll it back doesn't count
// either: the rollback's own pipeline may have announced it while the target
// ran. Only that version is looked at where one is given.
func rollbackTarget(ctx context.Context, tx *sql.Tx, d verifier.Deployment, only string) (*verifier.Deployment, error) {
	return queryOne[verifier.Deployment](ctx, tx, "deployment", `SELECT t.record FROM deployments t
		LEFT JOIN verifications v ON v.deployment = t.id
		LEFT JOIN `+marksSQL+` m ON m.version = t.version
		WHERE t.service = $1 AND t.environment = $2 AND t.version <> $3 AND t.place > 0 AND t.place < $4
			AND (m.decision = 'good' OR v.effective = 'keep' OR v.cleared_at > 0 AND v.effective <> 'revert')
			AND NOT (coalesce(m.decision, '') = 'bad' AND t.received_at <= m.at)
			AND NOT EXISTS (SELECT 1 FROM verifications w
				WHERE w.service = t.service AND w.environment = t.environment AND w.version = t.version AND w.effective = 'revert'
					AND (w.place >= t.place OR w.requested_at > 0 AND t.received_at <= w.requested_at + $6)
					AND NOT (coalesce(m.decision, '') = 'good' AND w.effective_at <= m.at))
			AND $5 IN ('', t.version)
		ORDER BY t.place DESC LIMIT 1`,
		d.Service, d.Environment, d.Version, d.Place, only, verifier.RunningDeployExpires.Microseconds())
}

// irreversible is the newest irreversible deployment after the target, up to
// and including d. One that was announced late and never became current counts
// too: its migration has run all the same. Without a target only d itself
// counts.
func irreversible(ctx context.Context, tx *sql.Tx, d verifier.Deployment, target *verifier.Deployment) (*verifier.Deployment, error) {
	if target == nil {
		if d.Irreversible {
			return &d, nil
		}
		return nil, nil
	}
	return queryOne[verifier.Deployment](ctx, tx, "deployment", `SELECT record FROM deployments
		WHERE service = $1 AND environment = $2 AND status = 'finished' AND irreversible = 1
			AND (place > $3 AND place <= $4 OR place = 0 AND received_at > $5)
		ORDER BY place DESC, received_at DESC LIMIT 1`, d.Service, d.Environment,
		target.Place, d.Place, micros(target.ReceivedAt))
}

func openRevert(ctx context.Context, tx *sql.Tx, v verifier.Verification) (string, error) {
	var id string
	err := tx.QueryRowContext(ctx, `SELECT revert_id FROM verifications
		WHERE service = $1 AND environment = $2 AND id <> $3 AND `+openActionSQL+`
		ORDER BY requested_at DESC LIMIT 1`, v.Deployment.Service, v.Deployment.Environment, v.ID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// pastReverts returns when the brake was released last, zero for never, and of
// the automatic reverts since, and of those of d's place since it was unfrozen,
// the last ones, oldest first.
func pastReverts(ctx context.Context, tx *sql.Tx, d verifier.Deployment, unfrozen time.Time) (released time.Time, reverts []verifier.PastRevert, err error) {
	if released, err = brakeReleased(ctx, tx); err != nil {
		return released, nil, err
	}
	if reverts, err = brakeReverts(ctx, tx, released); err != nil {
		return released, nil, err
	}
	own, err := queryAll(ctx, tx, scanPastRevert, `SELECT revert_id, service, environment, automatic_at FROM verifications
		WHERE service = $1 AND environment = $2 AND automatic_at > 0 AND automatic_at > $3 ORDER BY place DESC LIMIT $4`,
		d.Service, d.Environment, micros(unfrozen), lastOfPlace)
	for _, r := range own {
		if !slices.Contains(reverts, r) {
			reverts = append(reverts, r)
		}
	}
	slices.SortStableFunc(reverts, func(a, b verifier.PastRevert) int { return a.At.Compare(b.At) })
	return released, reverts, err
}

// brakeReverts are the automatic reverts after a moment, over all services: the
// last ones.
func brakeReverts(ctx context.Context, tx *sql.Tx, after time.Time) ([]verifier.PastRevert, error) {
	return queryAll(ctx, tx, scanPastRevert, `SELECT revert_id, service, environment, automatic_at FROM verifications
		WHERE automatic_at > 0 AND automatic_at > $1 ORDER BY automatic_at DESC LIMIT $2`, micros(after), lastOfAll)
}

// brakeReleased is when the brake was released last, zero for never.
func brakeReleased(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var at int64
	err := tx.QueryRowContext(ctx, `SELECT coalesce(max(at), 0) FROM audit WHERE action = $1`, verifier.AuditBrakeRelease).Scan(&at)
	return fromMicros(at), err
}

// brakeHeld is who engaged the brake, nil where it was released since or nobody
// did. Entries are told apart by their numbers: a clock that was set back changes
// nothing.
func brakeHeld(ctx context.Context, tx *sql.Tx) (*verifier.BrakeHold, error) {
	last, err := queryAll(ctx, tx, func(rows *sql.Rows) (h verifier.BrakeHold, err error) {
		var at int64
		err = rows.Scan(&h.By, &at, &h.Reason)
		h.At = fromMicros(at)
		return h, err
	}, `SELECT decided_by, at, reason FROM audit WHERE action = $1
		AND seq > (SELECT coalesce(max(seq), 0) FROM audit WHERE action = $2) ORDER BY seq LIMIT 1`,
		verifier.AuditBrakeEngage, verifier.AuditBrakeRelease)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	return &last[0], nil
}

func scanPastRevert(rows *sql.Rows) (r verifier.PastRevert, err error) {
	var at int64
	err = rows.Scan(&r.RevertID, &r.Service, &r.Environment, &at)
	r.At = fromMicros(at)
	return r, err
}

// lastRequest reads a verification's rollback request, nil where there is none.
func lastRequest(ctx context.Context, tx *sql.Tx, v verifier.Verification) (*verifier.RevertRequest, error) {
	return queryOne[verifier.RevertRequest](ctx, tx, "revert request of verification "+v.ID, `SELECT body FROM deliveries
		WHERE verification = $1 AND kind = 'rollback' ORDER BY created_at DESC LIMIT 1`, v.ID)
}

// lostTarget returns the version that a request goes back to if it is none to
// go back to any more, "" while it is one.
func lostTarget(ctx context.Context, tx *sql.Tx, d verifier.Deployment, requested string) (string, error) {
	still, err := rollbackTarget(ctx, tx, d, requested)
	if err != nil || still != nil {
		return "", err
	}
	return requested, nil
}
