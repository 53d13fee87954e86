package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/postflight/postflight"

// layers is the import table of the design: a package of a layer may import
// the named layers of this module and nothing else of it. Adapters stand side
// by side: none imports another.
var layers = map[string][]string{
	"verifier":      {},
	"pure":          {"verifier"},
	"failpoint":     {"verifier"}, // nothing at all in a daemon as it is released
	"engine":        {"verifier", "pure", "failpoint"},
	"replay":        {"verifier", "pure", "engine"}, // judges the past by the daemon's own looks
	"adapter":       {"verifier", "pure", "failpoint"},
	"offline":       {"verifier", "pure", "offline"}, // judges what was recorded or simulated
	"command":       {"verifier", "pure", "offline", "replay", "failpoint", "engine", "adapter", "adapter-child", "command"},
	"adapter-child": {"verifier", "pure", "adapter", "sending"}, // alerting/webhook knows alerting's ports
	"sending":       {"verifier", "adapter"},                    // what the receivers have in common
	"shared":        {"verifier", "shared"},                     // what the probes have in common
}

// layerOf returns the layer of a package by its folder, "" where the design
// has no such package.
func layerOf(dir string) string {
	switch {
	case dir == "verifier":
		return "verifier"
	case dir == "verifier/judge", dir == "verifier/safety", dir == "verifier/gate":
		return "pure"
	case dir == "verifier/failpoint":
		return "failpoint"
	case strings.HasPrefix(dir, "verifier/judge/"):
		return "offline"
	case dir == "verifier/engine":
		return "engine"
	case dir == "verifier/backtest":
		return "replay"
	case dir == "verifier/store" || strings.HasPrefix(dir, "verifier/store/"),
		dir == "verifier/intake", dir == "verifier/intake/poll", dir == "verifier/intake/review", dir == reviewTests, dir == "verifier/api", dir == "configs", dir == "alerting", dir == "dashboards":
		return "adapter"
	case strings.HasPrefix(dir, "probes/internal/"):
		return "shared"
	case path.Dir(dir) == "probes":
		return "adapter"
	case strings.HasPrefix(dir, "alerting/internal/"):
		return "sending"
	case dir == vendors:
		return "adapter-child"
	case path.Dir(dir) == "alerting", path.Dir(dir) == "dashboards", dir == browserTests:
		return "adapter-child"
	case dir == "cmd/postflight" || strings.HasPrefix(dir, "cmd/postflight/"), dir == "cmd/bench", dir == "cmd/bench-decisions", dir == "cmd/site", dir == "cmd/provenance",
		dir == "cmd/internal/invariant": // the tests' checker; the demo's module takes it as well
		return "command"
	}
	return ""
}

// parent reports whether to is the folder above from, or its own sub-folder:
// the only edges between adapters.
func parent(from, to string) bool {
	return path.Dir(from) == to || from == to || strings.HasPrefix(to, from+"/internal")
}

func TestImportsGoOneWay(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(root, file)
		require.NoError(t, err)
		if entry.IsDir() {
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil && rel != "." {
				return fs.SkipDir // a module of its own
			}
			if strings.HasPrefix(entry.Name(), ".") && rel != "." || entry.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) == ".go" {
			files++
			checkImports(t, filepath.ToSlash(rel), file)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 40, "the walk found the sources")
}

// vendors stand in for ticket systems in tests.
const vendors = "probes/tickets/vendortest"

// browserTests opens pages in a browser for tests.
const browserTests = "dashboards/board/browsertest"

// reviewTests is GitHub as a GitHub App meets it, for tests.
const reviewTests = "verifier/intake/review/reviewtest"

// postgresTests runs a PostgreSQL for tests and measurements.
const postgresTests = "verifier/store/pgtest"

// measurements is the benchmark, which starts what it measures.
const measurements = "cmd/bench"

// receiverTests is the suite that every receiver passes.
const receiverTests = "alerting/receivertest"

func checkImports(t *testing.T, rel, file string) {
	t.Helper()
	dir := path.Dir(rel)
	from := layerOf(dir)
	require.NotEmpty(t, from, "%s: the design has no package %s", rel, dir)
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	require.NoError(t, err)
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		to, ours := strings.CutPrefix(imported, module+"/")
		if !ours {
			if from == "verifier" && !strings.HasSuffix(rel, "_test.go") {
				require.NotContains(t, strings.Split(imported, "/")[0], ".", "%s: verifier imports only the standard library, not %s", rel, imported)
			}
			continue
		}
		if measured := dir == measurements && to == postgresTests; !measured && slices.Contains([]string{postgresTests, vendors, browserTests, receiverTests, reviewTests}, to) {
			require.True(t, strings.HasSuffix(rel, "_test.go"), "%s must not import %s: it is for tests", rel, to)
		}
		require.True(t, allowed(dir, from, to), "%s (%s) must not import %s (%s)", rel, from, to, layerOf(to))
	}
}

func allowed(dir, from, to string) bool {
	layer := layerOf(to)
	if dir == to { // an external test of its own package
		return true
	}
	if !slices.Contains(layers[from], layer) {
		return from == "adapter" && parent(dir, to) ||
			dir == "verifier/store" && to == postgresTests ||
			dir == "probes/tickets" && to == vendors ||
			dir == "dashboards/board" && to == browserTests ||
			dir == "verifier/intake/review" && to == reviewTests ||
			from == "adapter" && layer == "shared" && strings.HasPrefix(dir, "probes/") ||
			(from == "adapter-child" || dir == "alerting") && to == receiverTests
	}
	if from == "adapter-child" && layer == "adapter" {
		return parent(dir, to)
	}
	return true
}

func TestImportRuleSeesForbiddenEdges(t *testing.T) {
	for _, edge := range [][2]string{
		{"verifier", "verifier/judge"},
		{"verifier/judge", "verifier/engine"},
		{"verifier/store", "verifier/intake"},
		{"probes/promql", "probes/httpprobe"},
		{"alerting/webhook", "configs"},
		{"configs", "alerting"},
		{"verifier/engine", "verifier/store"},
		{"verifier/api", "cmd/postflight/internal/app"},
		{"dashboards/board", "verifier/store"},
	} {
		require.False(t, allowed(edge[0], layerOf(edge[0]), edge[1]), "%s -> %s", edge[0], edge[1])
	}
}

func TestTopLevelFoldersAreTheDesigns(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	require.NoError(t, err)
	given := []string{"cmd", "verifier", "probes", "alerting", "configs", "dashboards", "docs", "bin"}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			require.Contains(t, given, e.Name(), "a top-level folder that the design does not have")
		}
	}
}
