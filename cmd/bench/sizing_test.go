package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizingIsOfTheWindows(t *testing.T) {
	data := map[string]float64{}
	for _, c := range []struct {
		cell
		cores, memory float64
	}{{cell{100, 1, false}, 0.02, 60 << 20}, {cell{1000, 1, false}, 0.13, 120 << 20}, {cell{10000, 1, false}, 1.2, 480 << 20}} {
		data[c.key()+"cores"], data[c.key()+"bytes of memory"], data[c.key()+"written B/s"] = c.cores, c.memory, 3<<20
	}
	said := sizing([]Section{{name: "windows", Data: data}})
	require.Contains(t, said, "| 1,000 | SQLite | 0.13 cores | 120.0 MiB | 3.0 MiB | 253.1 GiB | not measured |")
	require.Contains(t, said, "| 1,000 | PostgreSQL | not measured |")
	require.Contains(t, said, "With SQLite the requests of [the manifests](deploy/README.md) are right for one replica up to about 700 windows (100m of CPU) and 4,400 (256Mi of memory)")
	require.NotContains(t, said, "With PostgreSQL the requests")
	require.Empty(t, sizing(nil))
}

// What the page says of the manifests is what they ask for.
func TestSizingKnowsTheManifests(t *testing.T) {
	var text []byte
	files, err := filepath.Glob("../../docs/deploy/kubernetes/*/*.y*ml")
	require.NoError(t, err)
	for _, name := range files {
		one, err := os.ReadFile(name)
		require.NoError(t, err)
		text = append(text, one...)
	}
	require.Regexp(t, `requests:.*cpu: "?100m"?, memory: "?256Mi`, string(text))
}

func TestMissedGoalsSayWhy(t *testing.T) {
	all, err := sections("../../docs")
	require.NoError(t, err)
	for _, s := range all {
		for _, f := range s.Figures {
			if f.Goal != "" && !f.Met {
				require.NotEmpty(t, why(f.What), f.What)
			}
		}
	}
}
