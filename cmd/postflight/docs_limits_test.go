package main

import (
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
	declared := declaredTests(t)
	named := regexp.MustCompile("`(Test\\w+)`")
	for name, text := range pages(t) {
		for _, found := range named.FindAllStringSubmatch(text, -1) {
			require.True(t, declared[found[1]], "%s: there is no %s", name, found[1])
		}
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
