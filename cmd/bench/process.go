package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc's times on Linux, everywhere that Go runs.
const clockTick = 10 * time.Millisecond

// usage is what a process has taken of the machine so far.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes, now
	peak     int64 // bytes
	written  int64 // bytes to disk
}

// usageOf reads it from /proc.
func usageOf(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("read the process's times: %w", err)
	}
	// The name, in brackets, may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read the process's times: %w", err)
		}
		u.cpu += time.Duration(ticks) * clockTick
	}
	if u.written, err = number(fmt.Sprintf("/proc/%d/io", pid), "write_bytes"); err != nil {
		return u, err
	}
	if u.resident, err = number(fmt.Sprintf("/proc/%d/status", pid), "VmRSS"); err != nil {
		return u, err
	}
	u.peak, err = number(fmt.Sprintf("/proc/%d/status", pid), "VmHWM")
	return u, err
}

// number is a line of a file of /proc, in bytes.
func number(file, name string) (int64, error) {
	text, err := os.ReadFile(file) // #nosec G304 -- of /proc
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key == name {
			kilo, isKilo := strings.CutSuffix(value, " kB")
			n, err := strconv.ParseInt(strings.TrimSpace(kilo), 10, 64)
			if isKilo {
				n <<= 10
			}
			return n, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}
