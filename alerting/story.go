package alerting

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/postflight/postflight/verifier"
)

// maxName is how many characters of a service, version or person a message
// shows.
const maxName = 60

// Tone says how a message is to be coloured; its first line says the same in
// words, for colour is never alone.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Bad     Tone = "bad"
	Warning Tone = "warning"
	Neutral Tone = "neutral"
)

// Story is an event in words, before any vendor's markup: plain text of any
// length, which may hold whatever a deploy's source wrote into it.
type Story struct {
	Event    verifier.Event
	Tone     Tone
	Headline string        // enough on a lock screen; never more than 400 characters
	Why      string        // the verdict's reason in one sentence; "" when there is none
	Signals  []SignalStory // those that decided first
	Action   string        // what is done about it; "" when nothing is
	Gate     string        // under which conditions it was approved, or that it was not; "" when there is nothing to say
	By       string        // who deployed it, and how a person decided
	Links    []Link        // the verdict's page first
	Command  string        // what stops or changes it; "" when nothing does
	// Own is what the receiver's own template says in place of everything
	// between headline and links; "" without one.
	Own string
}

// SignalStory is one signal of a story.
type SignalStory struct {
	Name   string
	Mark   string // ✖ bad, ✔ good, ? unknown, … not proven
	Levels string // 0.4% → 6.1% (+1425%); or why there are none
	Note   string // advisory; ""
}

// Link is an address that people may open: http or https.
type Link struct{ Text, URL string }

// Tell puts an event into postflight's own words.
func Tell(e verifier.Event) Story {
	v := e.Data
	s := Story{Event: e, By: by(v), Command: command(v)}
	s.Tone, s.Headline = headline(e)
	if v.Verdict != nil {
		s.Why, s.Signals = v.Verdict.Summary, signalStories(v.Signals)
	}
	s.Action, s.Gate = action(v), gate(v.Deployment)
	s.link("Open verdict", v.URL)
	if v.AsksVotes && !v.State.Final() && v.URL != "" {
		s.link("Vote", v.URL+"#vote")
	}
	s.link("Deploy", v.Deployment.URL)
	return s
}

func (s *Story) link(text, address string) {
	if u, err := url.Parse(address); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		s.Links = append(s.Links, Link{text, u.String()})
	}
}

// Text is what comes below the headline, line by line, without the links.
func (s Story) Text() string {
	if s.Own != "" {
		return s.Own
	}
	var lines []string
	add := func(line string) {
		if line != "" {
			lines = append(lines, line)
		}
	}
	add(s.Why)
	for _, f := range s.Signals {
		add(f.Line())
	}
	add(s.Action)
	add(s.Gate)
	add(s.By)
	if s.Command != "" {
		add("To change it: " + s.Command)
	}
	return strings.Join(lines, "\n")
}

// Line is the signal in one line.
func (f SignalStory) Line() string {
	line := f.Mark + " " + f.Name + " " + f.Levels
	if f.Note != "" {
		line += " (" + f.Note + ")"
	}
	return line
}

// Plain is the whole story as text.
func (s Story) Plain() string {
	lines := []string{s.Headline}
	if text := s.Text(); text != "" {
		lines = append(lines, text)
	}
	for _, l := range s.Links {
		lines = append(lines, l.Text+": "+l.URL)
	}
	return strings.Join(lines, "\n")
}

// Name returns a name as messages show it, of at most 60 characters and on one
// line.
func Name(name string) string {
	printable := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, name)
	return Cut(strings.Join(strings.Fields(printable), " "), maxName)
}

func by(v verifier.Verification) string {
	var parts []string
	if d := v.Deployment; d.Actor != "" {
		parts = append(parts, "Deployed by "+Name(d.Actor))
	}
	if v.Deployment.Irreversible {
		parts = append(parts, "it can't be undone by deploying an earlier version")
	}
	if o := v.PersonSays(); o != nil {
		said := fmt.Sprintf("%s decided %s", Name(o.By), o.Decision)
		if o.Reason != "" {
			said += ": " + o.Reason
		}
		parts = append(parts, said)
	}
	return strings.Join(parts, " · ")
}

// command is what a person may still do, as far as it changes anything.
func command(v verifier.Verification) string {
	decide := func(decision string) string {
		return fmt.Sprintf(`postflight override %s %s --reason "..."`, v.ID, decision)
	}
	switch a := v.Action; {
	case a.State == verifier.ActionRequested:
		return decide("keep")
	case v.Effective == verifier.Revert && a.State == verifier.ActionWithheld && (a.Guard == verifier.GuardMode || a.Guard == verifier.GuardCaps || a.Guard == verifier.GuardBrake || a.Guard == verifier.GuardWindow):
		return decide("revert")
	case !v.State.Final():
		return decide("cancel")
	}
	return ""
}

func action(v verifier.Verification) string {
	a := v.Action
	if a.State == verifier.ActionNone || a.State == "" {
		return ""
	}
	said := "Rollback " + string(a.State)
	if a.State == verifier.ActionWithheld && a.Guard != "" {
		said += " by the guard " + string(a.Guard)
	}
	if a.Reason != "" {
		said += ": " + a.Reason
	}
	return said
}

// conditionsTold is how many conditions a message tells.
const conditionsTold = 5

// gate is what was said of the release before it was deployed, as far as it
// bears on the verdict: the conditions of those who approved it, or a no-go.
func gate(d verifier.Deployment) string {
	if g := d.Gate; g != nil && g.Decision == verifier.NoGo {
		return "Deployed against the gate's no-go: " + strings.Join(g.Reasons, "; ")
	}
	conditions := d.Conditions()
	if len(conditions) == 0 {
		return ""
	}
	var told []string
	for _, c := range conditions[:min(len(conditions), conditionsTold)] {
		told = append(told, c.Sentence())
	}
	if left := len(conditions) - len(told); left > 0 {
		told = append(told, fmt.Sprintf("and %d more", left))
	}
	return "Approved under conditions: " + strings.Join(told, "; ")
}

// clock is a time of day as messages print it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" }

// Cut returns a text of at most that many characters, with an ellipsis where
// some are left out.
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
