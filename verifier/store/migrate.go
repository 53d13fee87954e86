package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

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
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var out []*goose.Migration
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return nil, err
		}
		text, err := migrations.ReadFile(file)
		if err != nil {
			return nil, err
		}
		statements := d.schema.Replace(string(text))
		out = append(out, goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statements)
			return err
		}}, nil))
	}
	return out, nil
}

// migrate brings the schema forward, ours and River's. It never goes back.
func (d dialect) migrate(ctx context.Context, db *sql.DB, logger *slog.Logger) error {
	ours, rivers, err := d.newMigrations(db, logger)
	if err != nil {
		return err
	}
	if _, err := ours.Up(ctx); err != nil {
		return fail("migrate", err)
	}
	if _, err := rivers.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fail("migrate River's tables", err)
	}
	return nil
}

// checkSchema refuses a schema that a newer postflight, or a newer River in
// it, has written. It only reads.
func (d dialect) checkSchema(ctx context.Context, db *sql.DB, place string) error {
	ours, rivers, err := d.newMigrations(db, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	sources := ours.ListSources()
	known := sources[len(sources)-1].Version
	riverVersions := rivers.AllVersions()
	riverKnown := int64(riverVersions[len(riverVersions)-1].Version)
	for _, schema := range []struct {
		table, query, name string
		known              int64
	}{
		{schemaTable, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`, "schema", known},
		{riverSchemaTable, `SELECT coalesce(max(version), 0) FROM river_migration`, "River schema", riverKnown},
	} {
		var exists bool
		if err := db.QueryRowContext(ctx, d.tableExists, schema.table).Scan(&exists); err != nil {
			return fail(fmt.Sprintf("read the schema of store %q", place), err)
		}
		if !exists {
			continue
		}
		var found int64
		if err := db.QueryRowContext(ctx, schema.query).Scan(&found); err != nil {
			return fail(fmt.Sprintf("read the schema of store %q", place), err)
		}
		if found > schema.known {
			return verifier.Errorf(verifier.Conflict,
				"store %q has %s version %d, this postflight knows up to %d: run the newer postflight, or restore the backup from before its upgrade", place, schema.name, found, schema.known)
		}
	}
	return nil
}
