package grafana_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/grafana"
)

var update = flag.Bool("update", false, "write dashboards/grafana anew")

const folder = "../../../../dashboards/grafana"

// TestDashboardsAreCurrent compares what is committed with what is built.
func TestDashboardsAreCurrent(t *testing.T) {
	files, err := grafana.Files()
	require.NoError(t, err)
	require.Len(t, files, 3)
	for name, want := range files {
		if *update {
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), want, 0o600))
		}
		have, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "cd cmd/demo && go test ./internal/grafana -run Current -update")
	}
}
