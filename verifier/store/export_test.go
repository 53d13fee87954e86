package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

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

// Remembered returns how many verifications a store remembers, and the bytes
// that it counts for them.
func (s *Store) Remembered() (n, bytes int) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	return len(s.memory.of), s.memory.bytes
}

// ClaimAgain changes what a running verification rests on, and does to who holds
// it what any change by another does.
func (s *Store) ClaimAgain(ctx context.Context, id string) error {
	if _, err := s.writer.ExecContext(ctx, `UPDATE observations SET value = value + 1 WHERE verification = $1`, id); err != nil {
		return err
	}
	_, err := s.writer.ExecContext(ctx, `UPDATE verifications SET epoch = epoch + 1, lease_until = 0 WHERE id = $1`, id)
	return err
}

// Lately and Stored are what a look needs of a history, and what is stored of a
// verification.
var (
	Lately = lately
	Stored = storedVerification
)
