package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	// wordsOfRelease bounds what may be said of one release, for all of it is
	// read with every question to the gate. A no is taken up to twice as many: it
	// stands then, for nothing that could lift it is.
	wordsOfRelease = 500
	// bytesOfRelease bounds them together, as they are stored.
	bytesOfRelease = 256 << 10
	// sameWord is how long the same word again is taken for a retry.
	sameWord = time.Minute
)

// Speak records what somebody said of a release, and returns it as it is
// stored. The same again within a minute is the same word, unless something was
// decided in between. An approval of a
// version that counts as reverted must name the verification by which it does,
// and one of any other version none: otherwise its author did not know what they
// approved, and it is a Conflict that says so.
func (s *Store) Speak(ctx context.Context, w verifier.GateWord) (said verifier.GateWord, err error) {
	err = s.alone(ctx, "record what "+w.By+" said of "+w.String(), func(tx *sql.Tx) error {
		said = w
		words, err := loadWords(ctx, tx, w.Release)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(words, func(earlier verifier.GateWord) bool { return repeats(w, earlier, words) }); i >= 0 {
			since, err := decidedSince(ctx, tx, words[i])
			if err != nil {
				return err
			}
			if !since {
				said = words[i]
				return nil
			}
		}
		if err := mayBeSaid(ctx, tx, w, words); err != nil {
			return err
		}
		entry, err := appendAudit(ctx, tx, w.AuditEntry())
		if err != nil {
			return err
		}
		said.Seq, said.At = entry.Seq, entry.At
		record, err := encode("word "+w.ID, said)
		if err != nil {
			return err
		}
		if err := fits(ctx, tx, w, len(record)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO gate_words (seq, id, service, environment, version, record) VALUES ($1, $2, $3, $4, $5, $6)`,
			said.Seq, said.ID, said.Service, said.Environment, said.Version, record)
		if err != nil {
			return err
		}
		return wakeRequests(ctx, tx, said.Release)
	})
	return said, err
}

// repeats reports whether w says again what its author said last in that role,
// or of that item, a moment ago.
func repeats(w, earlier verifier.GateWord, all []verifier.GateWord) bool {
	same := func(a, b verifier.GateWord) bool {
		return a.By == b.By && a.Role == b.Role && a.Item == b.Item && (a.Kind == verifier.Answer) == (b.Kind == verifier.Answer)
	}
	if !same(w, earlier) || w.At.Sub(earlier.At) > sameWord {
		return false
	}
	for _, later := range all {
		if later.Seq > earlier.Seq && same(later, earlier) {
			return false
		}
	}
	w.ID, w.Seq, w.At = earlier.ID, earlier.Seq, earlier.At
	return w.AuditEntry() == earlier.AuditEntry()
}

// decidedSince reports whether anything was said or decided about a word's place,
// or about all of them, after it: then the same word again is a new one, for it
// is said of something else. There is one answer to a no, whenever it is repeated.
func decidedSince(ctx context.Context, tx *sql.Tx, w verifier.GateWord) (since bool, err error) {
	if w.Kind == verifier.Answer {
		return false, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM audit WHERE seq > $1 AND (service = $2 AND environment = $3 OR service = ''))`,
		w.Seq, w.Service, w.Environment).Scan(&since)
	return since, err
}

// mayBeSaid refuses a word that rests on something that isn't so.
func mayBeSaid(ctx context.Context, tx *sql.Tx, w verifier.GateWord, words []verifier.GateWord) error {
	if len(words) >= room(w, wordsOfRelease) {
		return verifier.Errorf(verifier.Conflict, "%s has %d words already, which is as many as are kept: release another version", w.Release, len(words))
	}
	for _, id := range w.Evidence {
		if !strings.HasPrefix(id, verifier.VerificationPrefix) {
			continue
		}
		if _, _, err := loadVerification(ctx, tx, id); err != nil {
			return unknownEvidence(err, id)
		}
	}
	switch w.Kind {
	case verifier.Approve:
		v, err := revertedBy(ctx, tx, w.Release)
		if err != nil {
			return err
		}
		return agreesWithRevert(w, v)
	case verifier.Answer:
		return answers(w, words)
	}
	return nil
}

// room is how much may be said of a release, the word with it.
func room(w verifier.GateWord, most int) int {
	if w.Kind == verifier.Reject {
		return 2 * most
	}
	return most
}

// fits refuses a word that makes those of its release more than are kept.
func fits(ctx context.Context, tx *sql.Tx, w verifier.GateWord, more int) error {
	r := w.Release
	var there int
	err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(length(record)), 0) FROM gate_words WHERE service = $1 AND version = $2 AND environment = $3`,
		r.Service, r.Version, r.Environment).Scan(&there)
	if err != nil {
		return err
	}
	if there+more > room(w, bytesOfRelease) {
		return verifier.Errorf(verifier.Conflict, "what was said of %s is %d KiB already, and no more than %d are kept: say it shorter", r, there>>10, bytesOfRelease>>10)
	}
	return nil
}

func unknownEvidence(err error, id string) error {
	if verifier.KindOf(err) != verifier.NotFound {
		return err
	}
	return verifier.InvalidFields("the evidence isn't there", verifier.FieldError{Field: "evidence", Message: "is no verification that postflight knows", Value: id})
}

func agreesWithRevert(w verifier.GateWord, v *verifier.Verification) error {
	switch {
	case v == nil && w.Again == "", v != nil && w.Again == v.ID:
		return nil
	case v == nil:
		return verifier.Errorf(verifier.Conflict, "%s counts as reverted by none, and this approves it again after %s: look again, and leave `again` out", w.Release, w.Again)
	case w.Again == "":
		return verifier.Errorf(verifier.Conflict, "%s was reverted (%s): look at it, and approve it again with a reason and `again` %s", w.Release, v.ID, v.ID)
	}
	return verifier.Errorf(verifier.Conflict, "%s was reverted by %s, not by %s: look at that one, and approve it again with a reason and `again` %s", w.Release, v.ID, w.Again, v.ID)
}

func answers(w verifier.GateWord, words []verifier.GateWord) error {
	for _, other := range words {
		if other.Kind == verifier.Answer && other.Answers == w.Answers {
			return verifier.Errorf(verifier.Conflict, "%s answered %s at %s already", other.By, w.Answers, other.At.Format(time.RFC3339))
		}
	}
	if !slices.ContainsFunc(words, func(other verifier.GateWord) bool { return other.ID == w.Answers && other.Kind == verifier.Reject }) {
		return verifier.Errorf(verifier.NotFound, "no %q is a no to %s", w.Answers, w.Release)
	}
	return nil
}

// Word returns what was said under an id.
func (s *Store) Word(ctx context.Context, id string) (w verifier.GateWord, err error) {
	err = s.read(ctx, "read what was said", func(tx *sql.Tx) error {
		var record string
		err := tx.QueryRowContext(ctx, `SELECT record FROM gate_words WHERE id = $1`, id).Scan(&record)
		if errors.Is(err, sql.ErrNoRows) {
			return verifier.Errorf(verifier.NotFound, "nothing was said under %q", id)
		}
		if err != nil {
			return err
		}
		return decode("word "+id, record, &w)
	})
	return w, err
}

// loadWords reads what was said of a release, the oldest first; where its
// environment is "", in all of them.
func loadWords(ctx context.Context, tx *sql.Tx, r verifier.Release) ([]verifier.GateWord, error) {
	return queryAll(ctx, tx, scanWord, `SELECT w.record, w.service, w.environment, w.version, a.seq, a.at, a.decided_by, a.action, a.service, a.environment, a.subject, a.decision, a.reason
		FROM gate_words w JOIN audit a ON a.seq = w.seq
		WHERE w.service = $1 AND w.version = $2 AND $3 IN ('', w.environment) ORDER BY w.seq`, r.Service, r.Version, r.Environment)
}

// scanWord refuses a word that is not what the audit trail says that it was:
// the gate would let something go that nobody said may go.
func scanWord(rows *sql.Rows) (w verifier.GateWord, err error) {
	var record string
	var at int64
	var of verifier.Release
	var e verifier.AuditEntry
	err = rows.Scan(&record, &of.Service, &of.Environment, &of.Version, &e.Seq, &at, &e.By, &e.Action, &e.Service, &e.Environment, &e.Subject, &e.Decision, &e.Reason)
	if err != nil {
		return w, err
	}
	if err := decode("word", record, &w); err != nil {
		return w, err
	}
	want := w.AuditEntry()
	want.Seq, want.At, e.At = w.Seq, time.Time{}, time.Time{}
	if want != e || of != w.Release || micros(w.At) != at {
		return w, fmt.Errorf("word %s was changed: the audit trail has it otherwise (entry %d)", w.ID, e.Seq)
	}
	return w, nil
}
