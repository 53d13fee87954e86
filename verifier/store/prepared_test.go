package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// onOne opens a file by one connection, and gives that away.
func onOne(t *testing.T) (*sql.DB, *preparedConn) {
	db, err := connect(t.Context(), filepath.Join(t.TempDir(), "x.db"), 1, url.Values{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	var kept *preparedConn
	require.NoError(t, conn.Raw(func(c any) error { kept = c.(*preparedConn); return nil }))
	return db, kept
}

func numbers(t *testing.T, tx *sql.Tx, query string, args ...any) []int {
	out, err := queryAll(t.Context(), tx, func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) }, query, args...)
	require.NoError(t, err)
	return out
}

func TestStatementsAreKept(t *testing.T) {
	db, conn := onOne(t)
	_, err := db.ExecContext(t.Context(), `CREATE TABLE t (n INTEGER UNIQUE); INSERT INTO t VALUES (1), (2)`)
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	const query = `SELECT n FROM t WHERE n > $1 ORDER BY n`
	require.Equal(t, []int{2}, numbers(t, tx, query, 1))
	kept := conn.kept[query]
	require.NotNil(t, kept)
	require.Equal(t, []int{1, 2}, numbers(t, tx, query, 0), "with other arguments")
	require.Same(t, kept, conn.kept[query])

	rows, err := tx.QueryContext(t.Context(), query, 0)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	require.Equal(t, []int{2}, numbers(t, tx, query, 1), "while the rows of the same are read")
	var n int
	require.NoError(t, rows.Scan(&n))
	require.Equal(t, 1, n)
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(&n))
	require.Equal(t, 2, n, "which go on where they were")
	require.NoError(t, errors.Join(rows.Err(), rows.Close()))

	insert := `INSERT INTO t VALUES ($1)`
	for _, n := range []int{3, 4} {
		_, err := tx.ExecContext(t.Context(), insert, n)
		require.NoError(t, err)
	}
	_, err = tx.ExecContext(t.Context(), insert, 4)
	require.ErrorContains(t, err, "UNIQUE")
	_, err = tx.ExecContext(t.Context(), insert, 5)
	require.NoError(t, err, "one that failed runs again")
	require.NoError(t, tx.Commit())

	_, err = db.ExecContext(t.Context(), `ALTER TABLE t ADD COLUMN more INTEGER DEFAULT 7; DELETE FROM t WHERE n > 1`)
	require.NoError(t, err)
	tx, err = db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []int{1}, numbers(t, tx, query, 0), "after the schema has changed")
	require.NoError(t, tx.Rollback())
}

func TestStatementsAreBounded(t *testing.T) {
	db, conn := onOne(t)
	open, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	rows, err := open.QueryContext(t.Context(), `SELECT 1 UNION SELECT 2`)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	for i := range 2 * mostPrepared {
		require.Equal(t, []int{i}, numbers(t, open, fmt.Sprint("SELECT ", i)))
		require.LessOrEqual(t, len(conn.kept), mostPrepared)
	}
	require.True(t, rows.Next(), "what is being read goes on")
	require.NoError(t, errors.Join(rows.Err(), rows.Close()))
	require.NoError(t, open.Rollback())
}

func TestAStatementEndsWithItsContext(t *testing.T) {
	db, _ := onOne(t)
	const endless = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n WHERE i < $1`
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	_, err := db.ExecContext(ctx, endless, 0)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, db.PingContext(t.Context()))
	_, conn := onOne(t) // the pool may have closed the other, which was interrupted
	rows, err := conn.QueryContext(t.Context(), `SELECT n FROM nowhere`, []driver.NamedValue{})
	require.ErrorContains(t, err, "nowhere")
	require.Nil(t, rows)
}

func TestAStatementTakesEveryLimit(t *testing.T) {
	db, _ := onOne(t)
	_, err := db.ExecContext(t.Context(), `CREATE TABLE t (n INTEGER UNIQUE); INSERT INTO t VALUES (1), (2), (3)`)
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	for _, query := range []string{`SELECT n FROM t WHERE n > $1 ORDER BY n LIMIT $2`, "SELECT n FROM t WHERE n IN (SELECT n FROM t WHERE n > ?1 ORDER BY n\nLIMIT ?2)"} {
		require.Equal(t, []int{1, 2}, numbers(t, tx, query, 0, 2))
		require.Equal(t, []int{2}, numbers(t, tx, query, 1, 1))
		require.Equal(t, []int{1, 2, 3}, numbers(t, tx, query, 0, 16))
		require.Empty(t, numbers(t, tx, query, 0, 0))
	}
	require.Equal(t, "LIMIT $12 + 0) AND m = $1 LIMIT 1", limits.ReplaceAllString("LIMIT $12) AND m = $1 LIMIT 1", "$0 + 0"))
}
