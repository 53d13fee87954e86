package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/postflight/postflight/verifier"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	schemaTable      = "goose_db_version"
	riverSchemaTable = "river_migration"
)

func (d dialect) newMigrations(db *sql.DB, logger *slog.Logger) (*goose.Provider, *rivermigrate.Migrator[*sql.Tx], error) {
	steps, err := d.steps()
	if err != nil {
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	ours, err := goose.NewProvider(d.migrations, db, nil,
		goose.WithGoMigrations(steps...), goose.WithDisableGlobalRegistry(true), goose.WithSlog(logger))
	if err != nil {
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	rivers, err := rivermigrate.New(d.queue(db), &rivermigrate.Config{Logger: riverLogger(logger)})
	if err != nil {
		return nil, nil, fmt.Errorf("read River's migrations: %w", err)
	}
	return ours, rivers, nil
}

// steps are the migrations of all databases, in the words of this one.
func (d dialect) steps() ([]*goose.Migration, error) {
	texts, err := migrationTexts()
	if err != nil {
		return nil, err
	}
	var out []*goose.Migration
	for _, t := range texts {
		statements := d.schema.Replace(t.statements)
		out = append(out, goose.NewGoMigration(t.version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statements)
			return err
		}}, nil))
	}
	return out, nil
}

type migrationText struct {
	version    int64
	statements string
}

func migrationTexts() (out []migrationText, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return nil, err
		}
		text, err := migrations.ReadFile(file)
		if err != nil {
			return nil, err
		}
		out = append(out, migrationText{version, string(text)})
	}
	return out, nil
}

// migrate brings the schema forward, ours and River's, and says each step that
// it made. It never goes back.
func (d dialect) migrate(ctx context.Context, db *sql.DB, logger *slog.Logger, say func(string)) error {
	ours, rivers, err := d.newMigrations(db, logger)
	if err != nil {
		return err
	}
	sources := ours.ListSources()
	for {
		step, err := ours.UpByOne(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			break
		}
		if err != nil {
			return fail("migrate", err)
		}
		say(fmt.Sprintf("schema %d of %d: %s (%s)", step.Source.Version, sources[len(sources)-1].Version, step.Direction, step.Duration.Round(time.Millisecond)))
	}
	done, err := rivers.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return fail("migrate River's tables", err)
	}
	for _, v := range done.Versions {
		say(fmt.Sprintf("River schema %d: %s (%s)", v.Version, v.Name, v.Duration.Round(time.Millisecond)))
	}
	return d.mendIndexes(ctx, db, say)
}

// index is one that the migrations create.
type index struct{ name, statement string }

func createdIndexes() (out []index, err error) {
	texts, err := migrationTexts()
	for _, t := range texts {
		for line := range strings.Lines(t.statements) {
			if rest, ok := strings.CutPrefix(line, "CREATE INDEX "); ok {
				out = append(out, index{strings.Fields(rest)[0], line})
			}
		}
	}
	return out, err
}

// mendIndexes creates the indexes that somebody has dropped: without them claims
// fail on SQLite, and others read whole tables.
func (d dialect) mendIndexes(ctx context.Context, db *sql.DB, say func(string)) error {
	wanted, err := createdIndexes()
	if err != nil {
		return err
	}
	return transaction{db: db, options: d.writing}.run(ctx, "create the indexes that are missing", func(tx *sql.Tx) error {
		there, err := queryAll(ctx, tx, scanText, d.indexes)
		if err != nil {
			return err
		}
		for _, i := range wanted {
			if slices.Contains(there, i.name) {
				continue
			}
			if _, err := tx.ExecContext(ctx, d.schema.Replace(i.statement)); err != nil {
				return err
			}
			say("index " + i.name + " was missing: created")
		}
		return nil
	})
}

// Migrate brings the schema of the store at url up to this version, and says
// each step. It creates a store that is not there. Open does the same; replicas
// of PostgreSQL may go on meanwhile.
func Migrate(ctx context.Context, url string, say func(string)) error {
	s, err := open(ctx, url, Options{}, say)
	if err != nil {
		return err
	}
	return s.Close()
}

// schemaVersion is one of the two schemas in a database: what was found, 0 for
// none, and what this postflight knows.
type schemaVersion struct {
	name         string
	found, known int64
}

const schemaVersionSQL = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`

func (d dialect) schemaVersions(ctx context.Context, db *sql.DB, place string) (ours, rivers schemaVersion, err error) {
	steps, migrator, err := d.newMigrations(db, slog.New(slog.DiscardHandler))
	if err != nil {
		return ours, rivers, err
	}
	sources, versions := steps.ListSources(), migrator.AllVersions()
	ours = schemaVersion{name: "schema", known: sources[len(sources)-1].Version}
	rivers = schemaVersion{name: "River schema", known: int64(versions[len(versions)-1].Version)}
	for _, v := range []struct {
		table, query string
		into         *int64
	}{
		{schemaTable, schemaVersionSQL, &ours.found},
		{riverSchemaTable, `SELECT coalesce(max(version), 0) FROM river_migration`, &rivers.found},
	} {
		var exists bool
		err := db.QueryRowContext(ctx, d.tableExists, v.table).Scan(&exists)
		if err == nil && exists {
			err = db.QueryRowContext(ctx, v.query).Scan(v.into)
		}
		if err != nil {
			return ours, rivers, fail(fmt.Sprintf("read the schema of store %q", place), err)
		}
	}
	return ours, rivers, nil
}

// checkSchema refuses a schema that a newer postflight, or a newer River in
// it, has written. It only reads.
func (d dialect) checkSchema(ctx context.Context, db *sql.DB, place string) error {
	ours, rivers, err := d.schemaVersions(ctx, db, place)
	if err != nil {
		return err
	}
	for _, v := range []schemaVersion{ours, rivers} {
		if v.found > v.known {
			return verifier.Errorf(verifier.Conflict,
				"store %q has %s version %d, this postflight knows up to %d: run the newer postflight, or restore the backup from before its upgrade", place, v.name, v.found, v.known)
		}
	}
	return nil
}
