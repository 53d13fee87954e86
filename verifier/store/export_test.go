package store

import "github.com/jackc/pgx/v5"

// Trace lets t be told of the statements of stores on PostgreSQL that are
// opened from now on.
func Trace(t pgx.QueryTracer) { tracer = t }
