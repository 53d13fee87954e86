package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// Binaries are the daemons that runs are made with.
type Binaries struct {
	Current string // built with the tag failpoints
	// Previous is of an earlier version, to upgrade from; "" where there is none.
	Previous string
}

// previous names the earlier version, or says how to get one: nothing is
// skipped in silence.
func (b Binaries) previous() (string, error) {
	const remedy = "build one by `make bin/postflight-previous PREVIOUS=REF`, in a clone that has that commit (git fetch --unshallow), and name it by -previous or POSTFLIGHT_PREVIOUS_BINARY"
	if b.Previous == "" {
		return "", errors.New("there is no daemon of an earlier version to upgrade from: " + remedy)
	}
	if _, err := os.Stat(b.Previous); err != nil {
		return "", fmt.Errorf("the daemon of an earlier version: %w: %s", err, remedy)
	}
	return b.Previous, nil
}

// How long each stage of an upgrade lasts under load: some windows, and until
// each replica had its share, which may be small where they look for work at
// nearly the same moments.
const (
	stageAtLeast = 15 * time.Second
	stageAtMost  = 90 * time.Second
)

// rollingUpgrade replaces two replicas of an earlier version one after the
// other, as an operator does. The first new one migrates beside an old one that
// goes on working; an old one that is started again is refused.
func rollingUpgrade(ctx context.Context, u *universe) error {
	old := u.replicas
	if err := u.stageOf(ctx, old...); err != nil {
		return fmt.Errorf("two of the earlier version: %w", err)
	}
	before, err := u.schema(ctx)
	if err != nil {
		return err
	}
	fresh := make([]*replica, 0, len(old))
	for i := range old {
		if err := u.leave(old[i]); err != nil {
			return err
		}
		r, err := u.newReplica(ctx, fmt.Sprint("upgraded-", i+1), u.binaries.Current)
		if err != nil {
			return err
		}
		if err := u.join(ctx, r); err != nil {
			return err
		}
		fresh = append(fresh, r)
		u.daemon = fresh[0]
		if err := u.stageOf(ctx, append(fresh[:len(fresh):len(fresh)], old[i+1:]...)...); err != nil {
			return fmt.Errorf("%d of the earlier version and %d of this one: %w", len(old)-i-1, len(fresh), err)
		}
	}
	after, err := u.schema(ctx)
	if err != nil {
		return err
	}
	if err := u.refused(ctx, old[0], before, after); err != nil {
		return err
	}
	return u.sound(ctx)
}

// stageOf lets replicas share the work until each has had some of it.
func (u *universe) stageOf(ctx context.Context, all ...*replica) error {
	had := make([]float64, len(all))
	for i, r := range all {
		var err error
		if had[i], err = r.looks(ctx); err != nil {
			return err
		}
	}
	for begun := time.Now(); time.Since(begun) < stageAtMost; {
		if !sleep(ctx, stageAtLeast/3) {
			return ctx.Err()
		}
		idle := 0
		for i, r := range all {
			n, err := r.looks(ctx)
			if err != nil {
				return err
			}
			if n == had[i] {
				idle++
			}
		}
		if idle == 0 && time.Since(begun) >= stageAtLeast {
			return nil
		}
	}
	return fmt.Errorf("a replica looked at nothing within %s", stageAtMost)
}

// decidedEarlier are the verdicts of the earlier version: its judge may say it
// in other words, and decide by other rules, than this one's.
func (u *universe) decidedEarlier() (map[string]bool, error) {
	out := map[string]bool{}
	for _, r := range u.replicas {
		if !r.earlier {
			continue
		}
		ids, err := r.decided()
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			out[id] = true
		}
	}
	return out, nil
}

func (u *universe) schema(ctx context.Context) (version int, err error) {
	db, err := u.open()
	if err != nil {
		return 0, err
	}
	defer db.Close() //nolint:errcheck // only read
	return version, db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&version)
}

// refused starts a replica of the earlier version again. Where the schema is
// newer than it knows it says so in one line, and touches nothing.
func (u *universe) refused(ctx context.Context, r *replica, before, after int) error {
	if before == after {
		return nil // the two versions share a schema
	}
	err := r.Start(ctx)
	if err == nil {
		return errors.Join(fmt.Errorf("the earlier version, of schema %d, works again on schema %d", before, after), r.Stop())
	}
	if want := fmt.Sprintf("has schema version %d, this postflight knows up to %d", after, before); !strings.Contains(err.Error(), want) {
		return fmt.Errorf("the earlier version was to say that it %s: %w", want, err)
	}
	return nil
}

var soundLine = regexp.MustCompile(`(?m)^sound: \d+ deployments`)

// sound runs `storage check` beside the daemons.
func (u *universe) sound(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, u.binaries.Current, "storage", "check", "--storage.url", u.storage).CombinedOutput() // #nosec G204 -- our own build
	if err != nil || !soundLine.Match(out) {
		return fmt.Errorf("storage check: %w:\n%s", err, out)
	}
	return nil
}
