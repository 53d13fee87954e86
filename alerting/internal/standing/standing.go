// Package standing says in one state and one line how a verification stands,
// for systems that have room for no more: commit statuses, annotations.
package standing

import (
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"

	"github.com/postflight/postflight/verifier"
)

// State is how a verification stands.
type State string

// The states.
const (
	Watching   State = "watching"     // no verdict yet
	Kept       State = "kept"         // good, by the evidence or by a person
	Bad        State = "bad"          // to be reverted, and not known to be
	RolledBack State = "rolled_back"  // was bad, and the version before it runs again
	Unclear    State = "inconclusive" // the evidence did not suffice
	Ended      State = "ended"        // superseded or cancelled before a verdict
)

// Standing is a state with its line.
type Standing struct {
	State State
	Line  string // one printable line, such as "keep: No signal got worse."
}

// Of says how a verification stands.
func Of(v verifier.Verification) Standing {
	s := of(v)
	s.Line = oneLine(s.Line)
	return s
}

func of(v verifier.Verification) Standing {
	until := v.ClosesAt.UTC().Format("15:04 UTC")
	switch {
	case v.State == verifier.StateSuperseded:
		return Standing{Ended, "superseded by a newer deploy before its verdict"}
	case v.State == verifier.StateCancelled:
		return Standing{Ended, "cancelled" + byWhom(v)}
	case v.State.Final():
		return decided(v)
	case v.ClearedAt != nil:
		return Standing{Watching, "cleared: waiting pipelines may go on; watched until " + until}
	}
	return Standing{Watching, "watching " + v.Deployment.Version + " until " + until}
}

func decided(v verifier.Verification) Standing {
	summary := ""
	if v.Verdict != nil && v.Verdict.Summary != "" {
		summary = ": " + v.Verdict.Summary
	}
	if v.Override != nil {
		summary = byWhom(v)
	}
	effective := v.Effective
	if effective == "" && v.Verdict != nil {
		effective = v.Verdict.Decision
	}
	switch effective {
	case verifier.Keep:
		return Standing{Kept, "keep" + summary}
	case verifier.Revert:
		return reverted(v.Action, summary)
	}
	return Standing{Unclear, "inconclusive" + summary}
}

func reverted(a verifier.Action, summary string) Standing {
	switch a.State {
	case verifier.ActionConfirmed:
		return Standing{RolledBack, "rolled back to " + a.TargetVersion + summary}
	case verifier.ActionWithheld:
		return Standing{Bad, "revert, withheld by " + string(a.Guard) + summary}
	case verifier.ActionRequested, verifier.ActionAccepted:
		return Standing{Bad, "revert, rollback to " + a.TargetVersion + " " + string(a.State) + summary}
	case verifier.ActionNone, "":
		return Standing{Bad, "revert" + summary}
	}
	return Standing{Bad, "revert, rollback " + string(a.State) + summary}
}

// byWhom says who decided, and why.
func byWhom(v verifier.Verification) string {
	if v.Override == nil {
		return ""
	}
	s := " by " + v.Override.By
	if v.Override.Reason != "" {
		s += ": " + v.Override.Reason
	}
	return s
}

// oneLine makes text fit for one line: what can't be printed becomes a space.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// Literal returns the name that a template is for every event; false where it
// depends on that.
func Literal(t *template.Template) (string, bool) {
	if t == nil || t.Tree == nil {
		return "", false
	}
	for _, n := range t.Root.Nodes {
		if n.Type() != parse.NodeText {
			return "", false
		}
	}
	return strings.TrimSpace(t.Root.String()), true
}

// Name runs a template over the event; without one it is what was told.
func Name(t *template.Template, e verifier.Event, told string) (string, error) {
	if t == nil {
		return told, nil
	}
	var out strings.Builder
	s := Of(e.Data)
	if err := t.Execute(&out, verifier.Telling{Event: e.Type, At: e.Timestamp, Urgent: e.Urgent, Title: s.Line, Verification: e.Data}); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}
