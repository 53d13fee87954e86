package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Progress is told how far an export or import is: of which table how many
// rows of how many are done.
type Progress func(table string, done, total int64)

// progressEvery is how many rows lie between two calls of Progress.
const progressEvery = 20000

// Export writes the whole state of the store at url, as it is at one moment, in
// a form that Import reads into any kind of database. Without beside it refuses
// a store that a daemon uses, whose later work the export would not hold. It
// changes nothing.
func Export(ctx context.Context, url string, w io.Writer, beside bool, progress Progress) (err error) {
	s, err := openToRead(ctx, url, !beside)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.upToDate(ctx); err != nil {
		return err
	}
	if !beside {
		s.othersMayLeave(ctx)
	}
	reading := transaction{db: s.reader, options: s.dialect.reading}
	return reading.once(ctx, func(tx *sql.Tx) error {
		if err := s.patiently(ctx, tx); err != nil {
			return err
		}
		if !beside {
			if err := s.alonePlease(ctx, tx); err != nil {
				return err
			}
		}
		if err := s.exportAll(ctx, tx, w, progress); err != nil {
			return fail("export", err)
		}
		return nil
	})
}

// patiently lifts the limits of time on the transaction.
func (s *Store) patiently(ctx context.Context, tx *sql.Tx) error {
	for _, statement := range s.dialect.patient {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fail("begin", err)
		}
	}
	return nil
}

// othersMayLeave gives replicas that have just been stopped two seconds: the
// server lets go of a connection after its client has. It comes before the
// transaction, whose moment must be later than what they wrote last.
func (s *Store) othersMayLeave(ctx context.Context) {
	for range 20 {
		var others int
		if s.dialect.others == "" || s.reader.QueryRowContext(ctx, s.dialect.others).Scan(&others) != nil || others == 0 {
			return // a fault shows again where it is reported
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// alonePlease refuses to go on while replicas are connected; on SQLite the
// file's lock has done that.
func (s *Store) alonePlease(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.others == "" {
		return nil
	}
	var others int
	if err := tx.QueryRowContext(ctx, s.dialect.others).Scan(&others); err != nil {
		return fail("look for replicas", err)
	}
	if others > 0 {
		return verifier.Errorf(verifier.Conflict, "a postflight is connected to the store: stop all replicas first, for what they do from now on would not be in the export (or export a snapshot)")
	}
	return s.noneAlive(ctx, tx)
}

// noneAlive refuses to go on while a replica has a lease, under whatever name it
// is connected: a url and a pooler may each choose one. The lease of a replica
// that was killed lasts a minute. On SQLite the file's lock has done that, and
// a lease is that of one who was killed.
func (s *Store) noneAlive(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.others == "" {
		return nil
	}
	alive, err := s.aliveReplicas(ctx, tx, time.Now())
	if err != nil {
		return fail("look for replicas", err)
	}
	if alive > 0 {
		return verifier.Errorf(verifier.Conflict, "replicas of the store %q are alive (%d): stop all of them first; one that was killed counts for a minute more", s.place, alive)
	}
	return nil
}

// exporter writes lines and hashes them.
type exporter struct {
	to       *bufio.Writer
	hash     io.Writer
	progress Progress
}

func (e exporter) line(line []byte) error {
	line = append(line, '\n')
	_, _ = e.hash.Write(line) // a hash takes every write
	_, err := e.to.Write(line)
	return err
}

func (s *Store) exportAll(ctx context.Context, tx *sql.Tx, w io.Writer, progress Progress) error {
	hash := sha256.New()
	e := exporter{to: bufio.NewWriterSize(w, 1<<20), hash: hash, progress: progress}
	header := portableHeader{Postflight: "export", Format: portableFormat}
	if err := tx.QueryRowContext(ctx, schemaVersionSQL).Scan(&header.Schema); err != nil {
		return err
	}
	for _, t := range tables {
		n, err := count(ctx, tx, t.name)
		if err != nil {
			return err
		}
		header.Tables = append(header.Tables, portableTable{Name: t.name, Columns: t.columns, Rows: n})
	}
	first, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if err := e.line(first); err != nil {
		return err
	}
	trailer := portableTrailer{End: true, Checksums: map[string]checksum{}}
	for i, t := range tables {
		if trailer.Checksums[t.name], err = e.table(ctx, tx, t.name, len(t.columns), header.Tables[i].Rows, t.query()); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	if trailer.Checksums[dueTable], err = e.table(ctx, tx, dueTable, 2, 0, s.dialect.due); err != nil {
		return fmt.Errorf("deliveries that are due: %w", err)
	}
	trailer.SHA256 = hex.EncodeToString(hash.Sum(nil))
	last, err := json.Marshal(trailer)
	if err != nil {
		return err
	}
	if err := e.line(last); err != nil {
		return err
	}
	return e.to.Flush()
}

func (t table) query() string {
	return `SELECT ` + strings.Join(t.columns, ", ") + ` FROM ` + t.name + ` ORDER BY ` + strings.Join(t.key, ", ")
}

// dueOf yields each delivery that is to be sent and until when it waits, in
// microseconds: 0 for one that is being sent or that nobody has. micros reads
// the time of a job.
func dueOf(micros string) string {
	return `SELECT d.id, coalesce(j.at, 0) FROM deliveries d
		LEFT JOIN (SELECT args ->> 'id' AS delivery, max(` + micros + `) AS at FROM river_job
			WHERE kind = 'delivery' AND state IN ('available', 'scheduled', 'retryable') GROUP BY 1) j ON j.delivery = d.id
		WHERE d.state IN ('pending', 'retryable') ORDER BY d.id`
}

func (e exporter) table(ctx context.Context, tx *sql.Tx, name string, columns int, rows int64, query string) (d checksum, err error) {
	err = eachRow(ctx, tx, columns, func(values []any) error {
		line, err := encodeRow(name, values)
		if err != nil {
			return err
		}
		d.add(line)
		if d.Rows%progressEvery == 0 {
			e.progress(name, d.Rows, max(rows, d.Rows))
		}
		return e.line(line)
	}, query)
	if err == nil {
		e.progress(name, d.Rows, d.Rows)
	}
	return d, err
}
