package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

// explain says in words why a verification stands as it does.
func explain(out *terminal.Screen, e explained) error {
	v := e.Verification
	t := &telling{screen: out}
	t.line(stateCell(v).Tone, "", headline(v))
	t.line(terminal.Plain, "", e.decided())
	t.line(terminal.Bold, "", "\nWhy")
	for _, reason := range whyDecided(v) {
		t.line(terminal.Plain, "  ", reason)
	}
	for _, f := range ranked(v.Signals) {
		t.signal(v, f)
	}
	t.line(terminal.Bold, "", "\nWhat was done")
	for _, done := range whatWasDone(v) {
		t.line(terminal.Plain, "  ", done)
	}
	t.line(terminal.Bold, "", "\nRecomputed")
	t.recomputed(e)
	_, err := out.Write([]byte(t.text.String()))
	if err != nil {
		return fmt.Errorf("write the explanation: %w", err)
	}
	return nil
}

// telling collects lines for people.
type telling struct {
	screen *terminal.Screen
	text   strings.Builder
}

// line adds a line. An empty line before it may stand at the begin of its text.
func (t *telling) line(tone terminal.Tone, indent, text string) {
	if rest, ok := strings.CutPrefix(text, "\n"); ok {
		t.text.WriteByte('\n')
		text = rest
	}
	t.text.WriteString(indent + t.screen.Paint(tone, terminal.Clean(text)) + "\n")
}

// decided is who decided, when and after how much of the window.
func (e explained) decided() string {
	v := e.Verification
	window := fmt.Sprintf("%s, policy %s (%s), mode %s", brief(v.ClosesAt.Sub(v.Deployment.FinishedAt)), v.Policy, v.PolicyHash, v.Mode)
	switch {
	case v.Verdict == nil && v.State.Final():
		return fmt.Sprintf("%s, without a verdict; the window was %s", v.State, window)
	case v.Verdict == nil:
		return fmt.Sprintf("no verdict yet: watched until %s; the window is %s", clockTime(&v.ClosesAt), window)
	}
	return fmt.Sprintf("decided at %s by %s, %s after the deploy; the window is %s", clockTime(&v.Verdict.DecidedAt), v.Verdict.By,
		brief(v.Verdict.DecidedAt.Sub(v.Deployment.FinishedAt)), window)
}

// whyDecided is the rule by which the verdict is what it is.
func whyDecided(v verifier.Verification) []string {
	if v.Verdict == nil {
		if v.Attribution != nil && v.Attribution.Waiting != "" {
			return []string{"The verdict waits: " + v.Attribution.Waiting}
		}
		return []string{"A revert falls as soon as a decisive signal is bad; keep or inconclusive at the end of the window."}
	}
	if v.Verdict.By != verifier.ByPostflight {
		return []string{"A person's word is the verdict: " + v.Verdict.Summary}
	}
	var bad []string
	for _, f := range v.Signals {
		if f.Role == verifier.Decisive && f.State == verifier.SignalBad {
			bad = append(bad, f.Name)
		}
	}
	switch {
	case v.Verdict.Decision == verifier.Revert:
		return []string{fmt.Sprintf("Revert, because a decisive signal is bad: %s. One is enough, before the window's end.", strings.Join(bad, ", "))}
	case v.Verdict.Decision == verifier.Keep:
		return []string{"Keep, because the window is over, no decisive signal is bad, and each that is required was measured."}
	case len(bad) > 0 && v.Attribution != nil:
		return append([]string{
			fmt.Sprintf("Inconclusive, although %s is bad: that is not proven to be this deploy.", strings.Join(bad, ", ")), v.Verdict.Summary,
		}, surroundings(*v.Attribution)...)
	}
	return []string{"Inconclusive, because the evidence allows neither keep nor revert: " + v.Verdict.Summary}
}

// surroundings is what was known of other services when the verdict fell.
func surroundings(at verifier.Attribution) []string {
	var out []string
	for _, n := range at.Neighbours {
		out = append(out, fmt.Sprintf("%s: %s %s", n.Service, n.State, since(cmp.Or(n.Change, n.Message), n.Onset)))
	}
	for _, c := range at.Candidates {
		out = append(out, fmt.Sprintf("%s %s, deployed at %s: %s %s", c.Service, c.Version, clockTime(&c.StartedAt), c.State, since(c.Change, c.Onset)))
	}
	return out
}

// ranked returns the signals with those first that decide.
func ranked(signals []verifier.Finding) []verifier.Finding {
	order := map[verifier.SignalState]int{verifier.SignalBad: 0, verifier.SignalUnknown: 1, verifier.SignalPending: 2}
	rank := func(f verifier.Finding) int {
		n, known := order[f.State]
		if !known {
			n = len(order)
		}
		if f.Role == verifier.Decisive {
			return 2 * n
		}
		return 2*n + 1
	}
	out := slices.Clone(signals)
	slices.SortStableFunc(out, func(a, b verifier.Finding) int { return rank(a) - rank(b) })
	return out
}

// signal tells one signal: what it did, and the three answers.
func (t *telling) signal(v verifier.Verification, f verifier.Finding) {
	mark, tone := "", terminal.Plain
	for _, m := range signalMarks {
		if m.state == f.State {
			mark, tone = m.mark, m.tone
		}
	}
	title := fmt.Sprintf("%s %s (%s) is %s", mark, f.Name, f.Role, signalWord(v, f))
	if f.About != "" {
		title += ": " + f.About
	}
	t.line(tone, "  ", "\n"+title)
	row := func(name, text string) { t.line(terminal.Plain, "    ", fmt.Sprintf("%-17s %s", name, text)) }
	if f.Votes != nil {
		voted(row, f)
		return
	}
	if f.Rule != "" {
		row("decided by", f.Rule+"; the three questions did not decide")
	}
	row("does it matter?", matters(f))
	row("more than chance?", chance(f))
	row("more than usual?", usual(f))
	if c := f.Control; c != nil {
		row("control group", fmt.Sprintf("%s before, %s since", level(f.Kind, c.Before), level(f.Kind, c.After)))
	}
	row("measured", fmt.Sprintf("%s; no data in %d, errors in %d", counted(f.Steps.Measured, "step"), f.Steps.NoData, f.Steps.Error))
	if f.Onset != nil {
		row("began", clockTime(f.Onset))
	}
	if f.Message != "" {
		row("note", f.Message)
	}
}

// voted tells of votes, to which the three questions don't apply.
func voted(row func(name, text string), f verifier.Finding) {
	who := func(people []string, needed int, means string) string {
		return fmt.Sprintf("%s; %s from %s", cmp.Or(strings.Join(people, ", "), "nobody"), means, counted(needed, "vote"))
	}
	row("who says no?", who(f.Votes.No, f.Votes.NoAtLeast, "bad"))
	row("who says yes?", who(f.Votes.Yes, f.Votes.YesAtLeast, "good"))
	if f.Rule != "" {
		row("decided by", f.Rule)
	}
	if f.Message != "" {
		row("note", f.Message)
	}
}

func matters(f verifier.Finding) string {
	switch {
	case f.After == nil:
		return "not known: no level since the deploy was measured"
	case f.Matters.Limit == nil:
		return fmt.Sprintf("not known: %s since the deploy, with nothing before it to say what is tolerated", level(f.Kind, f.After))
	}
	return fmt.Sprintf("%s: %s since the deploy, tolerated is %s (before %s, expected now %s)", yesOrNo(f.Matters.Yes),
		level(f.Kind, f.After), level(f.Kind, f.Matters.Limit), level(f.Kind, f.Before), level(f.Kind, f.Expected))
}

func chance(f verifier.Finding) string {
	if f.Chance == nil {
		return "not asked: this signal counts no events"
	}
	return fmt.Sprintf("%s: e-value %s, %s needed", yesOrNo(f.Chance.Yes), verifier.Digits(f.Chance.EValue), verifier.Digits(f.Chance.Needed))
}

func usual(f verifier.Finding) string {
	if f.Usual.Unknown {
		return "not known: there is too little history to ask"
	}
	return fmt.Sprintf("%s: score %s, %s needed; %d placebos, %d of them independent", yesOrNo(f.Usual.Yes),
		verifier.Digits(f.Usual.Score), verifier.Digits(f.Usual.Needed), f.Usual.Placebos, f.Usual.Independent)
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// whatWasDone is the action, the guard that held it back, and what people said.
func whatWasDone(v verifier.Verification) []string {
	var out []string
	switch line := actionLine(v.Action); {
	case line != "":
		out = append(out, line)
	case v.Effective == verifier.Revert:
		out = append(out, "nothing: no rollback was asked for")
	default:
		out = append(out, "nothing: only a revert asks for a rollback")
	}
	if o := v.Override; o != nil {
		out = append(out, fmt.Sprintf("%s decided %s at %s: %s", o.By, o.Decision, clockTime(&o.At), o.Reason))
	}
	for _, f := range v.Feedback {
		out = append(out, fmt.Sprintf("%s called the verdict %s at %s: %s", f.By, f.Decision, clockTime(&f.At), f.Reason))
	}
	for _, vote := range v.Votes {
		out = append(out, fmt.Sprintf("%s voted %s at %s: %s", vote.By, vote.Decision, clockTime(&vote.At), vote.Reason))
	}
	return out
}

// recomputed says whether the judge says the same again.
func (t *telling) recomputed(e explained) {
	r := e.Recomputed
	of := counted(r.Signals, "signal") + " and " + counted(r.Observations, "observation")
	switch {
	case r.Agrees == nil:
		t.line(terminal.Quiet, "  ", "not compared: "+r.Why)
	case *r.Agrees:
		t.line(terminal.Good, "  ", fmt.Sprintf("✔ agrees: of the stored %s the judge of postflight %s says the same, decision, words and every number", of, r.Version))
	default:
		t.line(terminal.Bad, "  ", fmt.Sprintf("✖ DIFFERS: of the stored %s the judge of postflight %s says something else", of, r.Version))
		t.line(terminal.Bad, "  ", r.Differs)
		t.line(terminal.Plain, "  ", "If a daemon of another version decided, explain it with that version; otherwise the evidence or the record was changed: postflight storage check.")
	}
}
