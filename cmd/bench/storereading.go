package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// storeReading is what a database has carried so far.
type storeReading struct {
	commits int64 // PostgreSQL only: SQLite doesn't count them
	written int64 // bytes to disk: of PostgreSQL its log, of SQLite all that the daemon wrote
	size    int64 // bytes
}

// read adds what the database itself tells.
func (r *storeReading) read(ctx context.Context, url string) (err error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("read the database's size: %w", err)
		}
		r.size = info.Size()
		return nil
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("read what PostgreSQL did: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT xact_commit, pg_database_size(current_database()), (pg_current_wal_insert_lsn() - '0/0')::bigint
		FROM pg_stat_database WHERE datname = current_database()`).Scan(&r.commits, &r.size, &r.written)
	if err != nil {
		return fmt.Errorf("read what PostgreSQL did: %w", err)
	}
	return nil
}

// checkpoint lets PostgreSQL log every page that is changed next whole, as it does
// once in a few minutes: otherwise chance decides whether that falls into what is
// measured.
func checkpoint(ctx context.Context, url string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect for a checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err = conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	return nil
}
