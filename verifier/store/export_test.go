package store

import "github.com/jackc/pgx/v5"

// Trace lets t be told of the statements of stores on PostgreSQL that are
// opened from now on.
func Trace(t pgx.QueryTracer) { tracer = t }

// Exported returns the columns of each table that an export holds.
func Exported() map[string][]string {
	out := map[string][]string{}
	for _, t := range tables {
		out[t.name] = t.columns
	}
	return out
}
