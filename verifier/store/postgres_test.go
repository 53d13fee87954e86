package store_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

func TestPostgres(t *testing.T) {
	empty := pgtest.Database(t)
	s, err := store.Open(t.Context(), empty, virtual)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	conform(t, database{place: func(t *testing.T) string { return pgtest.Copy(t, empty) }, exec: func(t *testing.T, url, statement string) { pgtest.Exec(t, url, statement) }})
}

// with returns the url of a database with another user, name or port in it.
func with(t *testing.T, database string, change func(u *url.URL)) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	change(u)
	return u.String()
}

func TestPostgresRefuses(t *testing.T) {
	place := pgtest.Database(t)
	latin := strings.Replace(place, "/test", "/latin", 1)
	pgtest.Exec(t, place, "CREATE DATABASE "+strings.Trim(mustParse(t, latin).Path, "/")+" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
	newer := pgtest.Database(t)
	s := open(t, newer)
	require.NoError(t, s.Ping(t.Context()))
	pgtest.Exec(t, newer, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, true)`)
	passfile := filepath.Join(t.TempDir(), "passfile")
	require.NoError(t, os.WriteFile(passfile, []byte("*:*:*:*:hunter22\n"), 0o600))

	for name, test := range map[string]struct {
		url  string
		kind verifier.Kind
		want []string
	}{
		"no server": {"postgres://me@127.0.0.1:1/deploys?password=hunter22", verifier.Unavailable,
			[]string{"connect to postgres://me@127.0.0.1:1/deploys: ", "connection refused", "is it running"}},
		"no such host": {"postgres://me@db.invalid/deploys?password=hunter22", verifier.Unavailable,
			[]string{"connect to postgres://me@db.invalid:5432/deploys: "}},
		"no such database": {with(t, place, func(u *url.URL) { u.Path = "/none" }), verifier.Invalid,
			[]string{`database "none" does not exist`, "create the database"}},
		"no password": {with(t, place, func(u *url.URL) { u.User = url.User(pgtest.GuardedUser) }), verifier.Invalid,
			[]string{"connect to postgres://guarded@", "PGPASSWORD"}},
		"wrong password": {with(t, place, func(u *url.URL) {
			u.User, u.RawQuery = url.User(pgtest.GuardedUser), "sslmode=disable&passfile="+passfile
		}), verifier.Invalid, []string{"password authentication failed", "PGPASSFILE"}},
		"bad parameter": {"postgres://me:hunter22@db/x?sslmode=sometimes", verifier.Invalid,
			[]string{"storage url postgres://db/x", "sslmode is invalid"}},
		"malformed":    {"postgres://me:hunter22@[db/x", verifier.Invalid, []string{"must be postgres://USER@HOST/DATABASE"}},
		"encoding":     {latin, verifier.Invalid, []string{"has the encoding LATIN1"}},
		"newer schema": {newer, verifier.Conflict, []string{"has schema version 9000", "run the newer postflight"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(t.Context(), test.url, store.Options{})
			requireKind(t, test.kind, err)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "hunter22")
			require.NotContains(t, err.Error(), "\n", "one line")
		})
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

func TestPostgresPassfile(t *testing.T) {
	place := pgtest.Database(t)
	pgtest.Exec(t, place, `GRANT ALL ON SCHEMA public TO `+pgtest.GuardedUser)
	passfile := filepath.Join(t.TempDir(), "passfile")
	require.NoError(t, os.WriteFile(passfile, []byte("*:*:*:*:"+pgtest.GuardedPassword+"\n"), 0o600))
	s := open(t, with(t, place, func(u *url.URL) {
		u.User, u.RawQuery = url.User(pgtest.GuardedUser), "sslmode=disable&passfile="+passfile
	}))
	opened(t, s, "1", start)
}

// TestPostgresOpenAtOnce starts replicas at once on a database with nothing in
// it: one migrates, the others wait.
func TestPostgresOpenAtOnce(t *testing.T) {
	place := pgtest.Database(t)
	var starting sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		starting.Go(func() {
			s, err := store.Open(t.Context(), place, store.Options{})
			if err == nil {
				err = s.Close()
			}
			errs[i] = err
		})
	}
	starting.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// TestPostgresRestart loses every connection: what is asked next may fail as
// something that passes, and then goes on.
func TestPostgresRestart(t *testing.T) {
	place := pgtest.Database(t)
	s := open(t, place)
	opened(t, s, "1", start)
	pgtest.Exec(t, place, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	require.Eventually(t, func() bool {
		_, _, err := s.Accept(t.Context(), finished("2", later(1)), []verifier.Policy{policy()}, later(1))
		if err != nil {
			requireKind(t, verifier.Unavailable, err)
		}
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
}

// Sessions that a switchover leaves on a server which takes no writes are let
// go of once there is one that does.
func TestPostgresReadOnlySessions(t *testing.T) {
	t.Parallel()
	place := pgtest.Database(t)
	s := open(t, place)
	name := place[strings.LastIndex(place, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	pgtest.Exec(t, place, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	pgtest.Exec(t, place, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	var busy sync.WaitGroup
	for range 16 { // each on a session of its own
		busy.Go(func() {
			_, _, err := s.Accept(t.Context(), finished("1", start), []verifier.Policy{policy()}, start)
			assert.Error(t, err)
		})
	}
	busy.Wait()
	var unwritten *store.NoWritesError
	require.ErrorAs(t, s.Ping(t.Context()), &unwritten)
	require.Contains(t, unwritten.Why, "read-only")
	pgtest.Exec(t, place, `BEGIN READ WRITE; ALTER DATABASE `+name+` RESET default_transaction_read_only; COMMIT`)
	for i := range 20 {
		_, _, err := s.Accept(t.Context(), finished(fmt.Sprint("2.", i), later(i)), []verifier.Policy{policy()}, later(i))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, time.Minute, 100*time.Millisecond, "ready again")
}

// TestPostgresPausedReplica stops one replica in the middle of a decision: the
// others go on, and it can't write any more.
func TestPostgresPausedReplica(t *testing.T) {
	t.Parallel()
	place := pgtest.Database(t)
	paused, other := open(t, place), open(t, place)
	v := opened(t, paused, "1", start)
	c := claim(t, paused, v.ID, later(1))
	begun, resume, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- paused.Decide(context.Background(), c, nil, later(1), func(verifier.Facts) (verifier.Decided, error) {
			once.Do(func() { close(begun) })
			<-resume
			decided, err := v.Decide(verifier.Verdict{Decision: verifier.Keep, DecidedAt: later(1), By: verifier.ByPostflight}, verifier.Action{State: verifier.ActionNone})
			return verifier.Decided{Verification: decided}, err
		})
	}()
	<-begun
	require.NoError(t, other.ReleaseBrake(t.Context(), "dana", "it must go on", later(2)))
	close(resume)
	requireKind(t, verifier.Unavailable, <-ended)
	stored, err := other.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Nil(t, stored.Verdict)
}

// TestPostgresText stores what a source answered, whatever that was.
func TestPostgresText(t *testing.T) {
	s := open(t, pgtest.Database(t))
	v := opened(t, s, "1", start)
	c := claim(t, s, v.ID, later(1))
	c.Signals = []verifier.SignalEvidence{{Signal: "login"}}
	require.NoError(t, s.Prepare(t.Context(), c))
	c.Verification.State = verifier.StateObserving
	message := fmt.Sprintf("login: got %q", "x") + "\x00\xff"
	fresh := map[string][]verifier.Observation{"login": {{At: later(1), Outcome: verifier.Failed, Message: message}}}
	require.NoError(t, s.Record(t.Context(), c, fresh, later(2), nil))
	e, err := s.Evidence(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, "login: got \"x\"\uFFFD\uFFFD", e.Signals[0].Observations[0].Message)
	_, _, err = s.Accept(t.Context(), finished("1\x00", later(3)), []verifier.Policy{policy()}, later(3))
	requireKind(t, verifier.Invalid, err)
}
