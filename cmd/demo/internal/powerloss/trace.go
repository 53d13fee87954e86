// Package powerloss tells what a process would find on its disk after the power
// failed. The process runs under strace, which writes down each write and each
// sync; whatever was not synced by the moment of the failure may be there, be
// missing, or be there in part. A file that is new counts as there once it was
// synced itself, as on ext4 and XFS.
package powerloss

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Call is a system call that wrote, or made sure of what was written.
type Call struct {
	Name   string // write, pwrite64, ftruncate, fsync, fdatasync, unlink
	Path   string // of its file; "" is none that the trace could name
	Data   []byte // of a write
	Offset int64  // of a write, or the size after a truncation
	// Begun and Ended are the moments of the call, as numbers of lines of the
	// trace. Ended is 0 where the process ended first.
	Begun, Ended int
}

// Program writes a program into dir that runs another under strace, and
// returns its name. The process keeps its number, so that signals reach it; each
// run's trace is in dir as trace.NUMBER.
func Program(dir, program string) (string, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return "", fmt.Errorf("losing the power needs strace: apt-get install strace: %w", err)
	}
	text := fmt.Sprintf("#!/bin/sh\nexec %s -D -f --seccomp-bpf -qq -y -xx -s 4194304 -e signal=none -e trace=write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat -o '%s/trace.'$$ '%s' \"$@\"\n", strace, dir, program)
	name := filepath.Join(dir, "traced")
	return name, os.WriteFile(name, []byte(text), 0o700) // #nosec G306 -- a program of the tests
}

// Traced returns the calls of the newest run of a Program in dir, which has
// ended.
func Traced(dir string) ([]Call, error) {
	name, err := newest(dir)
	if err != nil {
		return nil, err
	}
	if err := written(name); err != nil {
		return nil, err
	}
	file, err := os.Open(name) // #nosec G304 -- of the tests' own folder
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	return Parse(file)
}

func newest(dir string) (name string, err error) {
	all, err := filepath.Glob(filepath.Join(dir, "trace.*"))
	var last time.Time
	for _, one := range all {
		if info, err := os.Stat(one); err == nil && info.ModTime().After(last) {
			name, last = one, info.ModTime()
		}
	}
	if err == nil && name == "" {
		err = fmt.Errorf("there is no trace in %s: did strace run?", dir)
	}
	return name, err
}

// written waits until strace has written its file down to the end: it outlives
// what it watches by moments.
func written(name string) error {
	size := int64(-1)
	for range 100 {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.Size() == size {
			return nil
		}
		size = info.Size()
		time.Sleep(300 * time.Millisecond)
	}
	return fmt.Errorf("%s still grows", name)
}

var (
	// 123  pwrite64(11</dir/postflight.db-wal>, "\x00\x01", 2, 32) = 2
	whole      = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	unfinished = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)`)
)

// Parse reads what strace wrote. Calls that failed are left out.
func Parse(r io.Reader) (out []Call, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	open := map[string]pending{} // by thread
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if m := unfinished.FindStringSubmatch(line); m != nil {
			open[m[1]] = pending{name: m[2], arguments: m[3], begun: n}
			continue
		}
		var p pending
		var result string
		if m := resumed.FindStringSubmatch(line); m != nil {
			p, result = open[m[1]], m[4]
			p.arguments += m[3]
			delete(open, m[1])
		} else if m := whole.FindStringSubmatch(line); m != nil {
			p, result = pending{name: m[2], arguments: m[3], begun: n}, m[4]
		} else {
			continue // the end of a thread
		}
		if strings.HasPrefix(result, "-") || p.name == "" {
			continue
		}
		call, err := p.call(n)
		if err != nil {
			return nil, fmt.Errorf("line %d of the trace: %w", n, err)
		}
		out = append(out, call)
	}
	for _, p := range open {
		if call, err := p.call(0); err == nil { // cut off with the process
			out = append(out, call)
		}
	}
	return out, lines.Err()
}

type pending struct {
	name, arguments string
	begun           int
}

func (p pending) call(ended int) (Call, error) {
	c := Call{Name: p.name, Begun: p.begun, Ended: ended}
	if strings.HasPrefix(p.name, "unlink") {
		c.Name = "unlink"
		_, quoted, _ := strings.Cut(p.arguments, `"`)
		quoted, _, _ = strings.Cut(quoted, `"`)
		path, err := bytes(quoted)
		c.Path = string(path)
		return c, err
	}
	descriptor, rest, _ := strings.Cut(p.arguments, ">")
	_, path, named := strings.Cut(descriptor, "<")
	if !named {
		return c, nil
	}
	var err error
	if c.Path, err = unquote(path); err != nil {
		return c, err
	}
	switch p.name {
	case "write", "pwrite64":
		return c, c.written(rest)
	case "ftruncate":
		c.Offset, err = strconv.ParseInt(strings.TrimLeft(rest, ", "), 10, 64)
	}
	return c, err
}

// written reads the data and the offset of a write.
func (c *Call) written(arguments string) (err error) {
	_, text, _ := strings.Cut(arguments, `"`)
	text, rest, complete := strings.Cut(text, `"`)
	if !complete || strings.HasPrefix(rest, "...") {
		return fmt.Errorf("%s of %s: the data are cut short", c.Name, c.Path)
	}
	if c.Data, err = bytes(text); err != nil || c.Name == "write" {
		return err
	}
	fields := strings.Split(rest, ", ")
	c.Offset, err = strconv.ParseInt(fields[len(fields)-1], 10, 64)
	return err
}

// unquote reads a path, which strace writes plainly or in hexadecimal.
func unquote(path string) (string, error) {
	if !strings.HasPrefix(path, `\x`) {
		return path, nil
	}
	b, err := bytes(path)
	return string(b), err
}

func bytes(escaped string) ([]byte, error) {
	return hex.DecodeString(strings.ReplaceAll(escaped, `\x`, ""))
}
