package store

import (
	"database/sql"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver"
)

// heldSQL chooses the verification $3 while its holder of epoch $4 has it.
const heldSQL = ` WHERE id = $3 AND epoch = $4 AND lease_until > 0 AND state IN ('pending', 'observing')`

// givenBack is the lease of what was looked at: any time that is not after 1970
// will do. This one takes as many bytes as one that runs, so that SQLite, where it
// is claimed, changes the row where it lies instead of writing all of it anew.
const givenBack = `-1125899906842624`

// givenToAll is the same, and after it, where nobody remembers what was seen, or
// should keep it; so is a lease that has run out.
const givenToAll = `-1125899906842623`

// dialect is what differs between the kinds of database. All other statements
// are the same text for each.
type dialect struct {
	migrations goose.Dialect
	// schema turns the text of the migrations into this database's.
	schema      *strings.Replacer
	tableExists string // $1 is the table's name
	queue       func(*sql.DB) riverdriver.Driver[*sql.Tx]

	size string // yields the bytes that the database takes

	// now yields the time by which leases count: $1, or, where that is NULL, the
	// database's own.
	now string
	// claim leases due verifications in one statement, so that no two callers
	// get the same one: $1 is now, $2 how long, both in microseconds, $3 how
	// many. It yields also how late each one is. Where the database has a clock of
	// its own, $1 is NULL for that. Where it is shared, what others remember is left
	// to them until it is $4 late, 0 for none of that; $5 is what this replica
	// remembers, and $6 when each of that is due, for another may have looked since;
	// $7 and $8 are the same of what it should rather leave to others.
	claim string
	// among is the condition that what is before it is one of the texts in $1, a
	// list in JSON.
	among string
	// renew lets the lease of the verification $3, claimed with the epoch $4
	// and not given back, end $2 after $1.
	renew                      string
	writing, reading, claiming *sql.TxOptions
	// alone is the first statement of a transaction that decides something by
	// what others' rows say; "" where one transaction at a time writes anyway.
	alone string
	// release ends the savepoint of a member of a group: SQLite otherwise copies
	// pages for all of them. "" where the next one hides it, and the statement
	// would cost a round trip more.
	release string
	// wired: the server is somewhere else, and takes many statements in one round
	// trip.
	wired bool
	// within bounds a transaction, 0 for not at all: a network may swallow
	// what a file can't.
	within time.Duration

	// takeOver frees, at the start, what a process that was killed had taken,
	// and freeLost, every so often, what others took that must be dead.
	takeOver, freeLost []string
	takeOverEvery      time.Duration
	// due yields the deliveries that are to be sent and when; see dueOf.
	due string
	// dueQueues yields the queues that have a job to do; see dueQueuesOf.
	dueQueues string
	// isDue yields whether claim, with the same $1, would find anything.
	isDue string
	// patient lifts the limits of time on a transaction, and others yields how
	// many other connections postflights have, "" where a file's lock tells.
	patient []string
	others  string
	// sound yields a row, its second column how, for each thing that the
	// database itself finds wrong; "" where it can't be asked.
	sound string
	// tableColumns yields the columns of the table $1, and indexes the names of
	// all indexes.
	tableColumns, indexes string
	// holdJob and beginJob yield a row while the job $1 is its worker's, and
	// while there is time left for another attempt as well; they keep it so to
	// the end of the transaction.
	holdJob, beginJob string
	// shared: several replicas may have it open.
	shared bool
	// ownClock: the database has a clock that all replicas share.
	ownClock bool
}
