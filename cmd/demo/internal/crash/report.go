package crash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Record is what is kept of many runs: docs/robustness.json.
type Record struct {
	Kills  []KillRecord  `json:"kills"`
	Faults []FaultRecord `json:"faults"`
}

// KillRecord sums up the kills of one build.
type KillRecord struct {
	Build   string            `json:"build"`
	Until   string            `json:"until"` // the day of the last run
	Seeds   map[string]string `json:"seeds"` // by store, such as 1-84
	Steps   map[string]Counts `json:"steps"` // by step
	Tallied `json:"tallied"`
	// SlowestStart is the longest that a daemon took until it was ready again.
	SlowestStart Milliseconds `json:"slowest_start_ms"`
}

// Counts are by store.
type Counts map[string]int

// FaultRecord sums up a scenario's runs of one build.
type FaultRecord struct {
	Row      string `json:"row"`
	Scenario string `json:"scenario"`
	Store    string `json:"store"`
	Build    string `json:"build"`
	Seeds    string `json:"seeds"`
	Tallied  `json:"tallied"`
	// Slopes are of the last run that went on for long.
	Slopes []Slope `json:"slopes,omitempty"`
}

// Tallied is how much there was to get wrong, and what was.
type Tallied struct {
	Runs          int `json:"runs"`
	Verifications int `json:"verifications"`
	Verdicts      int `json:"verdicts"` // each recomputed from what is stored
	Rollbacks     int `json:"rollbacks"`
	Messages      int `json:"messages"`
	Violations    int `json:"violations"`
	// Discarded runs say nothing, for the machine stood still; they were made
	// again.
	Discarded int `json:"discarded,omitempty"`
}

func (t *Tallied) add(r Result) {
	if r.Discarded() {
		t.Discarded++
		return
	}
	t.Runs++
	t.Verifications += r.Verifications
	t.Verdicts += r.Verdicts
	t.Rollbacks += r.Rollbacks
	t.Messages += r.Messages
	t.Violations += len(r.Violations)
}

// Summarise makes a record of results.
func Summarise(results []Result) Record {
	kills, faults := map[string]*KillRecord{}, map[string]*FaultRecord{}
	seeds := map[any][]uint64{}
	for _, r := range results {
		if r.Scenario != "" {
			s, err := scenarioOf(r.Scenario)
			if err != nil {
				continue // of a build that had another list
			}
			key := r.Build + r.Scenario
			if faults[key] == nil {
				faults[key] = &FaultRecord{Row: s.Row, Scenario: s.Name, Store: r.Store, Build: r.Build}
			}
			if faults[key].add(r); r.Discarded() {
				continue
			}
			seeds[key] = append(seeds[key], r.Seed)
			if r.Slopes != nil {
				faults[key].Slopes = r.Slopes
			}
			continue
		}
		k := kills[r.Build]
		if k == nil {
			k = &KillRecord{Build: r.Build, Seeds: map[string]string{}, Steps: map[string]Counts{}}
			kills[r.Build] = k
		}
		if k.add(r); r.Discarded() {
			continue
		}
		k.Until = max(k.Until, r.At.Format("2006-01-02"))
		seeds[[2]string{r.Build, r.Store}] = append(seeds[[2]string{r.Build, r.Store}], r.Seed)
		for _, one := range r.Kills {
			if k.Steps[one.Step] == nil {
				k.Steps[one.Step] = Counts{}
			}
			k.Steps[one.Step][r.Store]++
			k.SlowestStart = max(k.SlowestStart, one.Back)
		}
	}
	var out Record
	for _, build := range slices.Sorted(maps.Keys(kills)) {
		for _, store := range Stores {
			kills[build].Seeds[store] = ranges(seeds[[2]string{build, store}])
		}
		out.Kills = append(out.Kills, *kills[build])
	}
	for _, s := range Scenarios {
		for _, key := range slices.Sorted(maps.Keys(faults)) {
			if faults[key].Scenario == s.Name {
				faults[key].Seeds = ranges(seeds[key])
				out.Faults = append(out.Faults, *faults[key])
			}
		}
	}
	return out
}

// ranges writes seeds as 1-84, 90.
func ranges(seeds []uint64) string {
	slices.Sort(seeds)
	var out []string
	for i := 0; i < len(seeds); {
		j := i
		for j+1 < len(seeds) && seeds[j+1] <= seeds[j]+1 {
			j++
		}
		if out = append(out, fmt.Sprint(seeds[i])); seeds[j] > seeds[i] {
			out[len(out)-1] = fmt.Sprintf("%d-%d", seeds[i], seeds[j])
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}

// KillTable is the kills as a table of Markdown.
func (r Record) KillTable() string {
	var out strings.Builder
	for _, k := range r.Kills {
		total := Counts{}
		fmt.Fprintf(&out, "Build `%s`, until %s: seeds %s on SQLite and %s on PostgreSQL; %d worlds with %d verifications, %d verdicts (each recomputed), %d rollback requests and %d messages; ready again after at most %.1f s; **%d violations**.\n\n",
			k.Build, k.Until, k.Seeds[SQLite], k.Seeds[PostgreSQL], k.Runs, k.Verifications, k.Verdicts, k.Rollbacks, k.Messages, float64(k.SlowestStart)/1000, k.Violations)
		if k.Discarded > 0 {
			fmt.Fprintf(&out, "%d worlds more were discarded and made again with the same seeds: the machine itself had stood still in them, for all processes at once.\n\n", k.Discarded)
		}
		fmt.Fprint(&out, "| killed at | SQLite | PostgreSQL |\n|---|---|---|\n")
		for _, step := range Steps {
			for _, store := range Stores {
				total[store] += k.Steps[step][store]
			}
			fmt.Fprintf(&out, "| `%s` | %d | %d |\n", step, k.Steps[step][SQLite], k.Steps[step][PostgreSQL])
		}
		fmt.Fprintf(&out, "| **the 18 steps: %d** | **%d** | **%d** |\n", total[SQLite]+total[PostgreSQL], total[SQLite], total[PostgreSQL])
		fmt.Fprintf(&out, "| %s | %d | %d |\n\n", AtRandom, k.Steps[AtRandom][SQLite], k.Steps[AtRandom][PostgreSQL])
	}
	return out.String()
}

// MatrixTable is the fault matrix as a table of Markdown.
func (r Record) MatrixTable() string {
	var out strings.Builder
	fmt.Fprint(&out, "| | fault | must hold, beside I1 to I20 | with every change | `make test-faults`, `make soak` | runs | violations |\n|---|---|---|---|---|---|---|\n")
	for _, row := range Matrix {
		var tests, scenarios []string
		for _, t := range row.Tests {
			folder, name, _ := strings.Cut(t, ": ")
			tests = append(tests, fmt.Sprintf("`%s` %s", folder, name))
		}
		runs, violations := 0, 0
		for _, s := range Scenarios {
			if s.Row == row.Name {
				scenarios = append(scenarios, s.Name)
			}
		}
		for _, f := range r.Faults {
			if f.Row == row.Name {
				runs, violations = runs+f.Runs, violations+f.Violations
			}
		}
		for _, k := range r.Kills {
			switch n := k.of(row.Name); {
			case n > 0:
				runs, violations = runs+n, violations+k.Violations
				scenarios = append(scenarios, "the kills above")
			}
		}
		if row.Missing != "" {
			scenarios = append(scenarios, "*missing: "+row.Missing+"*")
		}
		counted := "-"
		wrong := "-"
		if runs > 0 {
			counted, wrong = fmt.Sprint(runs), fmt.Sprint(violations)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s |\n", row.Name, row.Fault, row.Holds, strings.Join(tests, "<br>"), strings.Join(slices.Compact(scenarios), "<br>"), counted, wrong)
	}
	return out.String()
}

// of is how many of the kills belong to a row.
func (k KillRecord) of(row string) (n int) {
	for step, counts := range k.Steps {
		if row == "F1" && step != AtRandom || row == "F2" && step == AtRandom || row == "F19" && step == "outbox.after_send_before_mark" {
			for _, c := range counts {
				n += c
			}
		}
	}
	return n
}
