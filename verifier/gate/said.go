package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// said is what people said of a release, sorted out.
type said struct {
	yes     []verifier.GateWord          // that count, the oldest first
	no      []verifier.GateWord          // that stand, whoever said them
	answers map[string]verifier.GateWord // the last answer to each no
	ignored map[string]string            // why a yes doesn't count, by its id
	reports map[string]verifier.GateWord // the last report of each item that counts
	waivers []verifier.GateWord
	final   string
}

// listen sorts what was said. The newest word of each person in each role is
// what they say. A no stands whoever its author is by now; a yes counts only of
// those who may still speak in its role.
func listen(f Facts) said {
	s := said{answers: map[string]verifier.GateWord{}, ignored: map[string]string{}, reports: map[string]verifier.GateWord{}, final: f.gate().Final}
	type speaker struct{ by, role string }
	last := map[speaker]verifier.GateWord{}
	for _, w := range f.State.Words {
		switch w.Kind {
		case verifier.Approve, verifier.Reject:
			last[speaker{w.By, w.Role}] = w
		case verifier.Answer:
			s.answers[w.Answers] = w
		case verifier.Report:
			if item, ok := f.gate().Item(w.Item); ok && MayReport(item, w.By) {
				s.reports[w.Item] = w
			}
		}
	}
	for _, w := range last {
		if w.Kind == verifier.Reject {
			s.no = append(s.no, w)
			continue
		}
		if why := discounted(f, w); why != "" {
			s.ignored[w.ID] = why
			continue
		}
		s.yes = append(s.yes, w)
		if len(w.Waives) > 0 && f.Now.Sub(w.At) <= WaiverLasts && f.People[w.By].Waives {
			s.waivers = append(s.waivers, w)
		}
	}
	for _, list := range [][]verifier.GateWord{s.yes, s.no, s.waivers} {
		slices.SortFunc(list, func(a, b verifier.GateWord) int { return int(a.Seq - b.Seq) })
	}
	return s
}

// MayReport reports whether the word of an access entry counts for an item.
func MayReport(item verifier.ChecklistItem, by string) bool {
	return len(item.By) == 0 || slices.Contains(item.By, by)
}

// discounted says why a yes doesn't count, "" where it does.
func discounted(f Facts, w verifier.GateWord) string {
	person, known := f.People[w.By]
	g := f.gate()
	switch {
	case !known:
		return w.By + " may not decide any more"
	case w.Role != "" && !slices.Contains(person.Roles, w.Role):
		return fmt.Sprintf("%s may not speak as %s any more", w.By, w.Role)
	case f.State.Reverted != nil && (w.Again != f.State.Reverted.ID || w.Seq <= f.State.RevertedSeq):
		return fmt.Sprintf("%s said it before %s was reverted", w.By, w.Version)
	case g.Expires > 0 && f.Now.Sub(w.At) > g.Expires.D():
		return fmt.Sprintf("%s said it at %s, more than %s ago", w.By, clock(w.At), span(g.Expires.D()))
	case !g.SelfApproval && asked(f, w.By):
		return w.By + " asked for the release, and may not sign it off as well"
	}
	return ""
}

// asked reports whether a person is among those who asked for the release.
func asked(f Facts, name string) bool {
	return slices.ContainsFunc(actors(f), func(actor string) bool {
		return strings.EqualFold(actor, name) || slices.ContainsFunc(f.People[name].Accounts, func(account string) bool { return strings.EqualFold(actor, account) })
	})
}

func (s said) conditions() []verifier.Condition {
	out := []verifier.Condition{}
	for _, w := range s.yes {
		for _, text := range w.Conditions {
			out = append(out, verifier.Condition{Text: text, By: w.By, Role: w.Role, At: w.At})
		}
	}
	return out
}

// waiver is the last yes that waives a check which fails by what a person decided
// at since, nil where none does.
func (s said) waiver(check string, since time.Time) *verifier.GateWord {
	for i := len(s.waivers) - 1; i >= 0; i-- {
		if slices.Contains(s.waivers[i].Waives, check) && slices.Contains(Waivable, check) && s.waivers[i].At.After(since) {
			return &s.waivers[i]
		}
	}
	return nil
}

// settled reports whether a no that was answered is settled: by the final
// authority's yes after the answer or, where there is none, by a yes in the same
// role after it. The final authority's own no is settled only by themselves.
func (s said) settled(no verifier.GateWord) bool {
	answer, ok := s.answers[no.ID]
	if !ok {
		return false
	}
	return slices.ContainsFunc(s.yes, func(w verifier.GateWord) bool {
		if w.Seq < answer.Seq {
			return false
		}
		if s.final != "" {
			return w.Role == s.final && (no.Role != s.final || w.By == no.By)
		}
		return w.Role == no.Role
	})
}

func as(w verifier.GateWord) string {
	if w.Role == "" {
		return w.By
	}
	return fmt.Sprintf("%s (%s)", w.By, w.Role)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span is a duration in whole minutes or seconds, as in 36h0m.
func span(d time.Duration) string {
	if d >= time.Minute {
		d = d.Round(time.Minute)
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.Round(time.Second).String()
}
