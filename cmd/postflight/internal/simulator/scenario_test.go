package simulator

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/verifier/intake"
)

var (
	update = flag.Bool("update", false, "write the table of docs/safety.md")
	full   = flag.Bool("full", false, "run every scenario with all of its seeds (make simulate)")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scenario is one row of the table: a story, told in a world of its own for
// each seed, and how each telling must end.
type scenario struct {
	id       string
	happens  string
	expected string
	// run tells the story and says how it ended, once for each place where it
	// happened. Whatever must hold in every telling it requires itself.
	run func(t *testing.T, seed uint64) []string
	// ends is how a telling must end, and share how many of them must; 0 is
	// all.
	ends  string
	share float64
	// worlds is how many seeds are told; quick how many of them in an ordinary
	// test run, 0 for all.
	worlds, quick int
	// races says that it is told under the race detector too.
	races bool
}

// seeds is how many worlds this run tells.
func (s scenario) seeds() int {
	switch {
	case *full:
		return s.worlds
	case raceDetector && !s.races:
		return 0
	case raceDetector:
		return 1
	case s.quick > 0:
		return s.quick
	}
	return s.worlds
}

// tally counts how the tellings of a scenario ended.
type tally struct {
	mu   sync.Mutex
	ends map[string]int
	runs int
}

func (c *tally) add(ends []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range ends {
		c.ends[end]++
		c.runs++
	}
}

// words says how the tellings ended, the most frequent first.
func (c *tally) words() string {
	ends := slices.SortedFunc(maps.Keys(c.ends), func(a, b string) int {
		if n := c.ends[b] - c.ends[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	var out []string
	for _, end := range ends {
		out = append(out, fmt.Sprintf("%d of %d: %s", c.ends[end], c.runs, end))
	}
	return strings.Join(out, "; ")
}

func TestScenarios(t *testing.T) {
	told := map[string]*tally{}
	t.Run("all", func(t *testing.T) {
		for _, s := range scenarios {
			c := &tally{ends: map[string]int{}}
			told[s.id] = c
			for seed := range s.seeds() {
				t.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(s.id, " ", "-"), seed+1), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { c.add(s.run(t, uint64(seed)+1)) })
				})
			}
		}
	})
	for _, s := range scenarios {
		c := told[s.id]
		if c.runs == 0 {
			continue // not in this run, or its own test failed
		}
		share := s.share
		if share == 0 {
			share = 1
		}
		if float64(c.ends[s.ends]) < share*float64(c.runs) {
			t.Errorf("%s: %s", s.id, c.words())
		}
	}
	if !t.Failed() {
		checkTable(t, told)
	}
}

const (
	tableBegins = "<!-- scenarios: written by go test ./cmd/postflight/internal/simulator -update -->"
	tableEnds   = "<!-- end of scenarios -->"
)

// checkTable compares the table of docs/safety.md with the scenarios, or
// writes it. A result is replaced only by one of a run with all the seeds.
func checkTable(t *testing.T, told map[string]*tally) {
	t.Helper()
	if flag.Lookup("test.run").Value.String() != "" && !*update {
		return // some of them only
	}
	file := filepath.Join("..", "..", "..", "..", "docs", "safety.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), tableBegins)
	require.True(t, ok, "%s has no %s", file, tableBegins)
	old, after, ok := strings.Cut(rest, tableEnds)
	require.True(t, ok, "%s has no %s", file, tableEnds)
	results := map[string]string{}
	for line := range strings.Lines(old) {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			results[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[4])
		}
	}
	table := "\n\n| scenario | what happens | expected | result |\n|---|---|---|---|\n"
	for _, s := range scenarios {
		if c := told[s.id]; *update && c.runs > 0 && (s.seeds() == s.worlds || results[s.id] == "") {
			results[s.id] = c.words()
		}
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", s.id, s.happens, s.expected, results[s.id])
	}
	table += "\n"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+tableBegins+table+tableEnds+after), 0o600))
		return
	}
	require.Equal(t, table, old, "docs/safety.md: run go test ./cmd/postflight/internal/simulator -update")
	for _, s := range scenarios {
		require.NotEmpty(t, results[s.id], "docs/safety.md has no result of %s: run make simulate", s.id)
	}
}

// What people may say of a deploy.

func irreversible(a *intake.Announcement) { no := false; a.Reversible = &no }

func previous(version string) func(*intake.Announcement) {
	return func(a *intake.Announcement) { a.Previous = version }
}
