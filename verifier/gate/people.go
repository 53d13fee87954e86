package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// reverted: a version that was taken back comes again only when somebody who
// knows that says so, and why.
func reverted(f Facts, s said) *result {
	v := f.State.Reverted
	if v == nil {
		r := passed("%s does not count as reverted in %s", f.Ask.Version, f.Ask.Environment)
		return &r
	}
	if i := slices.IndexFunc(s.yes, func(w verifier.GateWord) bool { return w.Again == v.ID }); i >= 0 {
		w := s.yes[i]
		r := passed("%s was reverted (%s), and %s approved it again: %s", f.Ask.Version, v.ID, as(w), w.Reason)
		return &r
	}
	r := failed("%s counts as reverted (%s: %s): approve it again with a reason, `postflight approve %s %s %s --again %s --reason ...`",
		f.Ask.Version, v.ID, revertedWhy(*v), f.Ask.Service, f.Ask.Environment, f.Ask.Version, v.ID)
	return &r
}

func revertedWhy(v verifier.Verification) string {
	switch {
	case v.Override != nil:
		return v.Override.Sentence()
	case v.Verdict != nil && v.Verdict.Summary != "":
		return v.Verdict.Summary
	}
	return "revert"
}

// mark: what a person says of a version stands until they say otherwise.
func mark(f Facts, _ said) *result {
	m := f.State.Mark
	if m == nil || m.Decision != string(verifier.MarkBad) {
		return nil
	}
	r := failed("%s marked %s bad at %s (%q): mark it good first", m.By, f.Ask.Version, clock(m.At), m.Reason)
	return &r
}

// objections: one no blocks until it is answered with data.
func objections(f Facts, s said) *result {
	var open []string
	for _, no := range s.no {
		if _, answered := s.answers[no.ID]; answered {
			continue
		}
		open = append(open, fmt.Sprintf("%s says no (%q): answer it with data, `postflight answer %s --evidence ... --reason ...`, or let them say yes", as(no), no.Reason, no.ID))
	}
	if len(open) > 0 {
		r := failed("%s", strings.Join(open, "; "))
		return &r
	}
	for _, no := range s.no {
		// Without a final authority an answered no of a role that need not sign
		// off is heard, and stands in nobody's way.
		if s.settled(no) || s.final == "" && !slices.Contains(f.gate().SignOffs, no.Role) {
			continue
		}
		open = append(open, unsettled(s, no))
	}
	if len(open) > 0 {
		r := failed("%s", strings.Join(open, "; "))
		return &r
	}
	if len(s.no) == 0 {
		return nil
	}
	r := passed("every no was answered")
	return &r
}

func unsettled(s said, no verifier.GateWord) string {
	switch {
	case s.final != "" && no.Role == s.final:
		return fmt.Sprintf("%s said no, and that is final until they say yes", as(no))
	case s.final != "":
		return fmt.Sprintf("%s said no, %s answered it, and the vote is split: the word of %s settles it", as(no), s.answers[no.ID].By, s.final)
	}
	return fmt.Sprintf("%s said no, and %s answered it: %s must say yes now", as(no), s.answers[no.ID].By, no.Role)
}

// signOffs: each role said yes, and the yes still counts.
func signOffs(f Facts, s said) *result {
	g := f.gate()
	if len(g.SignOffs) == 0 {
		return nil
	}
	if !g.SelfApproval && len(actors(f)) == 0 {
		r := unknown("who asked for this release is not known, and nobody may sign their own off: name them with --actor")
		return &r
	}
	var missing, roles, there []string
	for _, role := range g.SignOffs {
		if w := s.signed(role); w != nil {
			by := w.By
			if w.Role != role {
				by += ", as final " + w.Role
			}
			there = append(there, fmt.Sprintf("%s (%s)", role, by))
			continue
		}
		missing, roles = append(missing, role+s.why(f, role)), append(roles, role)
	}
	if len(missing) > 0 {
		r := failed("no yes of %s: `postflight approve %s %s %s --role ... --reason ...`", strings.Join(missing, ", "), f.Ask.Service, f.Ask.Environment, f.Ask.Version)
		r.missing = roles
		return &r
	}
	r := passed("signed off by %s", strings.Join(there, ", "))
	return &r
}

// signed returns the yes by which a role has signed off, nil where it has not.
// Its own no that is settled by the final authority counts as that yes.
func (s said) signed(role string) *verifier.GateWord {
	for _, no := range s.no {
		if no.Role == role && !s.settled(no) {
			return nil
		}
	}
	for i := range s.yes {
		if s.yes[i].Role == role {
			return &s.yes[i]
		}
	}
	for _, no := range s.no {
		if no.Role != role || s.final == "" {
			continue
		}
		for i := range s.yes { // the final authority's, for the no is settled
			if s.yes[i].Role == s.final && s.yes[i].Seq > no.Seq {
				return &s.yes[i]
			}
		}
	}
	return nil
}

// why says why a role's yes that was said doesn't count.
func (s said) why(f Facts, role string) string {
	var reasons []string
	for _, w := range f.State.Words {
		if why, ok := s.ignored[w.ID]; ok && w.Role == role {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return " (" + strings.Join(reasons, "; ") + ")"
}

// checklist: every item is done, by those whose word counts.
func checklist(f Facts, s said) *result {
	g := f.gate()
	if len(g.Checklist) == 0 {
		return nil
	}
	var missing, items []string
	for _, item := range g.Checklist {
		w, ok := s.reports[item.Name]
		before := len(missing)
		switch {
		case !ok:
			missing = append(missing, item.Name+" is not reported")
		case !w.Passed:
			missing = append(missing, fmt.Sprintf("%s failed (%s: %s)", item.Name, w.By, w.Reason))
		case item.Within > 0 && f.Now.Sub(w.At) > item.Within.D():
			missing = append(missing, fmt.Sprintf("%s was reported at %s, more than %s ago", item.Name, clock(w.At), span(item.Within.D())))
		}
		if len(missing) > before {
			items = append(items, item.Name)
		}
	}
	if len(missing) > 0 {
		r := failed("the checklist is not done: %s; `postflight tick %s %s %s ITEM --reason ...`", strings.Join(missing, ", "), f.Ask.Service, f.Ask.Environment, f.Ask.Version)
		r.missing = items
		return &r
	}
	names := make([]string, 0, len(g.Checklist))
	for _, item := range g.Checklist {
		names = append(names, item.Name)
	}
	r := passed("the checklist is done: %s", strings.Join(names, ", "))
	return &r
}
