package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BinaryVariable names the environment variable with the path of a postflight
// that is built already.
const BinaryVariable = "POSTFLIGHT_BINARY"

// Binary returns the path of the daemon: the one that BinaryVariable names, or
// a fresh build of this checkout in dir.
func Binary(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", BinaryVariable, err)
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s: %w", BinaryVariable, err)
		}
		return path, nil
	}
	root, err := repository()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "postflight")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./cmd/postflight") // #nosec G204 -- our own folder
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build postflight: %w\n%s", err, out)
	}
	return path, nil
}

// repository finds the root of this checkout above the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "postflight", "main.go")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: there is no cmd/postflight above the working directory; set " + BinaryVariable)
		}
		dir = parent
	}
}
