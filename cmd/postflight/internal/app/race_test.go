package app

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// withoutRaceDetector leaves a long test to the run of `make test` that is
// without it, by the names in the Makefile; others go the same ways with it.
func withoutRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("make test runs it without the race detector")
	}
}

// TestNothingIsLeftOutByTheRaceDetector: what is skipped with it is named by the
// line of the Makefile that runs the package without it.
func TestNothingIsLeftOutByTheRaceDetector(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "Makefile"))
	require.NoError(t, err)
	line := regexp.MustCompile(`go test -timeout \w+ -run '([^']+)' \./cmd/postflight/internal/app\b`).FindSubmatch(makefile)
	require.NotNil(t, line)
	named := regexp.MustCompile(string(line[1]))
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	skipping := regexp.MustCompile(`func (Test\w+)\(t \*testing\.T\) \{\n\twithoutRaceDetector\(t\)`)
	found := 0
	for _, file := range files {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, test := range skipping.FindAllSubmatch(code, -1) {
			require.Regexp(t, named, string(test[1]))
			found++
		}
	}
	require.Equal(t, 6, found, "as many as call it")
}
