package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/postflight/postflight/verifier"
)

// fileLock keeps a second postflight off the same file, whatever name it knows
// it by. The kernel releases it with the process, however that ends.
type fileLock struct {
	path string
	// database stays open until everything else is closed: to close any other
	// descriptor of it would drop SQLite's own locks.
	named, database *os.File
}

func lockFile(path string) (l *fileLock, err error) {
	l = &fileLock{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.release())
			l = nil
		}
	}()
	// By name, for the file may be replaced before it is locked, and by itself,
	// for it may have other names.
	if l.named, err = lockedFile(path+".lock", path); err != nil {
		return l, err
	}
	if l.database, err = lockedFile(path, path); err != nil {
		return l, err
	}
	info, err := l.database.Stat()
	if err != nil {
		return l, verifier.Errorf(verifier.Unavailable, "lock store %q: %w", path, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return l, verifier.Errorf(verifier.Invalid, "store %q has %d names (hard links): SQLite keeps what was written last in a file beside each name, so that what came over one is lost over the other; copy the file instead, and remove the other names", path, stat.Nlink)
	}
	return l, nil
}

func lockedFile(name, store string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, verifier.Errorf(verifier.Unavailable, "lock store: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = verifier.Errorf(verifier.Conflict, "store %q is in use by another postflight: stop that one, or name another file", store)
	} else {
		err = verifier.Errorf(verifier.Unavailable, "lock store %q: %w", store, err)
	}
	return nil, errors.Join(err, file.Close())
}

// there reports whether the file is still the one under its name: what is
// written to one that was moved or removed is lost, and nothing else would say
// so.
func (l *fileLock) there() error {
	if l == nil {
		return nil
	}
	held, err := l.database.Stat()
	if err != nil {
		return verifier.Errorf(verifier.Unavailable, "look at store %q: %w", l.path, err)
	}
	named, err := os.Stat(l.path)
	if err != nil || !os.SameFile(held, named) {
		return verifier.Errorf(verifier.Unavailable, "store %q was moved, removed or replaced while it was in use: stop this postflight, put the file back, and start it again", l.path)
	}
	return nil
}

// release leaves the file of the lock: removing it would let two processes lock
// two files of the same name.
func (l *fileLock) release() error {
	var errs []error
	for _, file := range []*os.File{l.database, l.named} {
		if file == nil {
			continue
		}
		if err := file.Close(); err != nil {
			errs = append(errs, fmt.Errorf("unlock store: %w", err))
		}
	}
	return errors.Join(errs...)
}

// resolved follows the links of a path, which need not be there yet.
func resolved(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		if real, err = filepath.EvalSymlinks(filepath.Dir(path)); errors.Is(err, os.ErrNotExist) {
			return path, nil // to open it will say so
		}
		return filepath.Join(real, filepath.Base(path)), err
	}
	return real, err
}
