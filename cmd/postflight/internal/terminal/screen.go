// Package terminal writes for people: with colour and a line that is renewed
// where a terminal shows them, and as plain lines everywhere else.
package terminal

import (
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Tone is what a text is to be taken as; it is coloured by it, and never told
// by colour alone.
type Tone string

// The tones, as the parameters of ANSI's SGR sequence.
const (
	Plain Tone = ""
	Good  Tone = "32"
	Bad   Tone = "1;31"
	Warn  Tone = "33"
	Live  Tone = "36"
	Quiet Tone = "2"
	Bold  Tone = "1"
)

// fallbackWidth is that of a terminal that doesn't tell its own.
const fallbackWidth = 80

// Screen is a stream that people may be looking at.
type Screen struct {
	w      io.Writer
	file   *os.File // nil where the stream is none
	live   bool     // lines can be renewed
	colour bool
	wide   int // what a test says instead of the terminal
}

// New looks at a stream. Colour needs a terminal, no NO_COLOR in the
// environment and plain unset; renewing a line needs a terminal that isn't dumb.
func New(w io.Writer, plain bool, env func(string) string) *Screen {
	s := &Screen{w: w}
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || env("TERM") == "dumb" {
		return s
	}
	s.file, s.live = file, true
	s.colour = !plain && env("NO_COLOR") == ""
	return s
}

// Live reports whether a line can be renewed.
func (s *Screen) Live() bool { return s.live }

// Write writes as it stands.
func (s *Screen) Write(b []byte) (int, error) { return s.w.Write(b) }

// Paint returns the text in its tone where there is colour.
func (s *Screen) Paint(t Tone, text string) string {
	if !s.colour || t == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(t) + "m" + text + "\x1b[0m"
}

// width is how many characters a line of the terminal has, 0 without one.
func (s *Screen) width() int {
	if s.file == nil {
		return s.wide
	}
	if w, _, err := term.GetSize(int(s.file.Fd())); err == nil && w > 0 {
		return w
	}
	return fallbackWidth
}

// Clean returns a text in one line without what a terminal would take as a
// command: names and reasons come from elsewhere.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError:
			return '\ufffd'
		}
		return r
	}, text)
}

// cut returns the text with at most that many characters, the last an
// ellipsis where something is missing.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	if most < 1 {
		return ""
	}
	return string([]rune(text)[:most-1]) + "…"
}
