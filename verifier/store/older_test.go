package store_test

import (
	"bufio"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// statement is one that a replica ran, as it was recorded.
type statement struct {
	SQL  string `json:"sql"`
	Args []any  `json:"args,omitempty"`
	Rows int64  `json:"rows"`
}

// bytesArg tells bytes from text.
type bytesArg struct {
	Bytes []byte `json:"bytes"`
}

// recorder is told by pgx of each statement, and keeps ours in order.
type recorder struct {
	mu   sync.Mutex
	list []statement
}

// elsewhere is what says nothing of our tables, or belongs to a transaction.
var elsewhere = regexp.MustCompile(`(?i)river_|goose_|pg_|to_regclass|^\s*(begin|commit|rollback|savepoint|lock|show|set|create|alter|-- )`)

type traced struct{ start pgx.TraceQueryStartData }

type tracedKey struct{}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, tracedKey{}, traced{data})
}

func (r *recorder) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	begun, _ := ctx.Value(tracedKey{}).(traced)
	r.keep(begun.start.SQL, begun.start.Args, data.CommandTag.RowsAffected(), data.Err)
}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery is told of each statement that was sent together with others.
func (r *recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	r.keep(data.SQL, data.Args, data.CommandTag.RowsAffected(), data.Err)
}

func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (r *recorder) keep(text string, args []any, rows int64, err error) {
	if err != nil || text == "" || elsewhere.MatchString(text) {
		return
	}
	s := statement{SQL: text, Rows: rows}
	for _, arg := range args {
		switch arg.(type) {
		case pgx.QueryResultFormats, pgx.QueryResultFormatsByOID, pgx.QueryExecMode: // how, not what
		default:
			s.Args = append(s.Args, plain(arg))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, s)
}

// plain is an argument without its type.
func plain(arg any) any {
	if valuer, ok := arg.(driver.Valuer); ok {
		if value, err := valuer.Value(); err == nil {
			arg = value
		}
	}
	v := reflect.ValueOf(arg)
	switch {
	case arg == nil:
		return nil
	case v.Kind() == reflect.String:
		return v.String()
	case v.CanInt():
		return v.Int()
	case v.CanFloat():
		return v.Float()
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return bytesArg{v.Bytes()}
	case v.Kind() == reflect.Slice: // a list of one type
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i).Interface())
		}
		return list
	}
	panic(fmt.Sprintf("an argument of type %T", arg))
}

// replicaWorks does something of everything that a replica does.
func replicaWorks(t *testing.T, s *store.Store) {
	ctx := t.Context()
	first := opened(t, s, "1", start)
	accept(t, s, started("2", later(1)), later(1))
	decide(t, s, first, verifier.Keep, later(2))
	v := opened(t, s, "2", later(3))
	c := claim(t, s, v.ID, later(4))
	c.Signals = []verifier.SignalEvidence{{Signal: "errors", Calibration: []byte(`{"n":1}`)}, {Signal: "login"}}
	require.NoError(t, s.Prepare(ctx, c))
	c.Verification.State = verifier.StateObserving
	seen := map[string][]verifier.Observation{"errors": {{At: later(4), Outcome: verifier.Measured, Bad: 1, Total: 2}}}
	messages, err := verifier.Messages(verifier.EventCleared, v, policy(), later(4))
	require.NoError(t, err)
	require.NoError(t, s.Record(ctx, c, seen, later(4), messages))
	_, _, err = s.Surroundings(ctx, v, policy(), start, 10)
	require.NoError(t, err)
	_, err = s.PastObservations(ctx, v.Deployment, policy().Signals[1], start)
	require.NoError(t, err)
	_, err = s.LeftOut(ctx, "checkout", "production", start)
	require.NoError(t, err)
	reverted := decide(t, s, v, verifier.Revert, later(6))
	stored, err := s.Verification(ctx, v.ID)
	require.NoError(t, err)
	for _, d := range stored.Deliveries {
		for i, result := range []string{verifier.AttemptStarted, "delivered"} {
			require.NoError(t, s.UpdateDelivery(ctx, d.ID, later(7+i), func(verifier.Outgoing) (verifier.DeliveryChange, error) {
				c := verifier.DeliveryChange{Attempt: &verifier.Attempt{At: later(7), Result: result}}
				if result == "delivered" {
					c.State = verifier.DeliveryDelivered
				}
				return c, nil
			}))
		}
	}
	require.NoError(t, s.UpdateAction(ctx, v.ID, later(8), func(v verifier.Verification, _ verifier.Policy, _ verifier.Facts) (verifier.Verification, []verifier.Delivery, error) {
		v.Action, err = reverted.Action.Move(verifier.ActionAccepted, "", "", later(8))
		return v, nil, err
	}))
	_, err = s.Awaited(ctx, start)
	require.NoError(t, err)
	n := finished("1", later(10))
	n.Deployment.RevertID, n.Deployment.Rollback = reverted.Action.RevertID, true
	back := accept(t, s, n, later(10))
	_, again, err := s.Accept(ctx, n, []verifier.Policy{policy()}, later(11))
	require.NoError(t, err)
	require.True(t, again)
	require.NoError(t, s.Override(ctx, back.Verification.ID, later(12), func(v verifier.Verification, _ verifier.Policy, _ verifier.Facts) (verifier.Overruling, error) {
		v.State = verifier.StateCancelled
		return verifier.Overruling{Verification: v, Audit: verifier.AuditEntry{At: later(12), By: "dana", Action: verifier.AuditOverride, Subject: v.ID, Decision: "cancel"}}, nil
	}))
	require.NoError(t, s.ReleaseBrake(ctx, "dana", "fixed", later(13)))
	for _, action := range []verifier.AuditAction{verifier.AuditFreeze, verifier.AuditMark, verifier.AuditUnfreeze} {
		_, err := s.RecordDecision(ctx, verifier.AuditEntry{At: later(14), By: "dana", Action: action, Service: "checkout", Environment: "production", Subject: "2", Decision: "bad"})
		require.NoError(t, err)
	}
	rate(t, s, first.ID, verifier.Wrong, "dana", later(14), "she looked")
	_, err = s.Accuracy(ctx, start)
	require.NoError(t, err)
	facts(t, s, v.ID, later(15))
	_, _, err = s.Verifications(ctx, verifier.Filter{Limit: 10})
	require.NoError(t, err)
	_, err = s.Evidence(ctx, v.ID)
	require.NoError(t, err)
	_, err = s.Versions(ctx, verifier.Location{Service: "checkout", Environment: "production"})
	require.NoError(t, err)
	_, err = s.Freezing(ctx, later(15))
	require.NoError(t, err)
	_, err = s.Counts(ctx, later(15))
	require.NoError(t, err)
	wholeAudit(t, s)
}

// recorded are the files of what replicas of each schema run, the oldest first.
func recorded(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/replica-*.jsonl")
	require.NoError(t, err)
	slices.Sort(files)
	return files
}

// TestRecordReplica keeps what a replica of this schema runs, so that later
// migrations are tried against it; -update records it anew. It must not run
// beside other tests.
func TestRecordReplica(t *testing.T) {
	var r recorder
	store.Trace(&r)
	defer store.Trace(nil)
	s, err := store.Open(t.Context(), pgtest.Database(t), virtual)
	require.NoError(t, err)
	replicaWorks(t, s)
	prune(t, s, start.Add(500*day), keeping())
	require.NoError(t, s.Close())
	steps, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	file := fmt.Sprintf("testdata/replica-%d.jsonl", len(steps))
	if *update {
		var out strings.Builder
		for _, st := range r.list {
			line, err := json.Marshal(st)
			require.NoError(t, err)
			out.Write(append(line, '\n'))
		}
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o600))
	}
	require.Equal(t, texts(r.list), texts(read(t, file)), "go test ./verifier/store -run RecordReplica -update records what a replica of this schema runs")
}

// texts are the different statements.
func texts(list []statement) (out []string) {
	for _, s := range list {
		out = append(out, strings.Join(strings.Fields(s.SQL), " "))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func read(t *testing.T, file string) (list []statement) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s statement
		d := json.NewDecoder(strings.NewReader(lines.Text()))
		d.UseNumber()
		require.NoError(t, d.Decode(&s))
		for i, arg := range s.Args {
			s.Args[i] = typed(t, arg)
		}
		list = append(list, s)
	}
	require.NoError(t, lines.Err())
	return list
}

func typed(t *testing.T, arg any) any {
	t.Helper()
	switch arg := arg.(type) {
	case json.Number:
		if n, err := arg.Int64(); err == nil {
			return n
		}
		f, err := arg.Float64()
		require.NoError(t, err)
		return f
	case map[string]any:
		var b bytesArg
		text, err := json.Marshal(arg)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &b))
		return b.Bytes
	case []any: // of texts or numbers, which PostgreSQL reads by the type that the statement gives them
		list := make([]string, len(arg))
		for i := range list {
			list[i] = fmt.Sprint(arg[i])
		}
		return list
	}
	return arg
}

// TestOlderReplicasGoOn runs what a replica of each earlier schema did on a
// database that this one has migrated: each statement does there what it did
// then. A newer replica finds all of it sound.
func TestOlderReplicasGoOn(t *testing.T) {
	t.Parallel()
	files := recorded(t)
	require.GreaterOrEqual(t, len(files), 2)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			place := pgtest.Database(t)
			s := openReplica(t, place)
			conn, err := pgx.Connect(t.Context(), place)
			require.NoError(t, err)
			defer conn.Close(context.Background())
			for i, st := range read(t, file) {
				rows, err := conn.Query(t.Context(), st.SQL, append([]any{pgx.QueryExecModeDescribeExec}, st.Args...)...)
				require.NoError(t, err)
				rows.Close()
				require.NoError(t, rows.Err(), "statement %d: %s", i+1, st.SQL)
				require.Equal(t, st.Rows, rows.CommandTag().RowsAffected(), "statement %d: %s %v", i+1, st.SQL, st.Args)
			}
			found, err := store.Check(t.Context(), place)
			require.NoError(t, err)
			for _, problem := range found.Problems {
				require.Contains(t, problem, "has no job", "jobs were left out of the recording")
			}
			list, _, err := s.Verifications(t.Context(), verifier.Filter{Limit: 10})
			require.NoError(t, err)
			require.NotEmpty(t, list)
			v := opened(t, s, "newer", later(60))
			require.Equal(t, v.ID, claim(t, s, v.ID, time.Now()).Verification.ID)
		})
	}
}

// TestMigrationsOnlyAdd: a replica of the version before goes on beside a
// migration, so that nothing is taken away or renamed in it, and what is added
// has a value where an older replica gives none.
func TestMigrationsOnlyAdd(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	for _, file := range files[1:] {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for st := range strings.SplitSeq(regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(string(text), ""), ";") {
			st = strings.Join(strings.Fields(st), " ")
			if st == "" || regexp.MustCompile(`^CREATE (TABLE|INDEX) `).MatchString(st) {
				continue
			}
			require.Regexp(t, `^ALTER TABLE \w+ ADD COLUMN \w+ [A-Z ]+?( NOT NULL DEFAULT \S+)?$`, st, file)
			require.Equal(t, strings.Contains(st, "NOT NULL"), strings.Contains(st, "DEFAULT"), st)
		}
	}
}
