package store

import (
	"context"
	"database/sql"
	"strings"
)

// table is one of ours, as it is exported, imported and checked.
type table struct {
	name    string
	key     []string // its first columns are ordered by it
	columns []string
	refers  []reference
}

// reference is a column that holds the key of another table's row.
type reference struct{ column, to, key string }

// tables are all that hold state, those that others refer to first. The jobs of
// River follow from the deliveries.
var tables = []table{
	{name: "deployments", key: []string{"id"}, columns: words(`id source deployment_id service environment version status irreversible
		started_at finished_at received_at place release_id record`)},
	{name: "verifications", key: []string{"id"}, columns: words(`id deployment service environment version finished_at judged_from place opened_at
		cleared_at state decision effective effective_at action_state action_changed_at revert_id requested_at automatic_at record policy
		next_check_at lease_until epoch evidence_dropped_at`), refers: []reference{{"deployment", "deployments", "id"}}},
	{name: "signals", key: words("verification name"), columns: words("verification name source plan calibration before"),
		refers: []reference{{"verification", "verifications", "id"}}},
	{name: "observations", key: words("verification signal at"), columns: words("verification signal at span outcome bad total count value message timing control voter"),
		refers: []reference{{"verification", "verifications", "id"}}},
	{name: "deliveries", key: []string{"id"}, columns: words("id verification kind receiver event state reason created_at key body"),
		refers: []reference{{"verification", "verifications", "id"}}},
	{name: "attempts", key: words("delivery at"), columns: words("delivery at duration status result error reference"),
		refers: []reference{{"delivery", "deliveries", "id"}}},
	{name: "intake_keys", key: words("source delivery_id"), columns: words("source delivery_id service environment version status received_at deployment verification ignored"),
		refers: []reference{{"deployment", "deployments", "id"}}},
	{name: "alerts", key: words("source fingerprint starts_at"), columns: words("source fingerprint starts_at ends_at told_at service environment record")},
	{name: "alert_sources", key: []string{"source"}, columns: words("source first_at last_at")},
	{name: "tickets", key: words("feed id"), columns: words("feed id created_at service environment reporter tags received_at")},
	{name: "ticket_counts", key: words("feed question span at"), columns: words("feed question span at count read_at")},
	{name: "audit", key: []string{"seq"}, columns: strings.Split(auditColumns, ", ")},
	{name: "gate_words", key: []string{"seq"}, columns: words("seq id service environment version record"), refers: []reference{{"seq", "audit", "seq"}}},
	{name: "gate_requests", key: []string{"id"}, columns: words("id source request_key service environment version received_at state next_at epoch record")},
	{name: "gate_decisions", key: []string{"id"}, columns: words("id service environment version at last_at decision record")},
}

func words(text string) []string { return strings.Fields(text) }

func count(ctx context.Context, tx *sql.Tx, name string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM `+name).Scan(&n)
	return n, err
}

// eachRow calls fn with the columns of each row that a query yields; fn must
// not keep them.
func eachRow(ctx context.Context, tx *sql.Tx, columns int, fn func([]any) error, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err below tells what went wrong
	values, into := make([]any, columns), make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := fn(values); err != nil {
			return err
		}
	}
	return rows.Err()
}
