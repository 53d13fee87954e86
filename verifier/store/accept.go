package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/failpoint"
)

// Accept stores what a notification means, all of it in one transaction that
// is on disk when Accept returns. again is true where it was known already, as
// the same delivery or the same deploy: the Acceptance then has the ids of the
// first time, in Deployment and Existing, and changed nothing. A delivery id
// used for another deploy is a Conflict.
func (s *Store) Accept(ctx context.Context, n verifier.Notification, policies []verifier.Policy, now time.Time) (a verifier.Acceptance, again bool, err error) {
	n.Deployment = storedDeployment(n.Deployment)
	w := &accepting{store: s, n: n, policies: policies, now: utc(now)}
	err = s.inGroup(ctx, &s.deciders, s.deciding(), turn{fn: w.run, accepting: w}, "store notification")
	if err != nil {
		return verifier.Acceptance{}, false, err
	}
	for _, id := range w.changed() {
		s.memory.forget(id)
	}
	return w.a, w.again, nil
}

// accepting is one notification on its way into the store, and what it means.
type accepting struct {
	store    *Store
	n        verifier.Notification
	policies []verifier.Policy
	now      time.Time

	a     verifier.Acceptance
	again bool
}

// run is all of it, by itself.
func (w *accepting) run(ctx context.Context, tx *sql.Tx) error {
	history, delivered, err := w.store.loadHistory(ctx, tx, w.n)
	if err != nil {
		return err
	}
	if w.again = delivered; delivered {
		w.a, err = knownDelivery(ctx, tx, w.n)
		return err
	}
	if err := w.decide(history); err != nil {
		return err
	}
	if err := w.save(ctx, tx); err != nil {
		return err
	}
	return w.store.queueDeliveries(ctx, tx, w.deliveries())
}

// decide finds out what the notification means; the same delivery was not known.
func (w *accepting) decide(h verifier.History) (err error) {
	w.a, err = verifier.Accept(w.n, h, w.policies, w.now)
	w.again = w.a.Again
	return err
}

// save writes all that it means, but for the jobs of its deliveries.
func (w *accepting) save(ctx context.Context, to execer) error {
	if !w.again {
		if err := saveAcceptance(ctx, to, w.a, w.now); err != nil {
			return err
		}
	}
	return saveDeliveryKey(ctx, to, w.n, w.a, w.now)
}

// deliveries are what is to be sent.
func (w *accepting) deliveries() []verifier.Delivery {
	if w.again {
		return nil
	}
	return w.a.Deliveries
}

// changed are the verifications that become something else.
func (w *accepting) changed() (ids []string) {
	for _, v := range []*verifier.Verification{w.a.Superseded, w.a.Confirmed} {
		if v != nil && !w.again {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

// touches are the names of what it reads and writes: no other notification
// writes what none of its names is.
func (w *accepting) touches() []string {
	names := []string{fmt.Sprintf("place %q %q", w.n.Deployment.Service, w.n.Deployment.Environment)}
	if w.n.DeliveryID != "" {
		names = append(names, fmt.Sprintf("delivery %q %q", w.n.Source, w.n.DeliveryID))
	}
	return names
}

// knownDelivery finds what the same delivery meant the first time.
func knownDelivery(ctx context.Context, tx *sql.Tx, n verifier.Notification) (a verifier.Acceptance, err error) {
	var first verifier.Deployment
	var deployment string
	err = tx.QueryRowContext(ctx, `SELECT service, environment, version, status, deployment, verification, ignored
		FROM intake_keys WHERE source = $1 AND delivery_id = $2`, n.Source, n.DeliveryID).
		Scan(&first.Service, &first.Environment, &first.Version, &first.Status, &deployment, &a.Existing, &a.Ignored)
	if err != nil {
		return a, err
	}
	d := n.Deployment
	if first.Service != d.Service || first.Environment != d.Environment || first.Version != d.Version || first.Status != d.Status {
		return a, verifier.Errorf(verifier.Conflict,
			"delivery id %q of source %q was used before for %s %s of %q in %q: a new event needs a new delivery id",
			n.DeliveryID, n.Source, first.Version, first.Status, first.Service, first.Environment)
	}
	found, err := queryOne[verifier.Deployment](ctx, tx, "deployment "+deployment, `SELECT record FROM deployments WHERE id = $1`, deployment)
	if err != nil {
		return a, err
	}
	if found == nil {
		return a, fmt.Errorf("delivery id %q names deployment %s, which is not stored", n.DeliveryID, deployment)
	}
	a.Deployment = *found
	return a, nil
}

// historySQL yields, in one statement, all that is known of the place of a
// notification: $1 is its source, $2 its deployment id, $3 to $5 service,
// environment and version, $6 how many of the gate's answers, $7 its delivery.
const historySQL = `WITH latest AS (SELECT version, place, record FROM deployments
		WHERE service = $3 AND environment = $4 AND place > 0 ORDER BY place DESC LIMIT 1)
	SELECT 'seen', record, coalesce((SELECT v.id FROM verifications v WHERE v.deployment = seen.id), ''), '', 0 FROM (SELECT id, record FROM deployments
		WHERE source = $1 AND deployment_id = $2 AND deployment_id <> '' AND service = $3 AND environment = $4 ORDER BY received_at DESC LIMIT 1) AS seen
	UNION ALL SELECT 'current', record, '', '', 0 FROM latest
	UNION ALL SELECT 'before', record, '', '', 0 FROM (SELECT d.record FROM deployments d, latest
		WHERE d.service = $3 AND d.environment = $4 AND d.version <> latest.version AND d.place > 0 AND d.place < latest.place ORDER BY d.place DESC LIMIT 1) AS earlier
	UNION ALL SELECT 'of source', record, '', '', 0 FROM (SELECT record FROM deployments
		WHERE service = $3 AND environment = $4 AND source = $1 AND place > 0 ORDER BY place DESC LIMIT 1) AS theirs
	UNION ALL SELECT 'running', record, id, policy, 0 FROM (SELECT id, record, policy FROM verifications
		WHERE service = $3 AND environment = $4 AND state IN ('pending', 'observing') ORDER BY place DESC LIMIT 1) AS running
	UNION ALL SELECT 'reverting', record, id, policy, 0 FROM (SELECT id, record, policy FROM verifications
		WHERE service = $3 AND environment = $4 AND ` + openActionSQL + ` ORDER BY place DESC LIMIT 1) AS reverting
	UNION ALL SELECT 'answer', record, '', '', last_at FROM (` + answersSQL + `) AS answers
	UNION ALL SELECT 'delivered', '', '', '', 0 FROM intake_keys WHERE source = $1 AND delivery_id = $7 AND $7 <> ''`

// loadHistory also tells whether the same delivery is known.
func (s *Store) loadHistory(ctx context.Context, tx *sql.Tx, n verifier.Notification) (h verifier.History, delivered bool, err error) {
	known, err := queryAll(ctx, tx, func(rows *sql.Rows) (knownRow, error) { return scanKnown(rows) }, historySQL, historyArgs(n)...)
	if err != nil {
		return h, false, err
	}
	if h, delivered, err = s.historyOf(known); err != nil {
		return h, false, err
	}
	h.AskedFor, err = askedFor(ctx, tx, n.Deployment)
	return h, delivered, err
}

func historyArgs(n verifier.Notification) []any {
	d := n.Deployment
	return []any{n.Source, d.DeploymentID, d.Service, d.Environment, d.Version, answersForDeploy, n.DeliveryID}
}

// historyOf is the history that historySQL tells of.
func (s *Store) historyOf(known []knownRow) (h verifier.History, delivered bool, err error) {
	for _, k := range known {
		delivered = delivered || k.what == "delivered"
		if err := k.into(&h, s.memory.policy); err != nil {
			return h, false, err
		}
	}
	slices.SortFunc(h.Answers, func(a, b verifier.GateVerdict) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ID, a.ID))
	})
	return h, delivered, nil
}

// knownRow is a row of historySQL.
type knownRow struct {
	what, record, id, policy string
	lastAt                   int64 // of an answer of the gate
}

func scanKnown(row scanner) (k knownRow, err error) {
	return k, row.Scan(&k.what, &k.record, &k.id, &k.policy, &k.lastAt)
}

// into puts the row into its place; policyOf decodes a policy, given whose it is.
func (k knownRow) into(h *verifier.History, policyOf func(id, text string) (verifier.Policy, error)) (err error) {
	running := func(v **verifier.Verification, p *verifier.Policy) error {
		*v = new(verifier.Verification)
		if err := decode("verification "+k.id, k.record, *v); err != nil {
			return err
		}
		*p, err = policyOf(k.id, k.policy)
		return err
	}
	switch k.what {
	case "seen":
		h.SeenVerification = k.id
		h.Seen, err = decodeSome[verifier.Deployment]("deployment", k.record)
	case "current":
		h.Current, err = decodeSome[verifier.Deployment]("deployment", k.record)
	case "before":
		h.Before, err = decodeSome[verifier.Deployment]("deployment", k.record)
	case "of source":
		h.OfSource, err = decodeSome[verifier.Deployment]("deployment", k.record)
	case "running":
		err = running(&h.Running, &h.RunningPolicy)
	case "reverting":
		err = running(&h.Reverting, &h.RevertingPolicy)
	case "answer":
		var v verifier.GateVerdict
		v, err = decodeVerdict(k.record, k.lastAt)
		h.Answers = append(h.Answers, v)
	}
	return err
}

// askedFor is the version that our request with d's revert id asked for in its
// place, "" where we issued no such id there.
func askedFor(ctx context.Context, tx *sql.Tx, d verifier.Deployment) (string, error) {
	if d.RevertID == "" {
		return "", nil
	}
	// The verification's own record knows its last request only, but of a release
	// each service's; the deliveries know all that one has made.
	v, err := queryOne[verifier.Verification](ctx, tx, "verification of revert "+d.RevertID, `SELECT record FROM verifications
		WHERE revert_id = $1 AND service = $2 AND environment = $3`, d.RevertID, d.Service, d.Environment)
	if err != nil {
		return "", err
	}
	if v != nil {
		return v.Action.TargetVersion, nil
	}
	request, err := queryOne[verifier.RevertRequest](ctx, tx, "revert request "+d.RevertID, `SELECT r.body FROM deliveries r JOIN verifications v ON v.id = r.verification
		WHERE r.key = $1 AND r.kind = 'rollback' AND v.service = $2 AND v.environment = $3`, d.RevertID, d.Service, d.Environment)
	if err != nil || request == nil {
		return "", err
	}
	return request.TargetVersion, nil
}

func saveAcceptance(ctx context.Context, tx execer, a verifier.Acceptance, now time.Time) error {
	if err := saveDeployment(ctx, tx, a.Deployment); err != nil {
		return err
	}
	if a.Confirmed != nil {
		if err := failpoint.Reach(ctx, failpoint.ConfirmBeforeStore); err != nil {
			return err
		}
	}
	for _, changed := range []*verifier.Verification{a.Superseded, a.Confirmed} {
		if changed == nil {
			continue
		}
		if err := saveVerification(ctx, tx, *changed); err != nil {
			return err
		}
	}
	if a.Superseded != nil {
		if err := failpoint.Reach(ctx, failpoint.SupersedeMid); err != nil {
			return err
		}
	}
	if a.Verification != nil {
		if err := insertVerification(ctx, tx, *a.Verification, a.Policy, firstLook(*a.Verification, a.Policy, now)); err != nil {
			return err
		}
	}
	return saveDeliveries(ctx, tx, a.Deliveries)
}

// firstLookWithin bounds how long after it opens a verification is first
// looked at.
const firstLookWithin = 15 * time.Second

// firstLook spreads the first looks, and so all later ones, by the
// verification's id, within one interval.
func firstLook(v verifier.Verification, p verifier.Policy, now time.Time) time.Time {
	due := v.Deployment.FinishedAt
	if due.Before(now) {
		due = now
	}
	spread := min(p.Interval.D(), firstLookWithin)
	if spread < time.Microsecond {
		return due
	}
	phase := int64(crc32.ChecksumIEEE([]byte(v.ID))) % spread.Microseconds()
	return due.Add(time.Duration(phase) * time.Microsecond)
}

func saveDeliveryKey(ctx context.Context, tx execer, n verifier.Notification, a verifier.Acceptance, now time.Time) error {
	if n.DeliveryID == "" {
		return nil
	}
	verification := a.Existing
	if a.Verification != nil {
		verification = a.Verification.ID
	}
	d := n.Deployment
	_, err := tx.ExecContext(ctx, `INSERT INTO intake_keys
		(source, delivery_id, service, environment, version, status, received_at, deployment, verification, ignored)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		n.Source, n.DeliveryID, d.Service, d.Environment, d.Version, d.Status, micros(now), a.Deployment.ID, verification, a.Ignored)
	return err
}
