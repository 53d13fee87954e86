package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/postflight/postflight/verifier"
)

// Import reads what Export wrote into the store at url, which it creates, or
// which must be empty and used by no replica. All of it is stored in one transaction, read back and
// compared with the export, or nothing is. What the deliveries that are to be
// sent waited for goes on.
func Import(ctx context.Context, url string, r io.Reader, progress Progress) (err error) {
	s, err := Open(ctx, url, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	writing := transaction{db: s.writer, options: s.dialect.writing, first: s.dialect.alone}
	err = writing.once(ctx, func(tx *sql.Tx) error {
		if err := s.patiently(ctx, tx); err != nil {
			return err
		}
		if err := s.noneAlive(ctx, tx); err != nil {
			return err
		}
		if err := empty(ctx, tx, s.place); err != nil {
			return err
		}
		i := &importer{store: s, tx: tx, from: newPortableReader(r), progress: progress, checksums: map[string]checksum{}}
		return i.run(ctx)
	})
	if err != nil {
		return fail("import", err)
	}
	return nil
}

// empty refuses a store that holds anything.
func empty(ctx context.Context, tx *sql.Tx, place string) error {
	for _, t := range tables {
		n, err := count(ctx, tx, t.name)
		if err != nil {
			return err
		}
		if n > 0 {
			return verifier.Errorf(verifier.Conflict, "store %q is not empty: it has %d rows in %s: import into a new one", place, n, t.name)
		}
	}
	return nil
}

// importRows is how many rows one statement inserts, at most: SQLite takes
// 32,766 parameters.
const importRows = 500

type importer struct {
	store     *Store
	tx        *sql.Tx
	from      *portableReader
	progress  Progress
	columns   map[string][]string
	totals    map[string]int64
	checksums map[string]checksum
	table     string // of the rows that wait
	waiting   []any
}

func (i *importer) run(ctx context.Context) error {
	ours, _, err := i.store.dialect.schemaVersions(ctx, i.store.reader, i.store.place)
	if err != nil {
		return err
	}
	h, err := i.from.header(ours.known)
	if err != nil {
		return err
	}
	if err := i.knows(h); err != nil {
		return err
	}
	for {
		line, before, err := i.from.next()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("{")) {
			if err := i.flush(ctx); err != nil {
				return err
			}
			return i.finish(ctx, line, before)
		}
		if err := i.row(ctx, line); err != nil {
			return err
		}
	}
}

// knows checks that there is a place for everything in the export.
func (i *importer) knows(h portableHeader) error {
	i.columns, i.totals = map[string][]string{dueTable: {"delivery", "at"}}, map[string]int64{}
	for _, t := range h.Tables {
		k := slices.IndexFunc(tables, func(ours table) bool { return ours.name == t.Name })
		if k < 0 {
			return i.from.wrong("there is no table %q", t.Name)
		}
		for _, column := range t.Columns {
			if !slices.Contains(tables[k].columns, column) {
				return i.from.wrong("table %s has no column %q", t.Name, column)
			}
		}
		i.columns[t.Name], i.totals[t.Name] = t.Columns, t.Rows
	}
	for _, t := range tables {
		if i.columns[t.name] == nil {
			return i.from.wrong("table %s is missing", t.name)
		}
	}
	return nil
}

func (i *importer) row(ctx context.Context, line []byte) error {
	name, values, err := decodeRow(line)
	if err != nil {
		return i.from.wrong("%v", err)
	}
	columns := i.columns[name]
	if columns == nil || len(columns) != len(values) {
		return i.from.wrong("a row of table %q with %d columns", name, len(values))
	}
	if name != i.table || len(i.waiting) >= importRows*len(columns) {
		if err := i.flush(ctx); err != nil {
			return err
		}
		i.table = name
	}
	i.waiting = append(i.waiting, values...)
	d := i.checksums[name]
	d.add(line)
	i.checksums[name] = d
	if d.Rows%progressEvery == 0 {
		i.progress(name, d.Rows, max(d.Rows, i.totals[name]))
	}
	return nil
}

// flush stores the rows that wait.
func (i *importer) flush(ctx context.Context) error {
	columns := i.columns[i.table]
	if len(i.waiting) == 0 {
		return nil
	}
	defer func() { i.waiting = i.waiting[:0] }()
	if i.table == dueTable {
		return i.queue(ctx)
	}
	var statement strings.Builder
	statement.WriteString(`INSERT INTO ` + i.table + ` (` + strings.Join(columns, ", ") + `) VALUES `)
	for n := range i.waiting {
		switch n % len(columns) {
		case 0:
			if n > 0 {
				statement.WriteString("), ")
			}
			statement.WriteString("(")
		default:
			statement.WriteString(", ")
		}
		statement.WriteString("$" + strconv.Itoa(n+1))
	}
	statement.WriteString(")")
	_, err := i.tx.ExecContext(ctx, statement.String(), i.waiting...)
	if err != nil && !mayPass(err) {
		return i.from.wrong("rows of table %s before it can't be stored, such as one that is there twice or refers to one that is missing: %v", i.table, err)
	}
	return err
}

// queue makes the jobs of the deliveries that are to be sent, due as they were.
func (i *importer) queue(ctx context.Context) error {
	var jobs []river.InsertManyParams
	for n := 0; n < len(i.waiting); n += 2 {
		id, isText := i.waiting[n].(string)
		at, isNumber := i.waiting[n+1].(int64)
		if !isText || !isNumber {
			return i.from.wrong("a delivery that is due is a text and a number")
		}
		d, err := loadDelivery(ctx, i.tx, id)
		if err != nil {
			return i.from.wrong("%v", err)
		}
		job := jobOf(d)
		if due := fromMicros(at); due.After(time.Now()) {
			job.InsertOpts.ScheduledAt = due
		}
		jobs = append(jobs, job)
	}
	_, err := i.store.jobs.InsertManyTx(ctx, i.tx, jobs)
	return err
}

// finish compares the trailer with what came, and what came with what is
// stored.
func (i *importer) finish(ctx context.Context, line []byte, sum string) error {
	var trailer portableTrailer
	if err := json.Unmarshal(line, &trailer); err != nil || !trailer.End {
		return i.from.wrong("the last line can't be read")
	}
	if trailer.SHA256 != sum {
		return i.from.wrong("the lines before have the checksum %s, and %s was written down: the file was damaged", sum, trailer.SHA256)
	}
	for _, t := range tables {
		if trailer.Checksums[t.name] != i.checksums[t.name] || i.checksums[t.name].Rows != i.totals[t.name] {
			return i.from.wrong("table %s came with %d rows, and %d were written down", t.name, i.checksums[t.name].Rows, i.totals[t.name])
		}
		stored, err := i.readBack(ctx, t.name)
		if err != nil {
			return err
		}
		if stored != i.checksums[t.name] {
			return verifier.Errorf(verifier.Internal, "table %s has other rows than the export (%d and %d) once they are stored; nothing was imported", t.name, stored.Rows, i.checksums[t.name].Rows)
		}
		i.progress(t.name, stored.Rows, stored.Rows)
	}
	left, err := queryAll(ctx, i.tx, scanUnqueued, unqueued)
	if err == nil && len(left) > 0 {
		return i.from.wrong("delivery %s is to be sent, and the export doesn't say when", left[0].ID)
	}
	return err
}

func (i *importer) readBack(ctx context.Context, name string) (d checksum, err error) {
	columns := i.columns[name]
	err = eachRow(ctx, i.tx, len(columns), func(values []any) error {
		line, err := encodeRow(name, values)
		d.add(line)
		return err
	}, `SELECT `+strings.Join(columns, ", ")+` FROM `+name)
	return d, err
}
