package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Rate records what a person says of a verdict, and reports whether that is
// new: who says the same again adds nothing. See verifier.Verification.Rate
// for its errors.
func (s *Store) Rate(ctx context.Context, id string, f verifier.Feedback) (fresh bool, err error) {
	err = s.alone(ctx, "rate the verdict of verification "+id, func(tx *sql.Tx) error {
		v, _, err := loadVerification(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := loadFeedback(ctx, tx, &v); err != nil {
			return err
		}
		entry, err := v.Rate(f)
		if fresh = err == nil && entry != nil; !fresh {
			return err
		}
		_, err = appendAudit(ctx, tx, *entry)
		return err
	})
	return fresh && err == nil, err
}

// newestFeedbackSQL is the last entry of each person about each verdict.
const newestFeedbackSQL = `seq IN (SELECT max(seq) FROM audit WHERE action = 'feedback' GROUP BY subject, decided_by)`

// saidWrongSQL are the verifications of a place whose verdict somebody says was
// wrong: service $1, environment $2.
const saidWrongSQL = `(SELECT subject FROM audit WHERE decision = 'wrong'
	AND seq IN (SELECT max(seq) FROM audit WHERE action = 'feedback' AND service = $1 AND environment = $2 GROUP BY subject, decided_by))`

// loadFeedback adds what each person says now of a verdict.
func loadFeedback(ctx context.Context, tx *sql.Tx, v *verifier.Verification) error {
	if v.Verdict == nil {
		return nil
	}
	says, err := queryAll(ctx, tx, func(rows *sql.Rows) (f verifier.Feedback, err error) {
		var at int64
		err = rows.Scan(&f.Decision, &f.By, &at, &f.Reason)
		f.At = fromMicros(at)
		return f, err
	}, `SELECT decision, decided_by, at, reason FROM audit
		WHERE seq IN (SELECT max(seq) FROM audit WHERE action = 'feedback' AND subject = $1 GROUP BY decided_by) ORDER BY seq DESC`, v.ID)
	v.Feedback = says
	return err
}

// Accuracy counts what people say of the verdicts that postflight itself gave
// on verifications which opened since then. Those that retention has deleted
// count no more.
func (s *Store) Accuracy(ctx context.Context, since time.Time) (verifier.Accuracy, error) {
	out := verifier.Accuracy{Since: utc(since), Verdicts: map[verifier.Decision]verifier.Rated{}}
	err := s.read(ctx, "count what people say of verdicts", func(tx *sql.Tx) error {
		verdicts := map[string]verifier.Verification{}
		says := map[string][]verifier.Rating{}
		_, err := queryAll(ctx, tx, func(rows *sql.Rows) (id string, err error) {
			var record string
			var rating verifier.Rating
			if err := rows.Scan(&record, &rating); err != nil {
				return "", err
			}
			var v verifier.Verification
			if err := decode("verification", record, &v); err != nil || v.Verdict == nil || v.Verdict.By != verifier.ByPostflight {
				return "", err
			}
			verdicts[v.ID], says[v.ID] = v, append(says[v.ID], rating)
			return v.ID, nil
		}, `SELECT v.record, f.decision FROM audit f JOIN verifications v ON v.id = f.subject
			WHERE v.opened_at >= $1 AND f.`+newestFeedbackSQL, micros(since))
		for id, v := range verdicts {
			out.Add(v, says[id])
		}
		return err
	})
	return out, err
}
