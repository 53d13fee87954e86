package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/postflight/postflight/verifier/store/pgtest"
)

// postgresLoops is how many connections write to PostgreSQL at once, as many as
// a daemon has.
const postgresLoops = 10

// writers is how many bare loops run at once, where several do: SQLite has one
// writer at a time, whoever asks.
func (c intakeCase) writers() int {
	if c.postgres {
		return postgresLoops
	}
	return 1
}

// bareLoops does what the simplest durable acknowledgement would: it inserts a
// row with the notification's bytes, and commits, each in a transaction of its
// own and by a statement that was prepared. It has neither HTTP nor anything to
// look up. At rate 0 it does so as fast as it can.
func (c intakeCase) bareLoops(ctx context.Context, dir string, f *intakeFared, span time.Duration, rate int) error {
	driver, place := "sqlite", "file:"+filepath.Join(dir, "bare.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)"
	if c.postgres {
		durable, err := pgtest.NewDurable(ctx)
		if err != nil {
			return err
		}
		driver, place = "pgx", durable
	}
	db, err := sql.Open(driver, place)
	if err != nil {
		return fmt.Errorf("open the bare database: %w", err)
	}
	defer db.Close() //nolint:errcheck // what counts has committed
	db.SetMaxOpenConns(c.writers())
	db.SetMaxIdleConns(c.writers())
	if _, err := db.ExecContext(ctx, `CREATE TABLE notifications (id TEXT PRIMARY KEY, body TEXT NOT NULL)`); err != nil {
		return fmt.Errorf("make the bare table: %w", err)
	}
	var n atomic.Int64
	if rate > 0 {
		t, err := bareOffered(ctx, db, &n, rate, span)
		f.bareOffered = append(f.bareOffered, t)
		return err
	}
	one, err := inserted(ctx, db, &n, 1, span)
	if err != nil {
		return err
	}
	f.bare = append(f.bare, one)
	many := one
	if c.writers() > 1 {
		if many, err = inserted(ctx, db, &n, c.writers(), span); err != nil {
			return err
		}
	}
	f.bareMany = append(f.bareMany, many)
	return nil
}

// bareOffered inserts so many rows a second by one loop, or as many of them as it
// can, as announcer.offer announces: each counts from when it was to be stored.
func bareOffered(ctx context.Context, db *sql.DB, n *atomic.Int64, rate int, span time.Duration) (taken, error) {
	insert, err := db.PrepareContext(ctx, bareInsert)
	if err != nil {
		return taken{}, fmt.Errorf("prepare the bare insert: %w", err)
	}
	defer insert.Close() //nolint:errcheck // with its connection
	began := time.Now()
	var tally tally
	for i := range int(span.Seconds() * float64(rate)) {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		if err := insertOne(ctx, insert, n); err != nil {
			return taken{}, err
		}
		tally.add(due)(http.StatusOK, nil)
	}
	return tally.close(began)
}

const bareInsert = `INSERT INTO notifications (id, body) VALUES ($1, $2)`

func insertOne(ctx context.Context, insert *sql.Stmt, n *atomic.Int64) error {
	id, body, err := announcement(int(n.Add(1)), 0)
	if err != nil {
		return err
	}
	if _, err := insert.ExecContext(ctx, id, string(body)); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	return nil
}

// inserted is how many rows a second that many loops commit.
func inserted(ctx context.Context, db *sql.DB, n *atomic.Int64, loops int, span time.Duration) (float64, error) {
	insert, err := db.PrepareContext(ctx, bareInsert)
	if err != nil {
		return 0, fmt.Errorf("prepare the bare insert: %w", err)
	}
	defer insert.Close() //nolint:errcheck // with its connection
	began, first := time.Now(), n.Load()
	group, ctx := errgroup.WithContext(ctx)
	for range loops {
		group.Go(func() error {
			for time.Since(began) < span {
				if err := insertOne(ctx, insert, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return float64(n.Load()-first) / time.Since(began).Seconds(), err
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}
