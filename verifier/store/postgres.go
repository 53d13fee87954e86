package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"

	"github.com/postflight/postflight/verifier"
)

// Connections that one replica holds at most; beside them, one while it
// migrates.
const (
	postgresWriters = 10
	postgresReaders = 4
)

// repeatable is what every transaction sees and does: one unchanging view, and
// an error, which is tried again, where another has changed meanwhile what it
// writes.
var repeatable = sql.TxOptions{Isolation: sql.LevelRepeatableRead}

var postgresDialect = dialect{
	migrations:  goose.DialectPostgres,
	schema:      strings.NewReplacer(" BLOB ", " BYTEA ", " WITHOUT ROWID", ""),
	tableExists: `SELECT to_regclass($1) IS NOT NULL`,
	size:        `SELECT pg_database_size(current_database())`,
	queue:       func(db *sql.DB) riverdriver.Driver[*sql.Tx] { return riverdatabasesql.New(db) },
	claim: `WITH due AS MATERIALIZED (
			SELECT id FROM verifications
			WHERE state IN ('pending', 'observing') AND next_check_at <= ` + postgresNow + ` AND lease_until <= ` + postgresNow + `
				AND ($4::bigint = 0 OR state = 'pending'
					OR lease_until >= ` + givenToAll + ` AND ((id, next_check_at) NOT IN (SELECT * FROM unnest($7::text[], $8::bigint[])) OR next_check_at <= ` + postgresNow + ` - ` + strconv.FormatInt(leftToOthers.Microseconds(), 10) + `)
					OR next_check_at <= ` + postgresNow + ` - $4 OR (id, next_check_at) IN (SELECT * FROM unnest($5::text[], $6::bigint[])))
			ORDER BY next_check_at LIMIT $3
			FOR UPDATE SKIP LOCKED)
		UPDATE verifications v SET lease_until = ` + postgresNow + ` + $2, epoch = epoch + 1
		FROM due WHERE v.id = due.id
		RETURNING v.id, v.epoch, v.next_check_at, v.lease_until - $2 - v.next_check_at`,
	isDue: `SELECT EXISTS (SELECT 1 FROM verifications
		WHERE state IN ('pending', 'observing') AND next_check_at <= ` + postgresNow + ` AND lease_until <= ` + postgresNow + `)`,
	among:    `= ANY(ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))`,
	renew:    `UPDATE verifications SET lease_until = ` + postgresNow + ` + $2` + heldSQL,
	writing:  &repeatable,
	reading:  &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
	claiming: &sql.TxOptions{Isolation: sql.LevelReadCommitted}, // to skip what others claim, not to fail on it
	// LOCK, unlike a SELECT, comes before the view is taken: what the one
	// before has committed is seen.
	alone:         `LOCK TABLE deciding IN EXCLUSIVE MODE`,
	wired:         true,
	within:        15 * time.Second,
	takeOver:      []string{freeLostJobs},
	freeLost:      []string{freeLostJobs},
	takeOverEvery: 5 * time.Second,
	sound: `SELECT c.relname, 'index ' || c.relname || ' is invalid: REINDEX it' FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND NOT i.indisvalid`,
	tableColumns: `SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1`,
	indexes:      `SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema()`,
	due:          dueOf(`(extract(epoch FROM scheduled_at) * 1000000)::bigint`),
	dueQueues:    dueQueuesOf(`now()`),
	patient:      []string{`SET LOCAL statement_timeout = 0`, `SET LOCAL idle_in_transaction_session_timeout = 0`},
	others: `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'postflight' AND pid <> pg_backend_pid()`,
	holdJob: `SELECT state::text FROM river_job WHERE id = $1 AND state = 'running' FOR UPDATE`,
	beginJob: `SELECT state::text FROM river_job WHERE id = $1 AND state = 'running'
		AND attempted_at > now() - ` + seconds(lostAfter-attemptAtMost) + ` FOR UPDATE`,
	ownClock: true,
	shared:   true,
	now:      postgresNow,
}

const (
	// lostAfter is how long after it was taken a job is taken from whoever has
	// not ended it: nothing delivers for longer than deliverTimeout.
	lostAfter = deliverTimeout + hardStop
	// attemptAtMost is how long an attempt and the record of it may take; see
	// alerting.SendTimeout.
	attemptAtMost = 25 * time.Second
)

// freeLostJobs ends the jobs of workers that must be dead or paused, whatever
// they may say of them later; adopt then queues their deliveries anew. River's
// own rescue takes up to two minutes, and leaves the job its number.
var freeLostJobs = `UPDATE river_job SET state = 'cancelled', finalized_at = now()
	WHERE kind = 'delivery' AND state = 'running' AND attempted_at < now() - ` + seconds(lostAfter)

func seconds(d time.Duration) string {
	return "interval '" + strconv.Itoa(int(d.Seconds())) + " seconds'"
}

// postgresNow is the database's time, or $1 where that is not NULL.
const postgresNow = `coalesce($1::bigint, (extract(epoch FROM now()) * 1000000)::bigint)`

func isPostgres(storageURL string) bool {
	return strings.HasPrefix(storageURL, "postgres://") || strings.HasPrefix(storageURL, "postgresql://")
}

// openPostgres connects, and waits for other replicas that migrate.
func (s *Store) openPostgres(ctx context.Context, storageURL string, say func(string)) error {
	s.dialect = postgresDialect
	config, err := postgresConfig(storageURL)
	if err != nil {
		return err
	}
	s.place = postgresPlace(config)
	if err := migratePostgres(ctx, config, s, say); err != nil {
		return err
	}
	if s.writer, err = connectPostgres(ctx, config, postgresWriters); err != nil {
		return err
	}
	s.reader, err = connectPostgres(ctx, config, postgresReaders)
	return err
}

// tracer is told of every statement; nil but in tests.
var tracer pgx.QueryTracer

// postgresConfig reads url, the environment (PGPASSWORD, PGPASSFILE, PGSSLMODE
// and the others of libpq) and the files that they name.
func postgresConfig(storageURL string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(storageURL)
	if err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "storage url: must be postgres://USER@HOST/DATABASE")
	}
	config, err := pgx.ParseConfig(storageURL)
	if err != nil {
		var cause string
		if inner := errors.Unwrap(err); inner != nil {
			cause = ": " + inner.Error()
		}
		return nil, verifier.Errorf(verifier.Invalid, "storage url postgres://%s%s: its parameters, or the PG variables in the environment, can't be used%s",
			u.Host, u.Path, cause)
	}
	config.Tracer = tracer
	if !u.Query().Has("connect_timeout") {
		config.ConnectTimeout = 5 * time.Second
	}
	for name, value := range map[string]string{
		"application_name":                    "postflight",
		"statement_timeout":                   "5s",
		"idle_in_transaction_session_timeout": "4s", // a replica that is paused must not hold the others up
	} {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// postgresPlace is how errors call the database.
func postgresPlace(config *pgx.ConnConfig) string {
	return fmt.Sprintf("postgres://%s@%s:%d/%s", config.User, config.Host, config.Port, config.Database)
}

func connectPostgres(ctx context.Context, config *pgx.ConnConfig, connections int) (*sql.DB, error) {
	var options []stdlib.OptionOpenDB
	if config.RuntimeParams["default_transaction_read_only"] == "" {
		options = append(options, stdlib.OptionResetSession(stillWritable)) // who only reads would lose every session
	}
	db := stdlib.OpenDB(*config, options...)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(30 * time.Minute) // what it leads to may be another server by then
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(notConnected(config, err), db.Close())
	}
	return db, nil
}

// stillWritable lets go of a session whose server takes no writes (any more): a
// switchover may leave it open, and it would fail as long as it lives. The
// server tells both parameters unasked, since PostgreSQL 14.
func stillWritable(_ context.Context, conn *pgx.Conn) error {
	for _, name := range []string{"default_transaction_read_only", "in_hot_standby"} {
		if conn.PgConn().ParameterStatus(name) == "on" {
			return driver.ErrBadConn
		}
	}
	return nil
}

// notConnected says where to and why not, in one line and without the
// password, and what helps.
func notConnected(config *pgx.ConnConfig, err error) error {
	kind, remedy := verifier.Unavailable, "is it running, and reachable from here?"
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch {
		case strings.HasPrefix(refused.Code, "28"):
			kind, remedy = verifier.Invalid, "check the user, and the password in PGPASSWORD or the file that PGPASSFILE names"
		case refused.Code == "3D000":
			kind, remedy = verifier.Invalid, "create the database"
		case strings.HasPrefix(refused.Code, "53"):
			remedy = fmt.Sprintf("each replica holds up to %d connections", postgresWriters+postgresReaders+1)
		}
	}
	var attempt *pgconn.ConnectError
	if errors.As(err, &attempt) {
		err = attempt.Unwrap()
	}
	cause := strings.Join(strings.Fields(err.Error()), " ")
	return verifier.Errorf(kind, "connect to %s: %s: %s", postgresPlace(config), cause, remedy)
}

// migrationLock is the advisory lock of whoever migrates.
const migrationLock = 7091823450198

// migratePostgres brings the schema up to date, one replica at a time. It may
// take long: no statement is timed out.
func migratePostgres(ctx context.Context, config *pgx.ConnConfig, s *Store, say func(string)) error {
	patient := config.Copy()
	patient.RuntimeParams["statement_timeout"] = "0"
	patient.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	db, err := connectPostgres(ctx, patient, 4)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // what it did has committed
	place := postgresPlace(config)
	lock, err := db.Conn(ctx)
	if err != nil {
		return fail("migrate "+place, err)
	}
	defer lock.Close() //nolint:errcheck // the lock ends with the connection
	if _, err := lock.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fail("wait for others that migrate "+place, err)
	}
	if err := checkPostgres(ctx, db, place); err != nil {
		return err
	}
	if err := s.dialect.migrate(ctx, db, s.logger, say); err != nil {
		return fmt.Errorf("bring the schema of store %q up to date: %w", place, err)
	}
	return nil
}

// checkPostgres refuses, without writing, what can't hold the state.
func checkPostgres(ctx context.Context, db *sql.DB, place string) error {
	var encoding string
	if err := db.QueryRowContext(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return fail("ask store "+place, err)
	}
	if encoding != "UTF8" {
		return verifier.Errorf(verifier.Invalid, "store %q has the encoding %s: create the database with ENCODING 'UTF8'", place, encoding)
	}
	return postgresDialect.checkSchema(ctx, db, place)
}

// openPostgresToRead opens a database that is there, and creates nothing.
func (s *Store) openPostgresToRead(ctx context.Context, storageURL string) error {
	s.dialect = postgresDialect
	config, err := postgresConfig(storageURL)
	if err != nil {
		return err
	}
	s.place = postgresPlace(config)
	config.RuntimeParams["default_transaction_read_only"] = "on"
	if s.reader, err = connectPostgres(ctx, config, 1); err != nil {
		return err
	}
	if err := checkPostgres(ctx, s.reader, s.place); err != nil {
		return err
	}
	var exists bool
	if err := s.reader.QueryRowContext(ctx, postgresDialect.tableExists, "audit").Scan(&exists); err != nil {
		return fail("read store "+s.place, err)
	}
	if !exists {
		return verifier.Errorf(verifier.NotFound, "there is no store in %s: name the database that the daemon uses", s.place)
	}
	return nil
}

// postgresMayPass reports whether the same call may go through later.
func postgresMayPass(failure *pgconn.PgError) bool {
	switch failure.Code[:min(2, len(failure.Code))] {
	case "08", // connection
		"40", // lost against another transaction
		"53", // out of disk, memory or connections
		"55", // locked
		"57", // timed out, shutting down
		"58": // I/O
		return true
	}
	return failure.Code == "25006" || failure.Code == "25P03" // a standby; idle for too long in a transaction
}

// lostRace reports whether the transaction was undone because of another one
// that ran beside it.
func lostRace(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && (failure.Code == "40001" || failure.Code == "40P01") // serialization, deadlock
}

// unstorable reports whether a text holds what PostgreSQL has no character for.
func unstorable(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && failure.Code == "22021"
}
