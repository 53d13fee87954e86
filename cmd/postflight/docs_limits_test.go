package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLimitsNameTheirTests: each row of docs/limits.md names tests that are
// there.
func TestLimitsNameTheirTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "limits.md"))
	require.NoError(t, err)
	root, declared := filepath.Join("..", ".."), map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		for _, found := range declaration.FindAllSubmatch(source, -1) {
			declared[string(found[1])] = true
		}
		return err
	}))
	named := regexp.MustCompile("`(Test\\w+)`")
	for _, found := range named.FindAllSubmatch(page, -1) {
		require.True(t, declared[string(found[1])], "docs/limits.md: there is no %s", found[1])
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "| what") && !strings.HasPrefix(line, "|---") {
			rows++
			require.Regexp(t, named, line, "a limit without a test")
		}
	}
	require.Greater(t, rows, 20)
}
