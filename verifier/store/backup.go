package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/postflight/postflight/verifier"
)

// Backup writes a copy of the SQLite store at storageURL, as it is at one
// moment, to a file that must not be there, while a daemon uses the store. The
// copy is on disk, and was checked, when Backup returns; it is a store like any
// other. PostgreSQL has its own tools, and is refused.
func Backup(ctx context.Context, storageURL, file string) (err error) {
	if isPostgres(storageURL) {
		return verifier.Errorf(verifier.Invalid, "this backs up SQLite files: of a PostgreSQL database make a backup by `pg_dump --format=custom --file=FILE DATABASE`, and read it back by `pg_restore`")
	}
	s, err := openToRead(ctx, storageURL, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if file, err = filepath.Abs(file); err != nil {
		return verifier.Errorf(verifier.Unavailable, "back up: %w", err)
	}
	made, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names it
	if errors.Is(err, os.ErrExist) {
		return verifier.Errorf(verifier.Conflict, "back up: %q is there already: name a new file", file)
	}
	if err != nil {
		return verifier.Errorf(verifier.Unavailable, "back up: %w", err)
	}
	// SQLite takes an empty file; a copy that isn't whole must not stay.
	defer func() {
		err = errors.Join(err, made.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(file))
		}
	}()
	db, err := connect(ctx, s.place, 1, url.Values{"_pragma": {"busy_timeout(5000)"}})
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO $1`, file)
	if err = errors.Join(err, db.Close()); err != nil {
		return fail(fmt.Sprintf("back up store %q", s.place), err)
	}
	if err := made.Sync(); err != nil {
		return verifier.Errorf(verifier.Unavailable, "back up: %w", err)
	}
	return checkFile(ctx, file)
}
