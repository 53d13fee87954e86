package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMakeTargetsInDocs: what the pages say to make can be made. CI makes the
// README's `make test` itself, and that plays stories of `make demo`.
func TestMakeTargetsInDocs(t *testing.T) {
	root := filepath.Join("..", "..")
	targets := map[string]bool{}
	for name, text := range pages(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			require.NotEqual(t, "a", m[1], name)
			targets[m[1]] = true
		}
	}
	require.True(t, targets["test"] && targets["demo"] && targets["build"])
	for target := range targets {
		cmd := exec.CommandContext(t.Context(), "make", "-n", "-C", root, target)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	ci, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^make test$`, string(ci))
}
