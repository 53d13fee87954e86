package store_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/store"
)

// A migration that adds a table or a column must add it to what is exported,
// or moving to another database would lose it. River's jobs follow from the
// deliveries, deciding is a lock, and replicas are those of the old place.
func TestExportHoldsEveryTable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "postflight.db")
	open(t, "sqlite:"+path)
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'river%' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%' AND m.name NOT IN ('deciding', 'replicas')`)
	require.NoError(t, err)
	defer rows.Close()
	there := map[string][]string{}
	for rows.Next() {
		var table, column string
		require.NoError(t, rows.Scan(&table, &column))
		there[table] = append(there[table], column)
	}
	require.NoError(t, rows.Err())
	exported := store.Exported()
	for table, columns := range there {
		require.ElementsMatch(t, columns, exported[table], "table %s", table)
	}
	require.Len(t, exported, len(there))
}
