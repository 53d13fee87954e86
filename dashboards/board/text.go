package board

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths, in characters, at which text from outside is cut on a page; the
// record as JSON holds all of it.
const (
	nameLength     = 80
	sentenceLength = 600
)

// clean makes text from outside harmless to look at: characters that are not
// seen or that turn the direction of writing are replaced by U+FFFD, so that a
// version can't pose as another one, and what is longer than limit characters
// is cut with "…". Escaping is the template's work.
func clean(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == limit {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n' || r == '\t':
			r = ' '
		case r == utf8.RuneError, unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// cleanLines is clean for text whose lines matter, such as a query.
func cleanLines(s string, limit int) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if limit <= 0 {
			break
		}
		line = clean(line, limit)
		limit -= utf8.RuneCountInString(line) + 1
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func name(s string) string   { return clean(s, nameLength) }
func quoted(s string) string { return "“" + name(s) + "”" }

// shellWord makes a name safe to paste into a shell as one word.
func shellWord(s string) string {
	s = name(s)
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/@:+-", r) || s[0] == '-' {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}

// webLink returns the address if it may be a link: absolute, http or https,
// with a host and without credentials. Anything else is "".
func webLink(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > 2000 || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.String()
}
