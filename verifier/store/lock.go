package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/postflight/postflight/verifier"
)

// fileLock keeps a second postflight off the same file. The kernel releases it
// with the process, however that ends.
type fileLock struct{ file *os.File }

func lockFile(path string) (*fileLock, error) {
	file, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, verifier.Errorf(verifier.Unavailable, "lock store: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &fileLock{file: file}, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = verifier.Errorf(verifier.Conflict, "store %q is in use by another postflight: stop that one, or name another file", path)
	} else {
		err = verifier.Errorf(verifier.Unavailable, "lock store %q: %w", path, err)
	}
	return nil, errors.Join(err, file.Close())
}

// release leaves the file: removing it would let two processes lock two files
// of the same name.
func (l *fileLock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("unlock store: %w", err)
	}
	return nil
}
