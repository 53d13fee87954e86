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
	value, err := readSecret(d.resolve(name))
	if err != nil {
		d.failed[secret] = true
		d.foreign(n, "can't read the secret", err)
		return nil
	}
	*secret = NewSecret(value)
	return nil
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
