// Package pgtest runs a real PostgreSQL for tests: an own server in a
// temporary directory, started with the first database that a test asks for
// and gone with the test process, however that ends.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// GuardedUser may connect with GuardedPassword only; the others need none.
const (
	GuardedUser     = "guarded"
	GuardedPassword = "a-secret-of-the-tests"
)

type server struct {
	port  int
	cmd   *exec.Cmd
	watch io.Closer // closing it ends the server
	log   string
}

// one is a server that is started when it is first asked for.
type one struct {
	settings []string
	once     sync.Once
	running  *server
	fault    error
}

var (
	// quick forgets what it was told when the machine stops; durable keeps it, as
	// a server does that nobody has set otherwise.
	quick   = one{settings: []string{"fsync=off", "full_page_writes=off", "autovacuum=off", "max_connections=300"}}
	durable = one{settings: []string{"max_connections=300"}}
	number  atomic.Int64
)

// Database returns the url of a fresh, empty database.
func Database(t testing.TB) string {
	t.Helper()
	return create(t, "template0")
}

// Copy returns the url of a copy of a database that nobody is connected to.
func Copy(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	return create(t, strings.TrimPrefix(u.Path, "/"))
}

func create(t testing.TB, template string) string {
	t.Helper()
	database, err := quick.create(t.Context(), template)
	require.NoError(t, err)
	return database
}

// New returns the url of a fresh, empty database, for programs that test.
func New(ctx context.Context) (string, error) { return quick.create(ctx, "template0") }

// NewDurable is New on a server that has everything on disk before it says so,
// in the folder for temporary files.
func NewDurable(ctx context.Context) (string, error) { return durable.create(ctx, "template0") }

func (o *one) create(ctx context.Context, template string) (string, error) {
	o.once.Do(func() {
		for range 3 { // another process may take the port before PostgreSQL does
			if o.running, o.fault = start(context.Background(), o.settings); o.fault == nil {
				return
			}
		}
	})
	if o.fault != nil {
		return "", o.fault
	}
	name := "test" + strconv.FormatInt(number.Add(1), 10)
	return o.running.url(name), execute(ctx, o.running.url("postgres"), "CREATE DATABASE "+name+" TEMPLATE "+template)
}

// Exec runs one statement.
func Exec(t testing.TB, url, statement string) {
	t.Helper()
	require.NoError(t, execute(t.Context(), url, statement))
}

// Deadlocks returns how many transactions the database ended because they waited
// for one another, as far as connections that were closed have told.
func Deadlocks(t testing.TB, url string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n))
	require.NoError(t, conn.Close(t.Context()))
	return n
}

func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// Stop ends the servers that were started. Call it at the end of TestMain.
func Stop() {
	for _, o := range []*one{&quick, &durable} {
		if o.running != nil {
			o.running.stop()
		}
	}
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://postflight@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Programs returns the directory of initdb and postgres: Debian keeps those of
// each version apart from the path.
func Programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		path, err := exec.LookPath("postgres")
		if err != nil {
			return "", errors.New("these tests need PostgreSQL (Debian: apt-get install postgresql; `make test` does that as root)")
		}
		return filepath.Dir(path), nil
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// unprivileged is whom PostgreSQL runs as: it refuses root. nil is ourselves.
func unprivileged() (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

func start(ctx context.Context, settings []string) (*server, error) {
	bin, err := Programs()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, fmt.Errorf("choose who runs PostgreSQL: %w", err)
	}
	dir, err := os.MkdirTemp("", "postflight-pg")
	if err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	if err := initialise(ctx, bin, dir, as); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := serve(ctx, bin, dir, as, settings)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.prepare(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func initialise(ctx context.Context, bin, dir string, as *syscall.SysProcAttr) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), // #nosec G204 -- ours
		"-U", "postflight", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = dir, as
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	access := "host all " + GuardedUser + " 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
	return os.WriteFile(filepath.Join(dir, "data", "pg_hba.conf"), []byte(access), 0o644) // #nosec G306 -- its server reads it
}

// supervise ends the server, and removes what it wrote, when the test process
// closes the pipe or is gone.
const supervise = `dir=$1; shift; "$@" </dev/null & read -r _; kill -QUIT $!; wait; rm -rf "$dir"/*; rmdir "$dir"`

func serve(ctx context.Context, bin, dir string, as *syscall.SysProcAttr, settings []string) (*server, error) {
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{port: free.Addr().(*net.TCPAddr).Port, log: filepath.Join(dir, "log")}
	if err := free.Close(); err != nil {
		return nil, err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the server has it open
	args := []string{"-c", supervise, "sh", dir, filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"),
		"-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", ""}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.CommandContext(ctx, "sh", args...) // #nosec G204 -- ours
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = dir, ownGroup(as), log, log
	if s.watch, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.cmd = cmd
	if err := s.awaitReady(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// ownGroup keeps the terminal's Ctrl-C from who is to tidy up after it.
func ownGroup(as *syscall.SysProcAttr) *syscall.SysProcAttr {
	own := syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		own.Credential = as.Credential
	}
	return &own
}

func (s *server) awaitReady() error {
	for range 200 {
		said, err := os.ReadFile(s.log)
		switch {
		case err != nil:
			return err
		case bytes.Contains(said, []byte("ready to accept connections")):
			return nil
		case bytes.Contains(said, []byte("FATAL")):
			return fmt.Errorf("start PostgreSQL: %s", strings.TrimSpace(string(said)))
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("PostgreSQL was not ready within 10 s, see %s", s.log)
}

// prepare makes the user that needs a password.
func (s *server) prepare(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE ROLE "+GuardedUser+" LOGIN PASSWORD '"+GuardedPassword+"'")
	return errors.Join(err, conn.Close(ctx))
}

func (s *server) stop() {
	_ = s.watch.Close() // it is killed: how it ends says nothing
	_ = s.cmd.Wait()
}
