package backtest

import (
	"cmp"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Outcome is the verdict on one moment under one set of policies.
type Outcome struct {
	Decision verifier.Decision `json:"decision,omitempty"`
	// Minutes is from the deploy's finish to the verdict.
	Minutes float64 `json:"minutes,omitempty"`
	// ClearedMinutes is until waiting pipelines could have gone on; nil where
	// they could not.
	ClearedMinutes *float64       `json:"cleared_minutes,omitempty"`
	Guard          verifier.Guard `json:"guard,omitempty"` // attribution, ambiguity: why it is no revert
	Summary        string         `json:"summary,omitempty"`
	// Skipped says why it was not judged; the other fields are then empty.
	Skipped string `json:"skipped,omitempty"`
}

func outcomeOf(v verifier.Verification) Outcome {
	o := Outcome{Decision: v.Verdict.Decision, Minutes: minutes(v, v.Verdict.DecidedAt), Summary: v.Verdict.Summary}
	if v.ClearedAt != nil {
		m := minutes(v, *v.ClearedAt)
		o.ClearedMinutes = &m
	}
	if o.Decision == verifier.Inconclusive && v.Action.State == verifier.ActionWithheld {
		o.Guard = v.Action.Guard
	}
	return o
}

func minutes(v verifier.Verification, at time.Time) float64 {
	return at.Sub(v.Deployment.FinishedAt).Round(time.Second).Minutes()
}

// Row is one moment with what each set of policies makes of it, by its name.
type Row struct {
	Deploy
	Outcomes map[string]Outcome
}

// Result is what a run found.
type Result struct {
	From, Until time.Time
	Tallies     []Tally // in the order of the sets
	Deploys     []Row   // in order of their start
	Placebos    []Row
	// Notes are what was left out, and why.
	Notes []string
}

// Tally adds up what one set of policies makes of all moments.
type Tally struct {
	Set     string `json:"set"`
	Deploys Counts `json:"deploys"`
	Bad     Counts `json:"labelled_bad"`  // of the deploys; a keep is a miss
	Good    Counts `json:"labelled_good"` // of the deploys; a revert is false
	Placebo Counts `json:"placebos"`      // a revert is false
	// Independent is how many of the placebos' windows lie beside one another.
	Independent int `json:"placebos_independent"`
	// MinutesToRevert is the median over the deploys that are reverted, of those
	// labelled good none; nil without any.
	MinutesToRevert *float64 `json:"minutes_to_revert"`
	// MinutesToClear is the median until waiting pipelines could go on; nil
	// without any.
	MinutesToClear *float64 `json:"minutes_to_clear"`
}

// Counts are verdicts by decision.
type Counts struct {
	Keep         int `json:"keep"`
	Revert       int `json:"revert"`
	Inconclusive int `json:"inconclusive"`
	Skipped      int `json:"skipped"`
}

// Judged is how many have a verdict.
func (c Counts) Judged() int { return c.Keep + c.Revert + c.Inconclusive }

func (c *Counts) count(o Outcome) {
	switch {
	case o.Skipped != "":
		c.Skipped++
	case o.Decision == verifier.Keep:
		c.Keep++
	case o.Decision == verifier.Revert:
		c.Revert++
	default:
		c.Inconclusive++
	}
}

// add takes what one set made of the moments.
func (r *Result) add(s *side, deploys, fake []Row) {
	t := Tally{Set: s.set.Name}
	var reverted, cleared []float64
	for _, row := range deploys {
		o := row.Outcomes[s.set.Name]
		t.Deploys.count(o)
		switch row.Label {
		case Bad:
			t.Bad.count(o)
		case Good:
			t.Good.count(o)
		}
		if o.Decision == verifier.Revert && row.Label != Good {
			reverted = append(reverted, o.Minutes)
		}
		if o.ClearedMinutes != nil {
			cleared = append(cleared, *o.ClearedMinutes)
		}
	}
	byPlace := map[verifier.Location][]time.Time{}
	for _, row := range fake {
		t.Placebo.count(row.Outcomes[s.set.Name])
		byPlace[row.Location()] = append(byPlace[row.Location()], row.StartedAt)
	}
	for at, moments := range byPlace {
		if p := s.place(at); p != nil {
			t.Independent += independent(moments, p.policy.Window.D())
		}
	}
	t.MinutesToRevert, t.MinutesToClear = median(reverted), median(cleared)
	r.Tallies = append(r.Tallies, t)
	r.Deploys, r.Placebos = join(r.Deploys, deploys), join(r.Placebos, fake)
	for _, note := range s.notes {
		if !slices.Contains(r.Notes, note) {
			r.Notes = append(r.Notes, note)
		}
	}
}

// join adds a set's outcomes to the rows of the sets before it.
func join(rows, more []Row) []Row {
	for _, m := range more {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.ID == m.ID })
		if i < 0 {
			rows = append(rows, m)
			continue
		}
		for set, o := range m.Outcomes {
			rows[i].Outcomes[set] = o
		}
	}
	return rows
}

func (r *Result) finish() {
	byStart := func(a, b Row) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
	}
	slices.SortStableFunc(r.Deploys, byStart)
	slices.SortStableFunc(r.Placebos, byStart)
}

// Changed returns the deploys on which two sets differ.
func (r Result) Changed(a, b string) []Row {
	var out []Row
	for _, row := range r.Deploys {
		if row.Outcomes[a].Decision != row.Outcomes[b].Decision {
			out = append(out, row)
		}
	}
	return out
}

func median(of []float64) *float64 {
	if m, known := verifier.MedianOf(of); known {
		return &m
	}
	return nil
}
