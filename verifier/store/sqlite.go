package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/postflight/postflight/verifier"
)

var sqliteDialect = dialect{
	migrations:  goose.DialectSQLite3,
	schema:      strings.NewReplacer(),
	tableExists: `SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1`,
	size:        `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`,
	queue:       func(db *sql.DB) riverdriver.Driver[*sql.Tx] { return riversqlite.New(db) },
	now:         "$1",
	// Left to itself, SQLite takes the index of the states and reads all that run.
	claim: `UPDATE verifications SET lease_until = $1 + $2, epoch = epoch + 1
		WHERE id IN (
			SELECT id FROM verifications INDEXED BY verifications_due
			WHERE state IN ('pending', 'observing') AND next_check_at <= $1 AND lease_until <= $1
			ORDER BY next_check_at LIMIT $3)
		RETURNING id, epoch, next_check_at, lease_until - $2 - next_check_at`,
	isDue: `SELECT EXISTS (SELECT 1 FROM verifications INDEXED BY verifications_due
		WHERE state IN ('pending', 'observing') AND next_check_at <= $1 AND lease_until <= $1)`,
	release: `RELEASE SAVEPOINT member`,
	among:   `IN (SELECT value FROM json_each($1))`,
	renew:   `UPDATE verifications SET lease_until = $1 + $2` + heldSQL,
	// So that what was under way need not wait for a lease, for
	// River's rescuer (an hour by default) and for its leadership to run out
	// (15 s). River has no call for a job in state running, and the file's
	// lock says that no other process works on any of them.
	takeOver: []string{
		`UPDATE verifications SET lease_until = 0 WHERE state IN ('pending', 'observing')`,
		`UPDATE river_job SET state = 'available' WHERE state = 'running'`,
		`DELETE FROM river_leader`,
	},
	takeOverEvery: time.Minute,
	sound:         `SELECT 'integrity_check', integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
	tableColumns:  `SELECT name FROM pragma_table_info($1)`,
	indexes:       `SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`,
	due:           dueOf(`CAST(round((julianday(scheduled_at) - 2440587.5) * 86400000) AS INTEGER) * 1000`),
	dueQueues:     dueQueuesOf(`datetime('now', 'subsec')`),
	holdJob:       `SELECT state FROM river_job WHERE id = $1 AND state = 'running'`,
	beginJob:      `SELECT state FROM river_job WHERE id = $1 AND state = 'running'`,
}

// readers is how many reads run at once.
const readers = 4

// openSQLite opens the file in url, and holds it until Close.
func (s *Store) openSQLite(ctx context.Context, url string, say func(string)) error {
	s.dialect = sqliteDialect
	path, err := databasePath(url)
	if err != nil {
		return err
	}
	s.place = path
	if s.lock, err = lockFile(path); err != nil {
		return err
	}
	if err := checkFile(ctx, path); err != nil {
		return err
	}
	// One connection: writes queue here, in the process, instead of failing as busy.
	if err := s.migrateSQLite(ctx, path, say); err != nil {
		return err
	}
	// What a savepoint may undo is copied: of a group that is a few pages, too
	// few for a file. A migration that sorts a whole table is over.
	if s.writer, err = openWriter(ctx, path, "temp_store(MEMORY)"); err != nil {
		return err
	}
	s.reader, err = openReader(ctx, path)
	return err
}

func (s *Store) migrateSQLite(ctx context.Context, path string, say func(string)) error {
	db, err := openWriter(ctx, path)
	if err != nil {
		return err
	}
	if err := errors.Join(s.dialect.migrate(ctx, db, s.logger, say), db.Close()); err != nil {
		return fmt.Errorf("bring the schema of store %q up to date: %w", path, err)
	}
	return nil
}

// databasePath returns the absolute path in url.
func databasePath(url string) (string, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return "", verifier.Errorf(verifier.Invalid, `storage url %q: must be "sqlite:PATH", "sqlite:///ABSOLUTE/PATH" or "postgres://USER@HOST/DATABASE"`, redact(url))
	}
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return "", verifier.Errorf(verifier.Invalid, `storage url %q: a path after "sqlite://" begins with "/"; for a relative one write "sqlite:PATH"`, url)
		}
		path = rest
	}
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return "", verifier.Errorf(verifier.Invalid, `storage url %q: names no file; write "sqlite:PATH"`, url)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find store %q: %w", path, err)
	}
	if abs, err = resolved(abs); err != nil {
		return "", fmt.Errorf("find store %q: %w", path, err)
	}
	return abs, nil
}

// redact shows no more of a foreign url than its scheme: it may hold a
// password.
func redact(url string) string {
	if scheme, _, ok := strings.Cut(url, ":"); ok {
		return scheme + ":..."
	}
	return url
}

func dataSource(path string, query url.Values) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return u.String()
}

// openWriter opens the one connection that writes, and creates the file. FULL
// means that a commit is on disk before it returns. The cache, of 16 MiB, holds
// what thousands of running verifications are written to; their pages go back to
// the file once the log has 16 MiB, for each time that they do takes two fsyncs.
// also are more pragmas, of every connection that takes its place as well.
func openWriter(ctx context.Context, path string, also ...string) (*sql.DB, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, verifier.Errorf(verifier.Unavailable, "open store: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open store %q: %w", path, err)
	}
	return connect(ctx, path, 1, url.Values{
		"_txlock": {"immediate"},
		"_pragma": append(also, "busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "journal_size_limit(67108864)", "wal_autocheckpoint(4096)", "cache_size(-16384)"),
	})
}

func openReader(ctx context.Context, path string) (*sql.DB, error) {
	return connect(ctx, path, readers, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)"}})
}

// openSQLiteToRead opens a file that is there, and creates nothing but the
// lock.
func (s *Store) openSQLiteToRead(ctx context.Context, url string, exclusive bool) error {
	s.dialect = sqliteDialect
	path, err := databasePath(url)
	if err != nil {
		return err
	}
	empty, err := checkHeader(path)
	if err != nil {
		return err
	}
	if empty {
		return verifier.Errorf(verifier.NotFound, "there is no store at %q: name the file that the daemon writes", path)
	}
	if exclusive {
		if s.lock, err = lockFile(path); err != nil {
			return err
		}
	}
	if err := checkFile(ctx, path); err != nil {
		return err
	}
	s.place = path
	s.reader, err = openReader(ctx, path)
	return err
}

func connect(ctx context.Context, path string, connections int, query url.Values) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dataSource(path, query))
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", path, err)
	}
	db := sql.OpenDB(preparing{connector})
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fail(fmt.Sprintf("open store %q", path), err), db.Close())
	}
	return db, nil
}

// checkFile refuses, without writing a byte, what is not a sound SQLite file
// of this or an older schema. A missing or empty file is fine.
func checkFile(ctx context.Context, path string) error {
	empty, err := checkHeader(path)
	if err != nil || empty {
		return err
	}
	db, err := sql.Open("sqlite", dataSource(path, url.Values{
		"mode": {"ro"}, "_pragma": {"busy_timeout(5000)", "query_only(1)"}}))
	if err != nil {
		return fmt.Errorf("open store %q: %w", path, err)
	}
	defer db.Close() //nolint:errcheck // only read
	var result string
	err = db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result)
	switch {
	case err != nil && mayPass(err):
		return fail(fmt.Sprintf("check store %q", path), err)
	case err != nil:
		return verifier.Errorf(verifier.Internal, "store %q is corrupt: restore it from a backup or move it away: %w", path, err)
	case result != "ok":
		return verifier.Errorf(verifier.Internal, "store %q is corrupt: restore it from a backup or move it away: %s", path, result)
	}
	return sqliteDialect.checkSchema(ctx, db, path)
}

func checkHeader(path string) (empty bool, err error) {
	file, err := os.Open(path) // #nosec G304 -- the operator names it
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, verifier.Errorf(verifier.Unavailable, "open store: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	magic := []byte("SQLite format 3\x00")
	head := make([]byte, len(magic))
	n, err := io.ReadFull(file, head)
	switch {
	case errors.Is(err, io.EOF):
		return true, nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return false, verifier.Errorf(verifier.Unavailable, "read store: %w", err)
	case !bytes.Equal(head[:n], magic):
		return false, verifier.Errorf(verifier.Invalid, "store %q is not an SQLite file: name another file", path)
	}
	return false, nil
}

// sqliteMayPass reports whether the same call may go through later.
func sqliteMayPass(failure *sqlite.Error) bool {
	switch failure.Code() & 0xff { // the rest of the bits are details
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return false
}
