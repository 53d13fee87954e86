package crash

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// seed is of the worlds that these tests make; a failure is told again by the
// same one, as far as timing lets it.
const seed = 1

// released and faulty are the daemon without and with failpoints.
var released, faulty string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "postflight-crash-test-")
	if err == nil {
		err = flag.Set("test.parallel", "16") // worlds wait far more than they compute
	}
	if err == nil {
		released, err = world.Binary(context.Background(), dir)
	}
	if err == nil {
		faulty, err = buildFaulty(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	pgtest.Stop()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// buildFaulty builds the daemon with failpoints, unless the environment names
// one: with the race detector where the released one has it.
func buildFaulty(dir string) (string, error) {
	if path := os.Getenv("POSTFLIGHT_FAULTY_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	args := []string{"build", "-trimpath", "-tags", "failpoints", "-o", filepath.Join(dir, "postflight-faulty")}
	if info, err := buildinfo.ReadFile(released); err == nil {
		for _, s := range info.Settings {
			if s.Key == "-race" {
				args = append(args, "-race="+s.Value)
			}
		}
	}
	build := exec.Command("go", append(args, "./cmd/postflight")...)
	build.Dir = filepath.Join("..", "..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build postflight with failpoints: %w: %s", err, out)
	}
	return args[5], nil
}

func try(t *testing.T, run Run, active chan struct{}) {
	t.Helper()
	o := Options{Binaries: Binaries{Current: faulty, Previous: os.Getenv("POSTFLIGHT_PREVIOUS_BINARY")}, Build: "the tests'", Keep: os.Getenv("POSTFLIGHT_KEEP"), Active: active}
	result, err := Do(t.Context(), run, o)
	if result.Discarded() {
		t.Logf("the machine stood still for %d ms: once more", result.StoodStill)
		result, err = Do(t.Context(), run, o)
	}
	require.NoError(t, err)
	t.Log(result.Summary())
	require.Empty(t, result.Violations)
	require.NotZero(t, result.Verdicts, "nothing was decided, so nothing was shown")
}

// active bounds how many worlds work at once; the others wait for their ends.
var active = make(chan struct{}, 2)

func TestKillsAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, store := range Stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			try(t, Run{Store: store, Seed: seed, AtRandom: 2}, active)
		})
	}
}

func TestQuickScenarios(t *testing.T) {
	t.Parallel()
	for _, s := range Scenarios {
		if !s.Quick {
			continue // make test-faults has them all
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			try(t, Run{Store: cmp.Or(s.Store, SQLite), Seed: seed, Scenario: s.Name}, active)
		})
	}
}

func TestScenariosAreToldApart(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Scenarios {
		require.False(t, seen[s.Name], s.Name)
		seen[s.Name] = true
		require.Regexp(t, `^F[0-9]+$`, s.Row)
	}
}

// Where there is no earlier version to upgrade from, the scenario says so, and
// how to get one.
func TestUpgradeIsNotSkippedInSilence(t *testing.T) {
	for previous, why := range map[string]string{"": "there is no daemon of an earlier version", filepath.Join(t.TempDir(), "absent"): "no such file"} {
		_, err := Do(t.Context(), Run{Store: SQLite, Seed: seed, Scenario: "rolling upgrade from an earlier version"},
			Options{Binaries: Binaries{Current: faulty, Previous: previous}, Active: make(chan struct{}, 1)})
		require.ErrorContains(t, err, why)
		require.ErrorContains(t, err, "make bin/postflight-previous PREVIOUS=REF")
	}
}

// A released daemon holds nothing of the failpoints, and no faulty store: not
// the names of the steps, and nothing that reads faults.
func TestReleasedDaemonHasNoFailpoints(t *testing.T) {
	with, err := os.ReadFile(faulty)
	require.NoError(t, err)
	without, err := os.ReadFile(released)
	require.NoError(t, err)
	for _, name := range append([]string{"POSTFLIGHT_FAILPOINTS", "POSTFLIGHT_STORE_FAULTS", "(a fault put in by the test)", "internal/faulty"}, Steps...) {
		require.True(t, bytes.Contains(with, []byte(name)), "the check would see %s", name)
		require.False(t, bytes.Contains(without, []byte(name)), "the released daemon has %s", name)
	}
	info, err := buildinfo.ReadFile(released)
	require.NoError(t, err)
	for _, s := range info.Settings {
		require.NotEqual(t, "-tags", s.Key, "it was built with the tags %s", s.Value)
	}
}
