package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Cast records a vote on a verification, of an access entry with those roles,
// as evidence of each votes signal of its policy that counts it. It returns
// what the vote can do, in a sentence, and whether it is new: who says the same
// again adds nothing. See verifier.Verification.Cast for its errors; a person's
// votes beyond verifier.VotesEach are a Conflict.
//
// Whoever looks at the verification meanwhile can't write any more, and looks
// again: every verdict rests on all votes that were cast before it.
func (s *Store) Cast(ctx context.Context, id string, vote verifier.Vote, roles []string) (outcome string, fresh bool, err error) {
	err = s.alone(ctx, "record a vote on verification "+id, func(tx *sql.Tx) error {
		v, p, err := loadVerification(ctx, tx, id)
		if err != nil {
			return err
		}
		if v.Votes, err = votesOf(ctx, tx, id); err != nil {
			return err
		}
		// Each vote has a time of its own, which is its name among the evidence.
		vote.At = utc(vote.At)
		if len(v.Votes) > 0 && !vote.At.After(v.Votes[0].At) {
			vote.At = v.Votes[0].At.Add(time.Microsecond)
		}
		outcome = p.VoteOutcome(vote.By, roles)
		entry, err := v.Cast(vote)
		if fresh = err == nil && entry != nil; !fresh {
			return err
		}
		if err := fewEnough(ctx, tx, id, vote.By); err != nil {
			return err
		}
		evidence := map[string][]verifier.Observation{}
		for _, signal := range p.Votes() {
			if signal.VoteSource.Counts(vote.By, roles) {
				evidence[signal.Name] = []verifier.Observation{vote.Observation()}
			}
		}
		if err := saveObservations(ctx, tx, id, evidence); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE verifications SET epoch = epoch + 1, lease_until = 0 WHERE id = $1`, id); err != nil {
			return err
		}
		_, err = appendAudit(ctx, tx, *entry)
		return err
	})
	return outcome, fresh && err == nil, err
}

// fewEnough is a Conflict where somebody has voted too often: each vote lets
// the watch look again, and is kept for ever.
func fewEnough(ctx context.Context, tx *sql.Tx, id, by string) error {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM audit WHERE action = 'vote' AND subject = $1 AND decided_by = $2`, id, by).Scan(&n)
	if err == nil && n >= verifier.VotesEach {
		err = verifier.Errorf(verifier.Conflict, "%s has voted %d times on %s, which is as often as anybody may: the last of them counts", by, n, id)
	}
	return err
}

// loadVotes adds what each person says of the deploy.
func loadVotes(ctx context.Context, tx *sql.Tx, v *verifier.Verification) (err error) {
	v.Votes, err = votesOf(ctx, tx, v.ID)
	return err
}

// votesOf returns the newest vote of each person, the newest first.
func votesOf(ctx context.Context, tx *sql.Tx, id string) ([]verifier.Vote, error) {
	return queryAll(ctx, tx, func(rows *sql.Rows) (vote verifier.Vote, err error) {
		var at int64
		err = rows.Scan(&vote.Decision, &vote.By, &at, &vote.Reason)
		vote.At = fromMicros(at)
		return vote, err
	}, `SELECT decision, decided_by, at, reason FROM audit
		WHERE seq IN (SELECT max(seq) FROM audit WHERE action = 'vote' AND subject = $1 GROUP BY decided_by) ORDER BY seq DESC`, id)
}
