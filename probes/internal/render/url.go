package render

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Address is a rendered URL.
type Address struct {
	URL *url.URL
	// Templated says that the host came out of the template: it is not the
	// operator's word, and needs the egress rule.
	Templated bool
}

var hostValue = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)

// URL renders a template of an http or https URL. A value in the host may hold
// only letters, digits, dots and hyphens; in the path and the query it is
// escaped. Anything else is an Invalid error.
func URL(text string, data any) (Address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || (scheme != "http" && scheme != "https") {
		return Address{}, invalid(text, "must begin with http:// or https://")
	}
	m, err := run(text, data)
	if err != nil {
		return Address{}, err
	}
	var out strings.Builder
	part := inHost
	for i := 0; i < len(m.text); {
		if m.text[i] == marker {
			value, next := m.value(i)
			escaped, err := part.escape(value)
			if err != nil {
				return Address{}, invalid(text, err.Error())
			}
			out.WriteString(escaped)
			i = next
			continue
		}
		if i >= len(scheme)+len("://") {
			part = part.after(m.text[i])
		}
		out.WriteByte(m.text[i])
		i++
	}
	u, err := url.Parse(out.String())
	if err != nil || u.Hostname() == "" || !validPort(u.Port()) {
		return Address{}, invalid(text, "gives no valid URL: check host and port")
	}
	if len(m.values) > 0 && dotSegments(u.Path) {
		return Address{}, invalid(text, "gives a path with . or .. in it: a value may not climb")
	}
	return Address{URL: u, Templated: hostHasAction(rest)}, nil
}

// urlPart is where in a URL the writing is.
type urlPart int

const (
	inHost urlPart = iota
	inPath
	inQuery
)

// after returns the part after a character of the template itself.
func (p urlPart) after(c byte) urlPart {
	switch {
	case c == '?' || c == '#':
		return inQuery
	case c == '/' && p == inHost:
		return inPath
	}
	return p
}

func (p urlPart) escape(value string) (string, error) {
	switch p {
	case inHost:
		if !hostValue.MatchString(value) {
			return "", fmt.Errorf("the value %.80q can't be part of a host name: only letters, digits, dots and hyphens", value)
		}
		return value, nil
	case inPath:
		return url.PathEscape(value), nil
	default:
		return url.QueryEscape(value), nil
	}
}

func validPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && n > 0
}

func dotSegments(path string) bool {
	for _, segment := range strings.Split(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// hostHasAction reports whether the host part of a URL template holds an
// action, even one that prints nothing. rest is the template after "://".
func hostHasAction(rest string) bool {
	action := strings.Index(rest, "{{")
	end := strings.IndexAny(rest, "/?#")
	return action >= 0 && (end < 0 || action < end)
}
