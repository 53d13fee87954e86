package crash

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/internal/invariant"
	"github.com/postflight/postflight/verifier/safety"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// documented returns the commands of docs/operating.md under a title.
func documented(t *testing.T, title string) (lines []string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "operating.md"))
	require.NoError(t, err)
	_, block, ok := strings.Cut(string(page), "```console\n# "+title+"\n")
	require.True(t, ok, "docs/operating.md has no commands %q", title)
	block, _, _ = strings.Cut(block, "```")
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// operator carries commands of the docs out, with the places of this machine.
type operator struct {
	u      *universe
	places *strings.Replacer
	env    []string
}

func newOperator(t *testing.T, u *universe) operator {
	t.Helper()
	o := operator{u: u, env: os.Environ()}
	if u.run.Store == PostgreSQL {
		at, err := url.Parse(u.storage)
		require.NoError(t, err)
		bin, err := pgtest.Programs()
		require.NoError(t, err)
		database := "postgres://postflight@" + at.Host
		o.env = append(o.env, "PATH="+bin+":"+os.Getenv("PATH"), "PGHOST="+at.Hostname(), "PGPORT="+at.Port(), "PGUSER=postflight")
		// What the docs call postflight has another name here.
		o.places = strings.NewReplacer("postgres://postflight@db.example/restored", database+"/restored",
			"postgres://postflight@db.example/postflight", database+at.Path, "/var/backups/postflight", t.TempDir(), "./postflight ", released+" ")
		return o
	}
	o.places = strings.NewReplacer("/var/lib/postflight/postflight.db", u.database(), "/var/backups/postflight", t.TempDir(), "./postflight ", released+" ")
	return o
}

// do runs the commands under a title, and returns the store that was checked.
func (o operator) do(t *testing.T, title string) (checked string) {
	t.Helper()
	for _, line := range documented(t, title) {
		switch line {
		case "systemctl stop postflight":
			require.NoError(t, o.u.daemon.Stop())
			continue
		case "systemctl start postflight":
			if strings.HasPrefix(checked, "postgres://") {
				o.u.daemon.With(nil, []string{"--storage.url=" + checked})
				o.u.storage = checked
			}
			require.NoError(t, o.u.daemon.Start(t.Context()))
			continue
		}
		line = o.places.Replace(line)
		require.NotContains(t, line, "/var/")
		require.NotContains(t, line, "db.example")
		run := exec.CommandContext(t.Context(), "sh", "-euc", line) // #nosec G204 -- of our own docs
		run.Env = o.env
		out, err := run.CombinedOutput()
		require.NoError(t, err, "%s: %s", line, out)
		t.Logf("$ %s\n%s", line, out)
		if m := regexp.MustCompile(`storage check --storage.url=(\S+)`).FindStringSubmatch(line); m != nil {
			require.Regexp(t, `(?m)^sound: [1-9]\d* deployments, [1-9]\d* verifications`, string(out))
			checked = m[1]
		}
	}
	return checked
}

// TestBackupsAreRestored backs a store up under load and restores it, by the
// commands of docs/operating.md. What was acknowledged before is there, what
// was under way goes on, and new deploys are judged.
func TestBackupsAreRestored(t *testing.T) {
	t.Parallel()
	for store, titles := range map[string][2]string{
		SQLite:     {"back up SQLite, while the daemon works", "restore SQLite"},
		PostgreSQL: {"back up PostgreSQL, while the replicas work", "restore PostgreSQL, into a database of its own"},
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			active <- struct{}{}
			defer func() { <-active }()
			u, err := open(t.Context(), Run{Store: store, Seed: seed}, Binaries{Current: released})
			require.NoError(t, err)
			defer func() { require.NoError(t, u.close()) }()
			o := newOperator(t, u)
			u.load.start()
			time.Sleep(8 * time.Second)
			acknowledged := u.acknowledged()
			require.Greater(t, len(acknowledged), 10)
			o.do(t, titles[0])
			backedUp := len(u.acknowledged())
			time.Sleep(3 * time.Second)
			u.load.stop()
			gone := u.acknowledged()[backedUp:]
			require.NotEmpty(t, gone)
			checked := o.do(t, titles[1])
			require.NotEmpty(t, checked, "the commands check what is restored")
			for _, id := range acknowledged {
				require.Equal(t, http.StatusOK, u.shows(t, id), "%s was acknowledged before the backup", id)
			}
			last := gone[len(gone)-1]
			require.Equal(t, http.StatusNotFound, u.shows(t, last), "%s was acknowledged after the backup, which is what works now", last)
			restored := time.Now()
			u.run.Seed++ // other deploys than before
			u.load = newLoad(u)
			u.load.start()
			time.Sleep(6 * time.Second)
			u.load.stop()
			u.settles(t)
			u.holds(t, restored)
		})
	}
}

// acknowledged are the verifications that were answered for.
func (u *universe) acknowledged() (ids []string) {
	for _, n := range u.notified() {
		if n.Status/100 == 2 && n.VerificationID != "" {
			ids = append(ids, n.VerificationID)
		}
	}
	return ids
}

// shows is the status of a verification's record.
func (u *universe) shows(t *testing.T, id string) int {
	t.Helper()
	res, err := resty.New().SetTimeout(5 * time.Second).R().Get(u.daemon.URL() + "/api/v1/verifications/" + id)
	require.NoError(t, err)
	return res.StatusCode()
}

// settles waits until every verification and delivery has come to its end. A
// rollback that went live after the backup can't be confirmed any more.
func (u *universe) settles(t *testing.T) {
	t.Helper()
	db, err := u.open()
	require.NoError(t, err)
	defer db.Close()
	var watched, deliveries, actions int
	for begun := time.Now(); ; time.Sleep(250 * time.Millisecond) {
		require.NoError(t, db.QueryRowContext(t.Context(), openRows).Scan(&watched, &deliveries, &actions))
		if watched+deliveries == 0 {
			break
		}
		require.Less(t, time.Since(begun), 3*time.Minute, "%d verifications and %d deliveries have not ended", watched, deliveries)
	}
	require.NoError(t, u.daemon.Stop())
}

// holds checks what the restored store holds against the invariants, without
// what the world saw: that is of the other store as well.
func (u *universe) holds(t *testing.T, since time.Time) {
	t.Helper()
	db, err := u.open()
	require.NoError(t, err)
	defer db.Close()
	state, err := invariant.Read(context.Background(), db)
	require.NoError(t, err)
	report := invariant.Evaluate(invariant.Run{State: state, Ended: time.Now(), Lives: invariant.Seen(u.lives()), Unordered: u.run.unordered(),
		Limits: safety.Limits{BrakeReverts: 100, BrakeWithin: time.Minute}})
	require.Empty(t, report.Violations, report.String())
	before, after := 0, 0
	for _, v := range state.Verifications {
		switch {
		case v.Verdict == nil:
		case v.OpenedAt.Before(since):
			before++
		default:
			after++
		}
	}
	t.Logf("%d verdicts about deploys from before the restore, %d after it", before, after)
	require.NotZero(t, before)
	require.NotZero(t, after)
}
