package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"
	"golang.org/x/term"

	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// plainEvery is how often progress is told where a line can't be rewritten.
const plainEvery = 5 * time.Second

// narrator tells the story: a line for each thing that happens, and one that is
// rewritten while there is nothing to do but wait. Colours are left out where
// the output is no terminal or NO_COLOR is set.
type narrator struct {
	out      io.Writer
	terminal *os.File // nil: plain lines
	steps    int
	waiting  bool      // a progress line stands on the terminal
	told     time.Time // the last plain progress line
}

func newNarrator(out io.Writer) *narrator {
	n := &narrator{out: out}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		n.terminal = file
	}
	return n
}

func (n *narrator) title(text string) {
	fmt.Fprintf(n.out, "\n%s\n\n", color.New(color.Bold).Sprint(text))
}

// step begins a new part of the story.
func (n *narrator) step(format string, args ...any) {
	n.steps++
	n.line(color.New(color.Bold).Sprintf("%d. "+format, append([]any{n.steps}, args...)...))
}

// note tells what happens within a step.
func (n *narrator) note(format string, args ...any) { n.line("   " + fmt.Sprintf(format, args...)) }

func (n *narrator) good(text string) { n.line("   " + color.GreenString(text)) }

func (n *narrator) fail(err error) {
	for text := range strings.Lines(err.Error()) {
		n.line("   " + color.RedString(strings.TrimRight(text, "\n")))
	}
}

func (n *narrator) line(text string) {
	n.progressDone()
	fmt.Fprintf(n.out, "%s  %s\n", color.HiBlackString(time.Now().Format("15:04:05")), text)
}

// progress shows where a wait stands.
func (n *narrator) progress(text string) {
	if n.terminal == nil {
		if time.Since(n.told) >= plainEvery {
			n.told = time.Now()
			n.note("%s", text)
		}
		return
	}
	width, _, err := term.GetSize(int(n.terminal.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	line := []rune("             " + text)
	fmt.Fprintf(n.out, "\r\x1b[K%s", color.HiBlackString(string(line[:min(len(line), width-1)])))
	n.waiting = true
}

// progressDone clears the progress line.
func (n *narrator) progressDone() {
	if n.waiting {
		fmt.Fprint(n.out, "\r\x1b[K")
		n.waiting = false
	}
}

// decision tells a verdict in its own words.
func (n *narrator) decision(v verifier.Verification) {
	colour := color.New(color.FgYellow)
	switch v.Verdict.Decision {
	case verifier.Keep:
		colour = color.New(color.FgGreen)
	case verifier.Revert:
		colour = color.New(color.FgRed)
	}
	after := v.Verdict.DecidedAt.Sub(v.Deployment.FinishedAt).Round(100 * time.Millisecond)
	n.note("%s %s: %s after %s: %s", v.Deployment.Service, v.Deployment.Version,
		colour.Add(color.Bold).Sprint(strings.ToUpper(string(v.Verdict.Decision))), after, v.Verdict.Summary)
	for _, reason := range tellingReasons(v) {
		n.note("  %s", reason)
	}
	if v.URL != "" {
		n.note("Verdict page: %s", v.URL)
	}
}

// tellingReasons are those about signals that are bad or can't be seen; what is
// well is in the summary already.
func tellingReasons(v verifier.Verification) []string {
	var out []string
	for _, f := range v.Signals {
		if f.State != verifier.SignalBad && f.State != verifier.SignalUnknown {
			continue
		}
		for _, reason := range v.Verdict.Reasons {
			if strings.HasPrefix(reason, f.Name+" ") {
				out = append(out, reason)
			}
		}
	}
	return out
}

func (n *narrator) addresses(w *world.World) {
	text := fmt.Sprintf("postflight %s · Prometheus %s", w.Daemon.URL(), w.Prometheus.URL())
	for _, name := range slices.Sorted(maps.Keys(w.Shops)) {
		text += fmt.Sprintf(" · %s %s", name, w.Shops[name].URL())
	}
	n.note("%s", text)
}

// progressLine says in one line what is known and how long it may still take.
func progressLine(v verifier.Verification, now time.Time) string {
	parts := make([]string, 0, len(v.Signals)+1)
	for _, f := range v.Signals {
		part := fmt.Sprintf("%s %s", f.Name, f.State)
		if f.Kind == verifier.Ratio && f.Before != nil && f.After != nil {
			part += fmt.Sprintf(" %.1f%% → %.1f%%", *f.Before*100, *f.After*100)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		parts = append(parts, "reading the past")
	}
	left := max(v.ClosesAt.Sub(now), 0).Round(time.Second)
	return fmt.Sprintf("%s · at most %s left", strings.Join(parts, " · "), left)
}
