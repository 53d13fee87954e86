package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Measured says when, of what and where a section was measured.
type Measured struct {
	At      string `json:"at"`     // the day
	Commit  string `json:"commit"` // with "-dirty" where the tree was changed
	Took    string `json:"took"`
	Machine string `json:"machine"`
	Quick   bool   `json:"quick,omitempty"` // with sizes too small to mean anything
}

// took is how long it took.
func (m Measured) took() time.Duration {
	d, _ := time.ParseDuration(m.Took) // as it was written
	return d
}

func measuredNow(began time.Time) Measured {
	return Measured{At: began.UTC().Format(time.DateOnly), Commit: commit(), Took: time.Since(began).Round(time.Second).String(), Machine: machine()}
}

func commit() string {
	out, err := exec.CommandContext(context.Background(), "git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func machine() string {
	model := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if _, value, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(line, "model name") {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s, %s/%s", runtime.NumCPU(), model, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
