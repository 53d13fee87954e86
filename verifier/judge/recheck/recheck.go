// Package recheck asks the judge again over what is stored of a verification,
// and compares its answer with the verdict that was given. The checker of
// invariants and postflight explain share it, so that both mean the same by
// "the verdict is what the judge says of the stored evidence".
package recheck

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/safety"
)

// Again is what the judge says the second time.
type Again struct {
	// Assessment is that of the verdict's moment, with what the stored
	// surroundings make of a revert.
	Assessment verifier.Assessment
	// Differs says in one sentence how the verdict or the findings differ from
	// it, "" where nothing does.
	Differs string
}

// Verdict judges the evidence as of the verdict's moment. The verification must
// have a verdict; what a person decided, or another deployment of its release,
// is not for the judge to say again.
func Verdict(v verifier.Verification, ev verifier.Evidence) Again {
	a, err := judge.Assess(ev, v.Verdict.DecidedAt)
	if err != nil {
		return Again{Differs: "the judge can't read the stored evidence: " + err.Error()}
	}
	if a.Decision == verifier.Revert && v.Attribution != nil {
		a = safety.Attribute(v.Deployment, a.Findings, *v.Attribution, v.Verdict.DecidedAt).Apply(a)
	}
	return Again{Assessment: a, Differs: differs(v, a)}
}

func differs(v verifier.Verification, a verifier.Assessment) string {
	wanted := verifier.Verdict{Decision: a.Decision, DecidedAt: v.Verdict.DecidedAt, Early: a.Early,
		Summary: a.Summary, Reasons: some(a.Reasons), By: verifier.ByPostflight}
	given := *v.Verdict
	given.Reasons = some(given.Reasons)
	switch {
	case a.Decision != given.Decision:
		return fmt.Sprintf("the verdict is %s, and the judge says %q of the stored evidence: %s", given.Decision, a.Decision, a.Summary)
	case !same(wanted, given):
		return fmt.Sprintf("the verdict reads %q, and the judge says of the stored evidence %q", given.Summary, a.Summary)
	case !same(some(a.Findings), some(v.Signals)):
		return "the findings are not those that the judge makes of the stored evidence"
	}
	return ""
}

// some makes a list that is not there an empty one: the API writes it so.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// same reports whether two values are the same as JSON.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
