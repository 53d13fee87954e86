package crash

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables of docs/robustness.md")

// TestRobustnessPage compares the tables of docs/robustness.md with the matrix
// and with the counts of docs/robustness.json, which `make soak` writes:
// violations are shown there, not hidden by a test that wants none.
func TestRobustnessPage(t *testing.T) {
	docs := filepath.Join("..", "..", "..", "..", "docs")
	text, err := os.ReadFile(filepath.Join(docs, "robustness.json"))
	require.NoError(t, err)
	var record Record
	require.NoError(t, json.Unmarshal(text, &record))
	file := filepath.Join(docs, "robustness.md")
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	want := string(page)
	for name, table := range map[string]string{"kills": record.KillTable(), "matrix": record.MatrixTable()} {
		begins := "<!-- " + name + ": written by go test ./internal/crash -run Robustness -update in cmd/demo -->\n"
		before, rest, ok := strings.Cut(want, begins)
		require.True(t, ok, "the page has no %s", begins)
		_, after, ok := strings.Cut(rest, "<!-- end of "+name+" -->")
		require.True(t, ok)
		want = before + begins + "\n" + strings.TrimSpace(table) + "\n\n<!-- end of " + name + " -->" + after
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(page), "cd cmd/demo && go test ./internal/crash -run Robustness -update")
}

// Every row names tests that are there.
func TestMatrixNamesRealTests(t *testing.T) {
	require.Len(t, Matrix, 40)
	shown := map[string]bool{}
	for _, s := range Scenarios {
		shown[s.Row] = true
	}
	for _, row := range Matrix {
		require.True(t, len(row.Tests) > 0 || shown[row.Name] || row.Missing != "", "nothing shows %s", row.Name)
		for _, test := range row.Tests {
			folder, name, _ := strings.Cut(test, ": ")
			files, err := filepath.Glob(filepath.Join("..", "..", "..", "..", folder, "*_test.go"))
			require.NoError(t, err)
			found := false
			for _, f := range files {
				text, err := os.ReadFile(f)
				require.NoError(t, err)
				found = found || strings.Contains(string(text), "func "+name+"(")
			}
			require.True(t, found, "%s names %s, which is not in %s", row.Name, name, folder)
		}
	}
}

func TestSeedsAreWrittenAsRanges(t *testing.T) {
	require.Equal(t, "1-3, 7, 9-10", ranges([]uint64{3, 1, 2, 9, 10, 7, 2}))
	require.Empty(t, ranges(nil))
}

// A record counts what runs did, and leaves out those in which the machine
// stood still.
func TestSummarise(t *testing.T) {
	kills := []Kill{{Step: "judge.before_tx", Back: 80}, {Step: AtRandom, Back: 250}}
	good := Result{Run: Run{Store: SQLite, Seed: 4}, Build: "b", Kills: kills, Verifications: 10, Verdicts: 7}
	still := Result{Run: Run{Store: SQLite, Seed: 5}, Build: "b", Kills: kills, StoodStill: 90_000, Violations: []string{"I11"}}
	bad := Result{Run: Run{Store: PostgreSQL, Seed: 1}, Build: "b", Kills: kills[:1], Violations: []string{"I3"}}
	network := Result{Run: Run{Store: PostgreSQL, Seed: 1, Scenario: "database refused for 1 s"}, Build: "b", Verdicts: 3}
	record := Summarise([]Result{good, still, bad, network})
	require.Len(t, record.Kills, 1)
	k := record.Kills[0]
	require.Equal(t, Tallied{Runs: 2, Verifications: 10, Verdicts: 7, Violations: 1, Discarded: 1}, k.Tallied)
	require.Equal(t, map[string]Counts{"judge.before_tx": {SQLite: 1, PostgreSQL: 1}, AtRandom: {SQLite: 1}}, k.Steps)
	require.Equal(t, map[string]string{SQLite: "4", PostgreSQL: "1"}, k.Seeds)
	require.Equal(t, Milliseconds(250), k.SlowestStart)
	require.Equal(t, 2, k.of("F1"))
	require.Equal(t, 1, k.of("F2"))
	require.Equal(t, []FaultRecord{{Row: "F6", Scenario: "database refused for 1 s", Store: PostgreSQL, Build: "b", Seeds: "1", Tallied: Tallied{Runs: 1, Verdicts: 3}}}, record.Faults)
	require.Contains(t, record.KillTable(), "**1 violations**")
	require.Contains(t, record.MatrixTable(), "| F6 |")
}
