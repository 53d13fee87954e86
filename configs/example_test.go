package configs

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func noEnv(string) (string, bool) { return "", false }

// parseTest parses a file of this package with the secrets of testdata.
func parseTest(t *testing.T, path string) (*Config, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return Parse("postflight.yml", data, "testdata", noEnv)
}
func TestTry(t *testing.T) {
	c, err := parseTest(t, "example.yml")
	require.NoError(t, err)
	t.Logf("%+v", c)
	t.Log(c.Unavailable())
}
