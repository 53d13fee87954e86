package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
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

func quiet(string, int64, int64) {}

// lived makes a store with something of everything in it, and closes it.
func lived(t *testing.T, url string) {
	t.Helper()
	s, err := store.Open(t.Context(), url, virtual)
	require.NoError(t, err)
	kept(t, s, 0, verifier.Keep)
	v := opened(t, s, "1", start.Add(2*day))
	at := start.Add(2*day + time.Minute)
	c := claim(t, s, v.ID, at)
	c.Signals = []verifier.SignalEvidence{{Signal: "errors", Calibration: []byte(`{"n":1}`), Before: []verifier.Observation{{At: at, Value: 0.1}}}}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	require.NoError(t, s.Record(t.Context(), c, map[string][]verifier.Observation{"errors": {
		{At: at, Outcome: verifier.Measured, Bad: 0.1 + 0.2, Total: 1e300, Count: 5e-324, Value: math.MaxFloat64},
		{At: at.Add(time.Second), Outcome: verifier.Failed, Message: "quote \" \u2028 <b> naïve \\ \n", Value: math.Inf(1)},
	}}, at, nil))
	decide(t, s, v, verifier.Revert, at.Add(time.Minute)) // its rollback is to be sent
	next := finished("2", start.Add(3*day))
	next.Deployment.Service = "search"
	next.DeliveryID = "search"
	ended := accept(t, s, next, start.Add(3*day)).Verification.ID
	second := next
	second.DeliveryID, second.Deployment.DeploymentID, second.Deployment.Version = "search-3", "search-3", "3"
	accept(t, s, second, start.Add(3*day+time.Minute)) // runs on, and tells that the one before is superseded
	require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "reason with \u00e9", start))
	require.NoError(t, s.ReleaseBrake(t.Context(), "kim", "again", later(1)))

	waited := newCalls()
	stop := run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		waited.add(id)
		return time.Hour, nil
	}), store.DeliveryOptions{})
	for _, id := range []string{deliveryOf(t, s, v.ID), deliveryOf(t, s, ended)} { // none is taken as the work stops
		require.Eventually(t, func() bool { return len(waited.times(id)) > 0 }, 10*time.Second, time.Millisecond)
	}
	stop()
	require.NoError(t, s.Close())
}

func export(t *testing.T, url string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, store.Export(t.Context(), url, &out, false, quiet))
	return out.String()
}

// rowsOf are the lines of an export but for when deliveries are due, which
// databases keep at different resolutions, and the trailer.
func rowsOf(export string) (rows []string) {
	for _, line := range strings.Split(export, "\n") {
		if strings.HasPrefix(line, `["`) && !strings.HasPrefix(line, `["due"`) {
			rows = append(rows, line)
		}
	}
	return rows
}

// dueOf is when deliveries are due by an export, in milliseconds.
func dueOf(t *testing.T, export string) map[string]int64 {
	t.Helper()
	due := map[string]int64{}
	for _, line := range strings.Split(export, "\n") {
		var row []any
		if strings.HasPrefix(line, `["due"`) {
			require.NoError(t, json.Unmarshal([]byte(line), &row))
			due[row[1].(string)] = int64(row[2].(float64)) / 1000
		}
	}
	return due
}

func requireSound(t *testing.T, url string) store.Checked {
	t.Helper()
	found, err := store.Check(t.Context(), url)
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	return found
}

// TestPortable moves a store from SQLite to PostgreSQL and back, and goes on
// with it: nothing is lost on the way, and what was to be sent is sent when it
// was due.
func TestPortable(t *testing.T) {
	t.Parallel()
	file := func() string { return "sqlite:" + filepath.Join(t.TempDir(), "postflight.db") }
	first, second, third := file(), pgtest.Database(t), file()
	lived(t, first)
	whole := export(t, first)
	require.Greater(t, len(rowsOf(whole)), 20)
	var said []string
	require.NoError(t, store.Import(t.Context(), second, strings.NewReader(whole), func(table string, done, total int64) {
		said = append(said, fmt.Sprint(table, done, total))
	}))
	require.Contains(t, said, "deployments4 4")
	require.ElementsMatch(t, rowsOf(whole), rowsOf(export(t, second)))
	requireSound(t, second)
	require.NoError(t, store.Import(t.Context(), third, strings.NewReader(export(t, second)), quiet))
	require.ElementsMatch(t, rowsOf(whole), rowsOf(export(t, third)))
	require.Len(t, dueOf(t, whole), 2)
	require.Equal(t, dueOf(t, whole), dueOf(t, export(t, third)))
	require.Equal(t, int64(4), requireSound(t, third).Rows["deployments"])

	s := open(t, third)
	seen := newCalls()
	run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		seen.add(id)
		return time.Hour, nil
	}), store.DeliveryOptions{})
	list, _, err := s.Verifications(t.Context(), verifier.Filter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 4)
	time.Sleep(time.Second)
	require.Empty(t, seen.at, "not before it is due")
	for _, v := range list {
		if v.Action.State == verifier.ActionRequested {
			alterSQLite(t, third, `UPDATE river_job SET scheduled_at = datetime('now', '-1 second'), state = 'available' WHERE args ->> 'id' = '`+v.Deliveries[0].ID+`'`)
			seen.wait(t, v.Deliveries[0].ID)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "postflight.db")
	lived(t, url)
	whole := export(t, url)
	lines := strings.SplitAfter(whole, "\n")
	last := len(lines) - 2
	targets := []string{"sqlite:" + filepath.Join(t.TempDir(), "postflight.db"), pgtest.Database(t)}
	for name, test := range map[string]struct{ from, want string }{
		"cut off":       {strings.Join(lines[:last], ""), "without its last line: it was cut off"},
		"half a line":   {whole[:len(whole)/2], "was cut off"},
		"damaged":       {strings.Replace(whole, "1e+300", "1e+301", 1), "the file was damaged"},
		"a row removed": {strings.Join(append(append([]string{}, lines[:1]...), lines[2:]...), ""), "refers to one that is missing"},
		"newer schema":  {regexp.MustCompile(`"schema":\d+`).ReplaceAllString(lines[0], `"schema":9000`), "has schema version 9000, and this postflight knows up to "},
		"other format":  {strings.Replace(whole, `"format":1`, `"format":7`, 1), "has format 7"},
		"not ours":      {"{}\n", "this is no export of postflight"},
		"nothing":       {"", "was cut off"},
		"not JSON":      {lines[0] + "[nonsense\n", "line 2 of the export"},
		"other table":   {strings.Replace(whole, `{"name":"audit"`, `{"name":"users"`, 1), `there is no table "users"`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, into := range targets {
				err := store.Import(t.Context(), into, strings.NewReader(test.from), quiet)
				requireKind(t, verifier.Invalid, err)
				require.ErrorContains(t, err, test.want)
			}
		})
	}
	for _, into := range targets {
		require.Zero(t, requireSound(t, into).Rows["deployments"], "all or nothing")
		require.NoError(t, store.Import(t.Context(), into, strings.NewReader(whole), quiet), "and it may be tried again")
		err := store.Import(t.Context(), into, strings.NewReader(whole), quiet)
		requireKind(t, verifier.Conflict, err)
		require.ErrorContains(t, err, "is not empty: it has 4 rows in deployments")
	}
}

func TestExportRefusesWhatIsUsed(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"sqlite:" + filepath.Join(t.TempDir(), "postflight.db"), pgtest.Database(t)} {
		s := open(t, url)
		opened(t, s, "1", start)
		requireKind(t, verifier.Conflict, store.Export(t.Context(), url, &bytes.Buffer{}, false, quiet))
		var out bytes.Buffer
		require.NoError(t, store.Export(t.Context(), url, &out, true, quiet))
		require.Len(t, rowsOf(out.String()), 3, "a deployment, a verification, a key")
		requireSound(t, url)
	}
	none := "sqlite:" + filepath.Join(t.TempDir(), "none.db")
	requireKind(t, verifier.NotFound, store.Export(t.Context(), none, &bytes.Buffer{}, false, quiet))
	require.NoFileExists(t, strings.TrimPrefix(none, "sqlite:"))
}

// TestLiveReplicasAreNotPassedBy: a replica may be connected by another name,
// and its store may still be empty.
func TestLiveReplicasAreNotPassedBy(t *testing.T) {
	t.Parallel()
	var whole bytes.Buffer
	from := "sqlite:" + filepath.Join(t.TempDir(), "postflight.db")
	lived(t, from)
	require.NoError(t, store.Export(t.Context(), from, &whole, false, quiet))
	place := pgtest.Database(t)
	s := open(t, place+"&application_name=mine")
	now := time.Now()
	r := store.Replica{ID: "r1", Name: "one", StartedAt: now, SeenAt: now, LeaseUntil: now.Add(time.Minute)}
	require.NoError(t, s.SeeReplica(t.Context(), r))
	err := store.Export(t.Context(), place, &bytes.Buffer{}, false, quiet)
	requireKind(t, verifier.Conflict, err)
	require.ErrorContains(t, err, "are alive (1)")
	require.NoError(t, store.Export(t.Context(), place, &bytes.Buffer{}, true, quiet), "a snapshot may be taken beside it")
	requireKind(t, verifier.Conflict, store.Import(t.Context(), place, strings.NewReader(whole.String()), quiet))
	require.Zero(t, requireSound(t, place).Rows["deployments"])
	require.NoError(t, s.ForgetReplica(t.Context(), r.ID), "it stops as it should")
	require.NoError(t, store.Export(t.Context(), place, &bytes.Buffer{}, false, quiet))
	require.NoError(t, store.Import(t.Context(), place, strings.NewReader(whole.String()), quiet))
}

// TestExportWaitsForThoseWhoLeave: the connection of a replica that was stopped
// may outlast it for a moment.
func TestExportWaitsForThoseWhoLeave(t *testing.T) {
	t.Parallel()
	place := pgtest.Database(t)
	leaving := openReplica(t, place)
	require.NoError(t, leaving.Close())
	conn, err := pgx.Connect(t.Context(), place+"&application_name=postflight")
	require.NoError(t, err)
	left := time.AfterFunc(300*time.Millisecond, func() { _ = conn.Close(context.Background()) })
	defer left.Stop()
	require.NoError(t, store.Export(t.Context(), place, &bytes.Buffer{}, false, quiet))
	require.True(t, conn.IsClosed())
}

// TestCheck damages a store in each way that can be told, on both databases.
func TestCheck(t *testing.T) {
	t.Parallel()
	file, server := filepath.Join(t.TempDir(), "postflight.db"), pgtest.Database(t)
	lived(t, "sqlite:"+file)
	lived(t, server)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	copied := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "postflight.db")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return "sqlite:" + path
	}
	requireSound(t, copied(t))
	requireSound(t, server)
	for name, test := range map[string]struct {
		statements []string
		want       string
	}{
		"lost row":         {[]string{`DELETE FROM intake_keys`, `DELETE FROM deployments WHERE service = 'search'`}, `rows of verifications refer to "dp_`},
		"other state":      {[]string{`UPDATE verifications SET state = 'decided' WHERE state = 'pending'`}, `column state is "decided", and the record says "pending"`},
		"unreadable":       {[]string{`UPDATE deployments SET record = '{' WHERE version = '1'`}, "unexpected end of JSON input"},
		"two run":          {[]string{`UPDATE verifications SET state = 'pending' WHERE service = 'search'`}, `2 verifications run of "search" in "production"`},
		"changed decision": {[]string{`UPDATE audit SET reason = 'another' WHERE seq = 1`}, "audit entry 1 is changed"},
		"lost decision":    {[]string{`DELETE FROM audit WHERE seq = 1`}, "audit entry 1 is missing"},
		"no job":           {[]string{`DELETE FROM river_job`}, "is to be sent and has no job"},
		"job of nothing":   {[]string{`DELETE FROM deliveries WHERE kind = 'message'`}, "which is not there"},
		"lost index":       {[]string{`DROP INDEX verifications_due`}, "index verifications_due is missing"},
		"lost column":      {[]string{`ALTER TABLE deliveries DROP COLUMN reason`}, "table deliveries has no column reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, db := range []database{
				{place: copied, exec: alterSQLite},
				{place: func(t *testing.T) string { return pgtest.Copy(t, server) }, exec: func(t *testing.T, url, statement string) {
					if strings.HasPrefix(statement, "DELETE FROM deployments") {
						statement = `SET session_replication_role = replica; ` + statement // references are not checked
					}
					pgtest.Exec(t, url, statement)
				}},
			} {
				url := db.place(t)
				for _, statement := range test.statements {
					db.exec(t, url, statement)
				}
				found, err := store.Check(t.Context(), url)
				require.NoError(t, err)
				require.Contains(t, strings.Join(found.Problems, "\n"), test.want)
			}
		})
	}
}

// TestBackup backs up while load is written, and restores: each backup is a
// sound store, with all that was acknowledged before it began.
func TestBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "postflight.db")
	s := open(t, url)
	var mu sync.Mutex
	acknowledged := 0
	var loading sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	loading.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			n := finished("1", start)
			n.DeliveryID, n.Deployment.DeploymentID, n.Deployment.Service = fmt.Sprint(i), fmt.Sprint(i), fmt.Sprint("service-", i)
			if _, _, err := s.Accept(context.Background(), n, []verifier.Policy{policy()}, start); err != nil {
				t.Error(err)
			}
			mu.Lock()
			acknowledged++
			mu.Unlock()
		}
	})
	before := func() int { mu.Lock(); defer mu.Unlock(); return acknowledged }
	for i := range 5 {
		time.Sleep(100 * time.Millisecond)
		file, least := filepath.Join(dir, fmt.Sprint("backup-", i)), before()
		require.NoError(t, store.Backup(t.Context(), url, file))
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		restored := requireSound(t, "sqlite:"+file)
		require.GreaterOrEqual(t, restored.Rows["verifications"], int64(least))
		other := open(t, "sqlite:"+file)
		opened(t, other, "after-the-restore", later(1))
		requireKind(t, verifier.Conflict, store.Backup(t.Context(), url, file))
	}
	cancel()
	loading.Wait()
	require.Greater(t, before(), 10)
	err := store.Backup(t.Context(), pgtest.Database(t), filepath.Join(dir, "pg"))
	requireKind(t, verifier.Invalid, err)
	require.ErrorContains(t, err, "pg_dump")
}
