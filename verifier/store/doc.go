// Package store keeps postflight's durable state in SQLite: deployments,
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
// depends on the kind of database is in sqlite.go and migrations.
//
// Errors are of the kinds of package verifier: NotFound for unknown ids,
// Conflict for stale or impossible writes, Unavailable for what may go through
// later (busy, full, I/O), Internal for everything else.
package store
