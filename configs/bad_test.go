package configs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// testEnv is the environment of the test files.
func testEnv(name string) (string, bool) {
	value, ok := map[string]string{"TOKEN": "environment-token-0123456789", "EMPTY": "", "HOST": "host"}[name]
	return value, ok
}

// parseTest parses a file with the secrets of testdata.
func parseTest(t *testing.T, path string) (*Config, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return Parse("postflight.yml", data, "testdata", testEnv)
}

// TestBadFiles loads one bad file for each rule. Its comments "# at:" say what
// stands where each of its problems points to, in order.
func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yml"), func(t *testing.T) {
			c, err := parseTest(t, path)
			require.Error(t, err)
			require.Nil(t, c)
			var problems Problems
			require.True(t, errors.As(err, &problems))
			here, err := os.Getwd()
			require.NoError(t, err)
			told := strings.ReplaceAll(problems.Error(), here, "/etc/postflight") + "\n"
			golden := strings.TrimSuffix(path, ".yml") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(told), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), told)
			pointsAt(t, path, problems)
		})
	}
}

func pointsAt(t *testing.T, path string, problems Problems) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(string(data), "\n")
	var want []string
	for _, line := range lines {
		if at, ok := strings.CutPrefix(line, "# at: "); ok {
			want = append(want, at)
		}
	}
	if len(want) == 0 {
		return // nothing to point at
	}
	require.Len(t, problems, len(want))
	for i, p := range problems {
		line := []rune(lines[p.Line-1])
		require.LessOrEqual(t, p.Col, len(line))
		require.True(t, strings.HasPrefix(string(line[p.Col-1:]), want[i]), "%s points at %q, not at %q", p, string(line[p.Col-1:]), want[i])
	}
}
