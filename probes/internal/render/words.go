package render

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// plainWord is what means nothing but itself in every query language, inside
// quotes or not.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._/-]*$`)

// Words renders a template of a query in some system's own language. A value
// may hold only letters, digits, dots, underscores, slashes and hyphens, and
// doesn't begin with a hyphen; anything else is an Invalid error.
func Words(text string, data any) (string, error) {
	m, err := run(text, data)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for i := 0; i < len(m.text); {
		if m.text[i] != marker {
			out.WriteByte(m.text[i])
			i++
			continue
		}
		value, next := m.value(i)
		if !plainWord.MatchString(value) {
			return "", invalid(text, fmt.Sprintf("the value %.80q can't be part of a query: only letters, digits, and . _ / - inside", value))
		}
		out.WriteString(value)
		i = next
	}
	return out.String(), nil
}

// Shown returns a rendered address as it may be shown: parameters whose value
// the template makes are there, those that are written out, which may be
// secrets, are not.
func Shown(text string, u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery == "" {
		return shown.String()
	}
	_, template, _ := strings.Cut(text, "?")
	made := map[string]bool{}
	for _, pair := range strings.Split(template, "&") {
		if name, value, _ := strings.Cut(pair, "="); strings.Contains(value, "{{") {
			made[name] = true
		}
	}
	var pairs []string
	for _, pair := range strings.Split(u.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(value); err == nil && made[name] {
			pairs = append(pairs, name+"="+plain)
			continue
		}
		pairs = append(pairs, name+"=…")
	}
	return shown.String() + "?" + strings.Join(pairs, "&")
}
