package configs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const maxSecret = 64 << 10 // bytes

// pasted are beginnings of well-known credentials: where a file's name is
// asked for, the secret itself was written.
var pasted = []string{signingPrefix, "ghp_", "github_pat_", "gho_", "ghs_", "glpat-", "xox", "eyJ", "sk-", "-----BEGIN"}

// tokenLike reports whether a file's name may be a secret that was written in
// its place: nothing about it says path, and it is long enough, or it has a
// piece that paths don't have, long, with capitals, small letters and digits.
func tokenLike(name string) bool {
	if !strings.ContainsAny(name, "/.") && len(name) >= minToken {
		return true
	}
	for _, piece := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '.' }) {
		if len(piece) >= 16 && strings.ContainsAny(piece, digits) && strings.ToLower(piece) != piece && strings.ToUpper(piece) != piece {
			return true
		}
	}
	return false
}

const digits = "0123456789"

// secretFile reads the file that n names into secret. It adds its own problems
// and marks the field, for the value must not be shown carelessly.
func (d *decoder) secretFile(n *node, secret *Secret) error {
	name := n.text
	looksPasted := strings.Contains(name, "://") || strings.ContainsAny(name, "\n\x00")
	for _, p := range pasted {
		looksPasted = looksPasted || strings.HasPrefix(name, p)
	}
	if looksPasted {
		d.failed[secret] = true
		d.problem(n, "names a file that holds the secret, not the secret itself: put it into a file and write that file's name")
		return nil
	}
	path := d.resolve(name)
	value, err := readSecret(path)
	switch {
	case err == nil:
		*secret = NewSecret(value)
		return nil
	case noFile(path) && tokenLike(name):
		d.problem(n, "no such file in %s, and the value looks like the secret itself: write it to a file and name the file", absolute(d.dir))
	default:
		d.foreign(n, "can't read the secret", fmt.Errorf("%s: %w", absolute(path), err))
	}
	d.failed[secret] = true
	return nil
}

// noFile reports whether there can't be seen anything at a path, be it because
// the name is too long for one.
func noFile(path string) bool {
	_, err := os.Lstat(path) // #nosec G304 G703 -- the operator names it
	return err != nil
}

// absolute returns a path from the root on, where that can be told.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// resolve returns a path of the file relative to the file's own folder.
func (d *decoder) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.dir, name)
}

// readSecret returns the content of a file without its trailing line break.
// Errors don't name the file: the problem shows what was written.
func readSecret(path string) (string, error) {
	b, err := readRegular(path, maxSecret)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(b), "\r\n")
	if strings.TrimSpace(value) == "" {
		return "", errors.New("the file is empty")
	}
	return value, nil
}

// readRegular reads a regular file of limited size: never a pipe, which might
// not end.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // #nosec G703 -- the operator names it
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path) // #nosec G304 G703 -- the operator names it
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, cause(err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("the file is larger than %d KiB", limit>>10)
	}
	return b, nil
}

// cause returns a file error without the path.
func cause(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// inlineSecret reads a secret that is written as ${ENV} under the key without
// _file.
func (d *decoder) inlineSecret(n, file *node, fileKey string, secret *Secret) {
	d.nodes[secret] = n
	d.failed[secret] = true
	switch {
	case file != nil:
		d.problem(n, "is written twice: keep either this or %s", fileKey)
	case n.unset: // told already
	case n.shape != scalar || !wholeVariable.MatchString(n.raw):
		d.problem(n, "a secret doesn't belong into this file: write %s, or ${NAME} for an environment variable", fileKey)
	case strings.TrimSpace(n.text) == "":
		d.problem(n, "environment variable %s is empty", strings.Trim(n.raw, "${}"))
	default:
		delete(d.failed, secret)
		*secret = NewSecret(strings.TrimRight(n.text, "\r\n"))
	}
}
