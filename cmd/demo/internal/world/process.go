package world

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
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

// Said reports whether the end of the daemon's log holds a text.
func (d *Daemon) Said(text string) bool { return strings.Contains(d.Log(), text) }

// WholeLog returns all that the daemon logged, over its restarts.
func (d *Daemon) WholeLog() ([]byte, error) {
	b, err := os.ReadFile(d.logFile)
	if err != nil {
		return nil, fmt.Errorf("read the log of postflight: %w", err)
	}
	return b, nil
}

// Life is one process of the daemon.
type Life struct {
	Started time.Time // when it was ready
	Ended   time.Time // zero while it lives
	Killed  bool
}

// Lives returns the processes so far, in order.
func (d *Daemon) Lives() []Life {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Life(nil), d.lives...)
}

func (d *Daemon) born() {
	d.mu.Lock()
	defer d.mu.Unlock()
	life := Life{Started: time.Now()}
	select {
	case <-d.exited: // it was ready, and did not live to be noted
		life.Ended, life.Killed = life.Started, true
	default:
	}
	d.lives = append(d.lives, life)
}

// dies notes when a process began to end.
func (d *Daemon) dies(killed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.lives); n > 0 && d.lives[n-1].Ended.IsZero() {
		d.lives[n-1].Ended, d.lives[n-1].Killed = time.Now(), killed
	}
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

// StandsStill reports whether the process was stopped by a signal, and neither
// ended nor went on; only Linux tells it.
func (d *Daemon) StandsStill() (bool, error) {
	if !d.Running() {
		return false, fmt.Errorf("look at postflight: it does not run:\n%s", d.Log())
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.command.Process.Pid))
	if err != nil {
		return false, fmt.Errorf("look at postflight: %w", err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "T"), nil
}
