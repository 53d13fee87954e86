package main

import (
	"fmt"
	"strings"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/verifier"
)

// journal tells how a verification goes on, from records that are read again
// and again: a line for each change.
type journal struct {
	last    verifier.Verification
	begun   bool
	signals map[string]string // what was told of each last
}

// note is one line of a journal, in parts of their own tones.
type note []terminal.Cell

func (n note) on(s *terminal.Screen) string {
	parts := make([]string, len(n))
	for i, c := range n {
		parts[i] = s.Paint(c.Tone, terminal.Clean(c.Text))
	}
	return strings.Join(parts, "   ")
}

func one(tone terminal.Tone, text string) note { return note{{Text: text, Tone: tone}} }

// notes returns what has changed since the record before.
func (j *journal) notes(v verifier.Verification) (out []note) {
	if !j.begun {
		j.begun, j.signals = true, map[string]string{}
		out = append(out, opening(v))
		j.last = verifier.Verification{State: v.State}
	}
	was := j.last
	j.last = v
	if was.State == verifier.StatePending && v.State == verifier.StateObserving {
		out = append(out, one(terminal.Live, fmt.Sprintf("◌ the past is read, watching %s", counted(len(v.Signals), "signal"))))
	}
	if changed := j.changed(v); len(changed) > 0 {
		out = append(out, changed)
	}
	if waits := waitsFor(v); waits != "" && waits != waitsFor(was) {
		out = append(out, one(terminal.Warn, "◌ the verdict waits: "+waits))
	}
	if was.ClearedAt == nil && v.ClearedAt != nil {
		out = append(out, one(terminal.Good, "✔ cleared: pipelines may go on"))
	}
	if !was.State.Final() && v.State.Final() {
		out = append(out, ending(v))
	}
	if v.Action.State != was.Action.State || v.Action.Guard != was.Action.Guard || v.Action.RevertID != was.Action.RevertID {
		if line := actionLine(v.Action); line != "" {
			out = append(out, one(actionTone(v.Action), "⟳ "+line))
		}
	}
	return out
}

func opening(v verifier.Verification) note {
	d := v.Deployment
	text := "⟳ " + d.Service + " " + d.Version
	if d.Previous != "" {
		text += " (was " + d.Previous + ")"
	}
	text += fmt.Sprintf(" in %s · window %s · %s · %s", d.Environment, brief(v.ClosesAt.Sub(d.FinishedAt)), v.Mode, v.ID)
	if d.Rollback {
		text += " · a rollback: watched, never reverted"
	}
	return one(terminal.Bold, text)
}

// changed are the signals of which there is something new to tell. What is
// pending and looks no worse than tolerated is told only after it did.
func (j *journal) changed(v verifier.Verification) (out note) {
	for _, f := range v.Signals {
		mark, tone, worth := signalMark(f)
		told := mark + string(f.State)
		if j.signals[f.Name] == told || !worth && j.signals[f.Name] == "" {
			continue
		}
		j.signals[f.Name] = told
		out = append(out, terminal.Cell{Text: mark + " " + signalLine(v, f), Tone: tone})
	}
	return out
}

// signalMark says how a signal looks, and whether that is worth a line by
// itself.
func signalMark(f verifier.Finding) (mark string, tone terminal.Tone, worth bool) {
	if f.State == verifier.SignalPending && f.Matters.Yes {
		return "⚠", terminal.Warn, true // beyond what is tolerated, and not proven
	}
	for _, m := range signalMarks {
		if m.state == f.State {
			return m.mark, m.tone, f.State != verifier.SignalPending
		}
	}
	return "·", terminal.Plain, true // a newer daemon's word
}

// signalLine is what a signal did, in a few words.
func signalLine(v verifier.Verification, f verifier.Finding) string {
	line := f.Name
	switch {
	case f.Rule != "":
		line += " " + f.Rule
	case f.Before != nil && f.After != nil:
		line += fmt.Sprintf(" %s → %s", level(f.Kind, f.Before), level(f.Kind, f.After))
	default:
		line += " " + signalWord(v, f)
	}
	if f.Rule == "" && f.Matters.Yes && f.Matters.Limit != nil {
		line += fmt.Sprintf(" (limit %s)", level(f.Kind, f.Matters.Limit))
	}
	if c := f.Control; c != nil && c.Before != nil && c.After != nil {
		line += fmt.Sprintf(", control group %s → %s", level(f.Kind, c.Before), level(f.Kind, c.After))
	}
	if f.State == verifier.SignalUnknown && f.Message != "" {
		line += ": " + f.Message
	}
	return line
}

func waitsFor(v verifier.Verification) string {
	if v.Attribution == nil || v.State.Final() {
		return ""
	}
	return v.Attribution.Waiting
}

func ending(v verifier.Verification) note {
	c := stateCell(v)
	if v.Effective == verifier.Revert {
		c.Text = "✖ REVERT" // also where it is withheld: that is told by itself
	}
	if v.Verdict != nil {
		c.Text += fmt.Sprintf(" after %s of %s", brief(v.Verdict.DecidedAt.Sub(v.Deployment.FinishedAt)), brief(v.ClosesAt.Sub(v.Deployment.FinishedAt)))
	}
	return note{c}
}

func actionTone(a verifier.Action) terminal.Tone {
	switch a.State {
	case verifier.ActionRequested, verifier.ActionAccepted:
		return terminal.Live
	case verifier.ActionConfirmed:
		return terminal.Good
	case verifier.ActionFailed, verifier.ActionUnconfirmed:
		return terminal.Bad
	}
	return terminal.Warn
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
