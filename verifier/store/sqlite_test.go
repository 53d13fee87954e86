package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

func TestOpenRefusesURL(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://me:secret@db/postflight": `storage url "mysql:...": must be "sqlite:PATH"`,
		"postflight.db":                   `storage url "postflight.db": must be "sqlite:PATH"`,
		"sqlite:":                         "names no file",
		"sqlite::memory:":                 "names no file",
		"sqlite://host/x.db":              `for a relative one write "sqlite:PATH"`,
	} {
		_, err := store.Open(t.Context(), url, store.Options{})
		requireKind(t, verifier.Invalid, err)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "none", "x.db"), store.Options{})
	requireKind(t, verifier.Unavailable, err)
}

func TestOpenCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?name#%.db")
	s := open(t, "sqlite://"+path)
	opened(t, s, "1", start)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// closed makes a store with a deploy in it, and closes it.
func closed(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "postflight.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	require.NoError(t, err)
	opened(t, s, "1", start)
	require.NoError(t, s.Close())
	return path
}

func alter(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.Exec(statement)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func TestOpenRefusesFile(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"not SQLite": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho hello\n"), 0o600))
		}, "is not an SQLite file"},
		"short": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("hi"), 0o600))
		}, "is not an SQLite file"},
		"corrupt": {func(t *testing.T, path string) {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			for i := 4096; i < len(content)-4096; i++ {
				content[i] = 0xa5
			}
			require.NoError(t, os.WriteFile(path, content, 0o600))
		}, "is corrupt"},
		"cut off": {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 5000)) }, "is corrupt"},
		"newer schema": {func(t *testing.T, path string) {
			alter(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, 1)`)
		}, "has schema version 9000, this postflight knows up to "},
		"newer River schema": {func(t *testing.T, path string) {
			alter(t, path, `INSERT INTO river_migration (line, version) VALUES ('main', 9000)`)
		}, "has River schema version 9000"},
	} {
		t.Run(name, func(t *testing.T) {
			path := closed(t)
			test.spoil(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = store.Open(t.Context(), "sqlite:"+path, store.Options{})
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), "\n", "one line")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after, "the file is as it was")
		})
	}
}

func TestOpenTwice(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "postflight.db")
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	_, err = store.Open(t.Context(), url, store.Options{})
	requireKind(t, verifier.Conflict, err)
	require.ErrorContains(t, err, "in use by another postflight")
	require.NoError(t, s.Close())
	open(t, url)
}

// A store is one file, whatever it is called.
func TestOpenByAnotherName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "postflight.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	require.NoError(t, err)
	require.NoError(t, os.Symlink(path, filepath.Join(dir, "soft.db")))
	_, err = store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "soft.db"), store.Options{})
	requireKind(t, verifier.Conflict, err)
	require.NoError(t, os.Link(path, filepath.Join(dir, "hard.db")))
	_, err = store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "hard.db"), store.Options{})
	requireKind(t, verifier.Conflict, err)
	require.NoError(t, os.Remove(path+".lock"))
	_, err = store.Open(t.Context(), "sqlite:"+path, store.Options{})
	requireKind(t, verifier.Conflict, err)
	require.NoError(t, s.Close())
	_, err = store.Open(t.Context(), "sqlite:"+path, store.Options{})
	requireKind(t, verifier.Invalid, err)
	require.ErrorContains(t, err, "has 2 names (hard links)")
}

// Nothing is acknowledged that goes into a file which nobody will find again.
func TestTheFileIsTakenAway(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"moved":    func(path string) error { return os.Rename(path, path+".old") },
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "postflight.db")
			s := open(t, "sqlite:"+path)
			require.NoError(t, s.Ping(t.Context()))
			require.NoError(t, take(path))
			_, _, err := s.Accept(t.Context(), finished("1", start), []verifier.Policy{policy()}, start)
			requireKind(t, verifier.Unavailable, err)
			require.ErrorContains(t, err, "was moved, removed or replaced while it was in use")
			requireKind(t, verifier.Unavailable, s.Ping(t.Context()))
		})
	}
}

func TestBusyIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postflight.db")
	s := open(t, "sqlite:"+path)
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	require.NoError(t, err)
	tx, err := other.Begin() // somebody at an SQLite prompt
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _, err = s.Accept(ctx, finished("1", start), []verifier.Policy{policy()}, start)
	requireKind(t, verifier.Unavailable, err)
	require.ErrorContains(t, err, "store notification")
	_, err = s.Counts(t.Context(), start)
	require.NoError(t, err, "reads go on")
	var unwritten *store.NoWritesError
	require.ErrorAs(t, s.Ping(t.Context()), &unwritten, "not ready")
	require.NoError(t, tx.Rollback())
	require.NoError(t, other.Close())
	opened(t, s, "1", start)
}

// TestKilled ends a process with SIGKILL while it delivers: the next one may
// open the file at once, finds all that was accepted, and delivers soon.
func TestKilled(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "postflight.db")
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	id := deliveryOf(t, s, v.ID)
	require.NoError(t, s.Close())

	child := startVictim(t, url, id)
	_, err = store.Open(t.Context(), url, store.Options{})
	requireKind(t, verifier.Conflict, err)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())

	s = open(t, url)
	seen := newCalls()
	begun := time.Now()
	run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		seen.add(id)
		return 0, nil
	}), store.DeliveryOptions{})
	seen.wait(t, id)
	require.Less(t, time.Since(begun), 5*time.Second, "not after River's rescue")
}

// startVictim starts a process that has taken that delivery when startVictim
// returns.
func startVictim(t *testing.T, url, id string) *exec.Cmd {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), victimEnv+"="+url)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, id, strings.TrimSpace(line))
	return child
}

// idle is a Deliverer with nothing to do.
type idle struct{}

func (idle) Deliver(context.Context, string) (time.Duration, error) { return 0, nil }

// A process that was killed while it looked at a verification must not hold it
// until its lease is over: the file has one owner, and that is us now.
func TestTakeOverFreesLeases(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "postflight.db")
	s := open(t, url)
	v := opened(t, s, "1.0.0", start)
	killed, err := s.Claim(t.Context(), later(1), time.Hour, 10)
	require.NoError(t, err)
	require.Len(t, killed, 1)
	again, err := s.Claim(t.Context(), later(2), time.Hour, 10)
	require.NoError(t, err)
	require.Empty(t, again)

	stop, err := s.StartDeliveries(t.Context(), idle{}, store.DeliveryOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, stop(context.Background())) }()
	again, err = s.Claim(t.Context(), later(2), time.Hour, 10)
	require.NoError(t, err)
	require.Len(t, again, 1)
	require.Equal(t, v.ID, again[0].Verification.ID)
	require.Equal(t, verifier.Conflict, verifier.KindOf(s.Prepare(t.Context(), killed[0])), "the earlier epoch is over")
}

// TestReadAudit reads the trail beside the store that writes it, and sees what
// was done to the file behind its back.
func TestReadAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postflight.db")
	_, err := store.ReadAudit(t.Context(), "sqlite:"+path)
	requireKind(t, verifier.NotFound, err)
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist, "reading creates nothing")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	require.NoError(t, err)
	for i := range 4 {
		require.NoError(t, s.ReleaseBrake(t.Context(), "dana", "fixed", later(i)))
	}
	entries, err := store.ReadAudit(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	require.Equal(t, wholeAudit(t, s), entries)
	require.Nil(t, verifier.CheckAudit(entries))

	// What the entry reads as stays the same, and what SQL finds does not.
	for statement, mended := range map[string]string{
		`UPDATE audit SET until = -62135596800000000 WHERE seq = 2`:            `UPDATE audit SET until = 0 WHERE seq = 2`,
		`UPDATE audit SET decided_by = CAST(decided_by AS BLOB) WHERE seq = 2`: `UPDATE audit SET decided_by = CAST(decided_by AS TEXT) WHERE seq = 2`,
	} {
		alter(t, path, statement)
		_, err = store.ReadAudit(t.Context(), "sqlite:"+path)
		require.ErrorContains(t, err, "audit entry 2 was changed", statement)
		alter(t, path, mended)
	}
	require.Equal(t, entries, wholeAudit(t, s))

	for _, spoil := range []struct {
		statement string
		seq       int64
		kind      verifier.AuditErrorKind
	}{
		{`UPDATE audit SET reason = 'none' WHERE seq = 4`, 4, verifier.AuditChanged},
		{`DELETE FROM audit WHERE seq = 2`, 2, verifier.AuditMissing},
		{`UPDATE audit SET seq = 9 WHERE seq = 1; UPDATE audit SET seq = 1 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 9`, 1, verifier.AuditReordered},
	} {
		alter(t, path, spoil.statement)
		fault := verifier.CheckAudit(wholeAudit(t, s))
		require.NotNil(t, fault, spoil.statement)
		require.Equal(t, spoil.kind, fault.Kind, fault.Error())
		require.Equal(t, spoil.seq, fault.Seq, fault.Error())
	}
	require.NoError(t, s.Close())
	entries, err = store.ReadAudit(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	require.Len(t, entries, 3, "without a daemon")
}
