package render

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// PromQL renders a template of a selector or query. Values may stand only
// inside the quoted string of a label matcher: after = and != they are escaped
// as a string, after =~ and !~ they match only themselves. A value anywhere
// else, and one in backquotes that holds a backquote, is an Invalid error.
func PromQL(text string, data any) (string, error) {
	m, err := run(text, data)
	if err != nil {
		return "", err
	}
	var p promql
	for i := 0; i < len(m.text); {
		if m.text[i] == marker {
			value, next := m.value(i)
			if i > 0 && m.text[i-1] == '\\' {
				return "", invalid(text, "a backslash right before a value would change what it means: remove it")
			}
			if err := p.value(value); err != nil {
				return "", invalid(text, err.Error())
			}
			i = next
			continue
		}
		p.char(m.text[i])
		i++
	}
	if p.quote != 0 {
		return "", invalid(text, fmt.Sprintf("a string opened with %c is not closed", p.quote))
	}
	return p.out.String(), nil
}

// promql follows the strings of a PromQL expression while it is written.
type promql struct {
	out     strings.Builder
	quote   byte // of the string that is open; 0 outside
	matcher string
	escaped bool // the last character was a backslash that takes this one
	comment bool
}

// char writes a character of the template itself.
func (p *promql) char(c byte) {
	switch {
	case p.comment:
		p.comment = c != '\n'
	case p.escaped:
		p.escaped = false
	case p.quote == 0 && c == '#':
		p.comment = true
	case p.quote == 0 && (c == '"' || c == '\'' || c == '`'):
		p.quote, p.matcher = c, matcherBefore(p.out.String())
	case p.quote != 0 && c == p.quote:
		p.quote = 0
	case p.quote != 0 && p.quote != '`' && c == '\\':
		p.escaped = true
	}
	p.out.WriteByte(c)
}

func matcherBefore(written string) string {
	written = strings.TrimRight(written, " \t\r\n")
	for _, m := range []string{"=~", "!~", "="} {
		if strings.HasSuffix(written, m) {
			return m
		}
	}
	return ""
}

// value writes a value from outside, escaped for where it stands.
func (p *promql) value(v string) error {
	if p.quote == 0 || p.matcher == "" {
		return fmt.Errorf(`a value may stand only in the quoted string of a label matcher, as in {service="{{ .Service }}"}`)
	}
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\uFFFD") // no label value holds anything else
	}
	if p.matcher != "=" {
		v = regexp.QuoteMeta(v)
	}
	if p.quote == '`' {
		if strings.ContainsRune(v, '`') {
			return fmt.Errorf("a string in backquotes can't hold the value %q: use double quotes", v)
		}
		p.out.WriteString(v)
		return nil
	}
	p.out.WriteString(escapeString(v, p.quote))
	return nil
}

// EscapeString returns v as it stands between double quotes in PromQL.
func EscapeString(v string) string { return escapeString(v, '"') }

// escapeString escapes v for a PromQL string; only the quote that opened the
// string may be escaped in it.
func escapeString(v string, quote byte) string {
	var b strings.Builder
	for _, r := range v {
		switch {
		case r == '\\' || r == rune(quote):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
