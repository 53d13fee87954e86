// Package store keeps postflight's durable state in SQLite or PostgreSQL: deployments,
// verifications with their evidence, deliveries with their attempts, and the
// brake. It reads facts and writes what others decide about them, in one
// transaction, and decides nothing itself.
//
// Checks coordinate through the verification's own row: next_check_at says
// when it is due, lease_until who may look at it now, and epoch makes the
// writes of a stale holder fail. Deliveries are jobs of River, inserted in the
// transaction of whatever they tell about.
//
// All times are stored as microseconds since 1970 in UTC. Everything that
// depends on the kind of database is a dialect, in sqlite.go and postgres.go.
//
// On SQLite one process at a time has the file, and one transaction at a time
// writes. On PostgreSQL any number of replicas share a database: transactions
// that write what another has changed meanwhile are undone and run again, and
// those that decide by others' rows (caps, fences, the chain of the audit) run
// one at a time. Leases count by the database's clock.
//
// Errors are of the kinds of package verifier: NotFound for unknown ids,
// Conflict for stale or impossible writes, Unavailable for what may go through
// later (busy, full, I/O), Internal for everything else.
package store
