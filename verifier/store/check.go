package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/postflight/postflight/verifier"
)

// Checked is what Check found.
type Checked struct {
	Rows     map[string]int64 // by table
	Problems []string         // a sentence each; none for a store that is sound
}

// problemsAtMost is how many of one kind are told.
const problemsAtMost = 10

// Check reads the whole store at url, beside a daemon that uses it or without
// one, and says everything in it that is not as postflight writes it: the
// database's own structure, tables, columns and indexes, rows that refer to
// others that are not there, records that can't be read or say other than
// their columns, a chain of the audit that is broken, deliveries that are to be
// sent and that nobody would send. It changes nothing. An error is a store that
// can't be read at all.
func Check(ctx context.Context, url string) (result Checked, err error) {
	s, err := openToRead(ctx, url, false)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.upToDate(ctx); err != nil {
		return result, err
	}
	c := checker{store: s, Checked: Checked{Rows: map[string]int64{}}}
	reading := transaction{db: s.reader, options: s.dialect.reading}
	err = reading.run(ctx, "check the store", func(tx *sql.Tx) error {
		c.Checked = Checked{Rows: map[string]int64{}}
		if err := s.patiently(ctx, tx); err != nil {
			return err
		}
		for _, part := range []func(context.Context, *sql.Tx) error{c.structure, c.schema, c.references, c.records, c.places, c.audit, c.jobs} {
			if err := part(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	return c.Checked, err
}

type checker struct {
	store *Store
	Checked
}

// found adds problems of one kind, a few of them in words.
func (c *checker) found(kind string, which []string) {
	for i, text := range which {
		if i == problemsAtMost {
			c.Problems = append(c.Problems, fmt.Sprintf("%s: and %d more", kind, len(which)-problemsAtMost))
			return
		}
		c.Problems = append(c.Problems, kind+": "+text)
	}
}

func (c *checker) structure(ctx context.Context, tx *sql.Tx) error {
	wrong, err := queryAll(ctx, tx, func(rows *sql.Rows) (text string, err error) {
		var where string
		err = rows.Scan(&where, &text)
		return text, err
	}, c.store.dialect.sound)
	c.found("database", wrong)
	return err
}

// schema compares names with those of a fresh store.
func (c *checker) schema(ctx context.Context, tx *sql.Tx) error {
	var missing []string
	for _, t := range tables {
		columns, err := queryAll(ctx, tx, scanText, c.store.dialect.tableColumns, t.name)
		if err != nil {
			return err
		}
		for _, column := range t.columns {
			if !slices.Contains(columns, column) {
				missing = append(missing, "table "+t.name+" has no column "+column)
			}
		}
		if len(columns) > 0 {
			if c.Rows[t.name], err = count(ctx, tx, t.name); err != nil {
				return err
			}
		}
	}
	indexes, err := queryAll(ctx, tx, scanText, c.store.dialect.indexes)
	if err != nil {
		return err
	}
	wanted, err := indexNames()
	if err != nil {
		return err
	}
	for _, name := range wanted {
		if !slices.Contains(indexes, name) {
			missing = append(missing, "index "+name+" is missing")
		}
	}
	c.found("schema", missing)
	return nil
}

// indexNames are the indexes that the migrations create.
func indexNames() (names []string, err error) {
	indexes, err := createdIndexes()
	for _, i := range indexes {
		names = append(names, i.name)
	}
	return names, err
}

func (c *checker) references(ctx context.Context, tx *sql.Tx) error {
	for _, t := range tables {
		for _, r := range t.refers {
			lost, err := queryAll(ctx, tx, scanText, fmt.Sprintf(`SELECT DISTINCT %s FROM %s t WHERE NOT EXISTS (SELECT 1 FROM %s o WHERE o.%s = t.%s) ORDER BY 1`,
				r.column, t.name, r.to, r.key, r.column))
			if err != nil {
				return err
			}
			for i, id := range lost {
				lost[i] = fmt.Sprintf("rows of %s refer to %q, which is not in %s", t.name, id, r.to)
			}
			c.found("reference", lost)
		}
	}
	return nil
}

// records reads each record, and compares it with the columns beside it.
func (c *checker) records(ctx context.Context, tx *sql.Tx) error {
	var wrong []string
	_, err := queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var d verifier.Deployment
		var id, service, environment, version, status, record string
		var place int64
		if err := rows.Scan(&id, &service, &environment, &version, &status, &place, &record); err != nil {
			return none, err
		}
		if err := decode("record", record, &d); err != nil {
			wrong = append(wrong, fmt.Sprintf("deployment %s: %v", id, err))
			return none, nil
		}
		wrong = append(wrong, differs("deployment "+id, pair{"id", id, d.ID}, pair{"service", service, d.Service}, pair{"environment", environment, d.Environment},
			pair{"version", version, d.Version}, pair{"status", status, string(d.Status)}, pair{"place", fmt.Sprint(place), fmt.Sprint(d.Place)})...)
		return none, nil
	}, `SELECT id, service, environment, version, status, place, record FROM deployments ORDER BY id`)
	if err != nil {
		return err
	}
	_, err = queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var id, deployment, state, decided, effective, action, revert, record, policy string
		if err := rows.Scan(&id, &deployment, &state, &decided, &effective, &action, &revert, &record, &policy); err != nil {
			return none, err
		}
		v, _, err := decodeVerification(id, record, policy)
		if err != nil {
			wrong = append(wrong, err.Error())
			return none, nil
		}
		wrong = append(wrong, differs("verification "+id, pair{"id", id, v.ID}, pair{"deployment", deployment, v.Deployment.ID}, pair{"state", state, string(v.State)},
			pair{"decision", decided, string(decision(v))}, pair{"effective", effective, string(v.Effective)},
			pair{"action_state", action, string(v.Action.State)}, pair{"revert_id", revert, v.Action.RevertID})...)
		return none, nil
	}, `SELECT id, deployment, state, decision, effective, action_state, revert_id, record, policy FROM verifications ORDER BY id`)
	c.found("record", wrong)
	return err
}

type pair struct{ column, stored, record string }

func differs(what string, pairs ...pair) (out []string) {
	for _, p := range pairs {
		if p.stored != p.record {
			out = append(out, fmt.Sprintf("%s: column %s is %q, and the record says %q", what, p.column, p.stored, p.record))
		}
	}
	return out
}

// places: of each service and environment one verification runs, and one
// rollback is open, at most.
func (c *checker) places(ctx context.Context, tx *sql.Tx) error {
	for _, rule := range []struct{ what, condition string }{
		{"verifications run", `state IN ('pending', 'observing')`},
		{"rollbacks are open", openActionSQL},
	} {
		twice, err := queryAll(ctx, tx, func(rows *sql.Rows) (text string, err error) {
			var service, environment string
			var n int
			err = rows.Scan(&service, &environment, &n)
			return fmt.Sprintf("%d %s of %q in %q", n, rule.what, service, environment), err
		}, `SELECT service, environment, count(*) FROM verifications WHERE `+rule.condition+`
			GROUP BY service, environment HAVING count(*) > 1 ORDER BY 1, 2`)
		if err != nil {
			return err
		}
		c.found("place", twice)
	}
	return nil
}

func (c *checker) audit(ctx context.Context, tx *sql.Tx) error {
	entries, err := queryAll(ctx, tx, scanAudit, wholeAuditSQL)
	if err != nil { // scanAudit refuses what was changed
		if verifier.KindOf(fail("", err)) == verifier.Unavailable {
			return err
		}
		c.found("audit", []string{err.Error()})
		return nil
	}
	if fault := verifier.CheckAudit(entries); fault != nil {
		c.found("audit", []string{fault.Error()})
	}
	return nil
}

func (c *checker) jobs(ctx context.Context, tx *sql.Tx) error {
	orphans, err := queryAll(ctx, tx, scanUnqueued, unqueued)
	if err != nil {
		return err
	}
	var texts []string
	for _, d := range orphans {
		texts = append(texts, fmt.Sprintf("delivery %s (%s) is to be sent and has no job: a daemon queues it within a minute of its start", d.ID, d.Kind))
	}
	c.found("queue", texts)
	lost, err := queryAll(ctx, tx, scanText, `SELECT DISTINCT coalesce(args ->> 'id', '') FROM river_job
		WHERE kind = 'delivery' AND state NOT IN ('completed', 'cancelled', 'discarded')
			AND coalesce(args ->> 'id', '') NOT IN (SELECT id FROM deliveries)`)
	for i, id := range lost {
		lost[i] = fmt.Sprintf("a job would send delivery %q, which is not there", id)
	}
	c.found("queue", lost)
	return err
}
