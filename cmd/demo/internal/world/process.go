package world

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
)

// logTail is how much of the daemon's log an error quotes.
const logTail = 4096

// logWriter keeps the daemon's log and catches the address in it.
type logWriter struct {
	file    *os.File
	address chan string

	mu   sync.Mutex
	rest []byte // the line that is not complete yet
}

// Write implements io.Writer.
func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		line, rest, complete := bytes.Cut(w.rest, []byte("\n"))
		if !complete {
			break
		}
		w.rest = rest
		if m := listening.FindSubmatch(line); m != nil {
			select {
			case w.address <- strings.Trim(string(m[1]), `"`):
			default: // told already
			}
		}
	}
	return w.file.Write(b)
}

// Log returns the end of the daemon's log.
func (d *Daemon) Log() string {
	b, err := os.ReadFile(d.logFile)
	if err != nil {
		return fmt.Sprintf("(its log can't be read: %v)", err)
	}
	return string(b[max(0, len(b)-logTail):])
}

// Memory is what a process holds, in bytes, from /proc.
type Memory struct {
	Resident int64 // now
	Peak     int64 // the most it ever held
}

// Memory reads the daemon's memory; only Linux tells it.
func (d *Daemon) Memory() (Memory, error) {
	if !d.Running() {
		return Memory{}, fmt.Errorf("read the memory of postflight: it does not run")
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.command.Process.Pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of postflight: %w", err)
	}
	var m Memory
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			m.Resident = kib * 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			m.Peak = kib * 1024
		}
	}
	return m, nil
}
