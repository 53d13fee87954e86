package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/postflight/postflight/verifier"
)

// maxQuote is how many characters of a reason a summary repeats.
const maxQuote = 120

// ballots are what people say of a deploy, the newest word of each. No vote
// says nothing: neither good nor bad.
type ballots struct {
	source verifier.VoteSource
	newest map[string]verifier.Observation // by who
}

// addVote takes a vote, in order of time. It is about this deploy whenever it
// was cast, but not after the window.
func (w *Watch) addVote(o verifier.Observation) {
	if o.Outcome != verifier.Measured || o.Voter == "" || o.At.After(w.times.ClosesAt) {
		return
	}
	w.votes.newest[o.Voter] = o
	w.due = len(w.votes.newest)
	w.steps.Measured = w.due
}

// said returns who says yes, or no, in alphabetical order.
func (b *ballots) said(no bool) []string {
	who := []string{}
	for _, name := range slices.Sorted(maps.Keys(b.newest)) {
		if (b.newest[name].Bad > 0) == no {
			who = append(who, name)
		}
	}
	return who
}

// findVotes counts the votes.
func (w *Watch) findVotes() verifier.Finding {
	b := w.votes
	votes := &verifier.VoteFinding{Yes: b.said(false), No: b.said(true), NoAtLeast: max(1, b.source.NoAtLeast), YesAtLeast: max(1, b.source.YesAtLeast)}
	f := verifier.Finding{
		Name: w.signal.Name, Kind: w.signal.Kind, Role: w.signal.Role, State: verifier.SignalPending, Votes: votes,
		Steps: w.steps, Query: w.plan.Query, Usual: verifier.Usual{Needed: 1, Unknown: true},
	}
	switch {
	case len(votes.No) >= votes.NoAtLeast:
		f.State, f.Matters.Yes = verifier.SignalBad, true
		f.Rule = fmt.Sprintf("%s; %s", saidNo(votes.No), enough(votes.NoAtLeast))
	case len(votes.Yes) >= votes.YesAtLeast:
		f.State, f.Cleared = verifier.SignalGood, true
	}
	f.Message = b.words()
	if len(b.newest) == 0 {
		f.Message = "nobody has voted"
	}
	return f
}

func saidNo(who []string) string {
	names := strings.Join(who, ", ")
	if len(who) == 1 {
		return "got a no of " + names
	}
	return fmt.Sprintf("got the no of %d people (%s)", len(who), names)
}

func enough(n int) string {
	if n == 1 {
		return "one is enough"
	}
	return fmt.Sprintf("%d are enough", n)
}

// words repeats the reasons of who says no, the earliest first.
func (b *ballots) words() string {
	who := b.said(true)
	slices.SortStableFunc(who, func(x, y string) int { return cmp.Compare(b.newest[x].At.UnixMicro(), b.newest[y].At.UnixMicro()) })
	var out []string
	for _, name := range who {
		out = append(out, fmt.Sprintf("%s says %q", name, shortened(b.newest[name].Message)))
	}
	return strings.Join(out, ", ")
}

func shortened(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= maxQuote {
		return text
	}
	return string([]rune(text)[:maxQuote-1]) + "…"
}

// lacking says what a required votes signal is short of, "" where it has it.
func (b *ballots) lacking() string {
	yes, needed := len(b.said(false)), max(1, b.source.YesAtLeast)
	if yes >= needed {
		return ""
	}
	return fmt.Sprintf("got %d of the %d yes that the policy requires", yes, needed)
}

// votesReason is a votes signal's line.
func (w *Watch) votesReason(f verifier.Finding) string {
	needed := fmt.Sprintf("%s: bad from %d no, good from %d yes", f.Votes.Tally(), f.Votes.NoAtLeast, f.Votes.YesAtLeast)
	if f.Rule != "" {
		needed = f.Rule + ". " + f.Votes.Tally()
	}
	return w.title() + " " + needed + because(f.Message)
}

// addVotes tells of a votes signal that is not bad.
func (t *tally) addVotes(w *Watch, f verifier.Finding) {
	if f.Steps.Measured == 0 {
		t.silent = append(t.silent, w.title())
		return
	}
	t.doubt = t.doubt || len(f.Votes.No) > 0
	t.levels = append(t.levels, w.title()+" "+f.Votes.Tally())
}
