package crash

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"time"

	_ "modernc.org/sqlite" // the driver that reads what is left

	"github.com/postflight/postflight/cmd/demo/internal/powerloss"
)

// How often the power fails: for real, with the daemon started again on what is
// left; and in thought, at other moments of the same lives, where what was
// acknowledged until then must be on the disk.
const (
	failures     = 3
	livesFor     = 8 * time.Second
	thoughtsEach = 34
)

// powerLost lets the power fail under load.
func powerLost(ctx context.Context, u *universe) error {
	base := map[string][]byte{}
	for range failures {
		if !sleep(ctx, livesFor) {
			return ctx.Err()
		}
		if err := u.daemon.Kill(); err != nil {
			return err
		}
		calls, err := powerloss.Traced(u.dir)
		if err != nil {
			return err
		}
		p := &outage{u: u, disk: powerloss.NewDisk(u.dir, base, calls), said: promises(calls)}
		for range thoughtsEach {
			if err := p.think(ctx, 1+u.chance.IntN(p.end())); err != nil {
				return err
			}
		}
		if base, err = p.strike(ctx); err != nil {
			return err
		}
		if err := u.daemon.Start(ctx); err != nil {
			return fmt.Errorf("after the power failed: %w", err)
		}
	}
	if !sleep(ctx, after) {
		return ctx.Err()
	}
	return nil
}

// outage is a life that ended with the power.
type outage struct {
	u    *universe
	disk *powerloss.Disk
	said []promise
}

// promise is something that others were told, of which the store has to know.
type promise struct {
	moment int // from which on they may have known
	what   string
	query  string // counts what keeps it
	id     string
}

var (
	answered  = regexp.MustCompile(`^HTTP/1\.1 20[02] (?s:.*)"verification_id":"(vf_\w+)"`)
	decidedBy = regexp.MustCompile(`^HTTP/1\.1 20[01] (?s:.*)"id":"(vf_\w+)"(?s:.*)"override":\{`)
	asked     = regexp.MustCompile(`^POST (?s:.*)"type":"revert\.requested"(?s:.*)"revert_id":"(rv_\w+)"`)
	told      = regexp.MustCompile(`(?i)^POST (?s:.*)\r\nwebhook-id: (dl_\w+)\r\n`)
)

// promises are what the daemon said to others, by what it wrote to them.
func promises(calls []powerloss.Call) (out []promise) {
	kinds := []struct {
		pattern     *regexp.Regexp
		what, query string
	}{
		{answered, "verification %s was acknowledged", "SELECT count(*) FROM verifications WHERE id = ?"},
		{decidedBy, "a person's decision about %s was acknowledged", "SELECT count(*) FROM audit WHERE subject = ?"},
		{asked, "rollback %s was asked for", "SELECT count(*) FROM verifications v JOIN deliveries d ON d.verification = v.id JOIN attempts a ON a.delivery = d.id WHERE v.revert_id = ? AND d.kind = 'rollback'"},
		{told, "message %s was sent", "SELECT count(*) FROM attempts WHERE delivery = ?"},
	}
	for _, c := range calls {
		if c.Name != "write" {
			continue
		}
		for _, k := range kinds {
			if m := k.pattern.FindSubmatch(c.Data); m != nil {
				out = append(out, promise{moment: c.Begun, what: fmt.Sprintf(k.what, m[1]), query: k.query, id: string(m[1])})
			}
		}
	}
	return out
}

// end is the last moment of the life.
func (p *outage) end() int {
	last := 1
	for _, s := range p.said {
		last = max(last, s.moment)
	}
	return last
}

// think lets the power fail at a moment and reads what would be left: nothing
// that was not synced, and then what chance has of it.
func (p *outage) think(ctx context.Context, moment int) error {
	for _, chance := range []*rand.Rand{nil, p.u.chance} {
		if err := p.read(ctx, moment, p.disk.Left(moment, chance)); err != nil {
			return err
		}
	}
	return nil
}

// read opens what is left as the daemon would and holds it against what others
// had been told.
func (p *outage) read(ctx context.Context, moment int, left map[string][]byte) (err error) {
	dir, err := os.MkdirTemp("", "postflight-power-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := lay(dir, left); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, filepath.Base(p.u.database())))
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // of a copy
	var sound string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		return fmt.Errorf("the power failed at line %d of the trace: what is left is not sound: %s %w", moment, sound, err)
	}
	for _, s := range p.said {
		if s.moment > moment {
			continue
		}
		var kept int
		if err := db.QueryRowContext(ctx, s.query, s.id).Scan(&kept); err != nil || kept == 0 {
			return errors.Join(fmt.Errorf("the power failed at line %d of the trace: %s, and the store does not know it", moment, s.what), err)
		}
	}
	return nil
}

// strike puts what is left, as chance has it, in place of the files, and returns
// it.
func (p *outage) strike(ctx context.Context) (map[string][]byte, error) {
	left := p.disk.Left(1<<62, p.u.chance)
	if err := p.read(ctx, 1<<62, left); err != nil {
		return nil, err
	}
	database := p.u.database()
	for _, name := range []string{database, database + "-wal", database + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return left, lay(p.u.dir, left)
}

// lay writes the database's files into a folder. What it shares its memory by
// is made anew.
func lay(dir string, left map[string][]byte) error {
	for path, content := range left {
		name := filepath.Base(path)
		if name != "postflight.db" && name != "postflight.db-wal" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Clone(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
