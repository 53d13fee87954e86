package invariant

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Violation is one way in which a run broke an invariant.
type Violation struct {
	Invariant string // I1 to I20
	Rows      string // the ids of the rows or calls involved
	Wrong     string // one sentence
}

// String is the violation in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Invariant, v.Rows, v.Wrong)
}

// Report says what of a run was checked.
type Report struct {
	// Checked are the invariants of which everything that they speak of was
	// seen.
	Checked []string
	// NotObserved says by invariant what the run has no history of. What it
	// does have was checked all the same.
	NotObserved map[string]string
	Violations  []Violation
}

// String is the report in lines.
func (r Report) String() string {
	var out strings.Builder
	for _, v := range r.Violations {
		fmt.Fprintln(&out, v)
	}
	fmt.Fprintf(&out, "checked: %s", strings.Join(r.Checked, " "))
	for _, i := range Invariants {
		if why, ok := r.NotObserved[i.Name]; ok {
			fmt.Fprintf(&out, "\nnot observed: %s: %s", i.Name, why)
		}
	}
	return out.String()
}

// Evaluate checks every invariant against a run.
func Evaluate(r Run) Report {
	out := Report{NotObserved: map[string]string{}}
	for _, i := range Invariants {
		for _, v := range i.Check(r) {
			v.Invariant = i.Name
			out.Violations = append(out.Violations, v)
		}
		if why := i.unobserved(r); why != "" {
			out.NotObserved[i.Name] = why
		} else {
			out.Checked = append(out.Checked, i.Name)
		}
	}
	return out
}

// tester is the part of testing.TB that Check needs.
type tester interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
}

// Check reads the database of a run and fails the test where an invariant is
// broken. The run's own State is replaced; Ended is now unless it is set.
func Check(t tester, database string, r Run) Report {
	t.Helper()
	if r.Ended.IsZero() {
		r.Ended = time.Now()
	}
	var err error
	// Also in a clean-up, when the test's own context has ended.
	if r.State, err = ReadFile(context.WithoutCancel(t.Context()), database); err != nil {
		t.Errorf("check the invariants: %v", err)
		return Report{}
	}
	report := Evaluate(r)
	if len(report.Violations) > 0 {
		t.Errorf("the run broke invariants of docs/safety.md:\n%s", report)
	}
	return report
}
