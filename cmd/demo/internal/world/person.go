package world

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Command runs postflight's own command line against the daemon, as a person at
// a terminal does, and returns what it printed.
func (w *World) Command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, w.options.Binary, append(args, "--url", w.Daemon.URL())...) // #nosec G204 -- our own build
	cmd.Env = withoutOwnVariables(cmd.Environ())
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("postflight %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, nil
}
