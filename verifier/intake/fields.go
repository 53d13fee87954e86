package intake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postflight/postflight/verifier"
)

// maxText is how long names, versions and other short texts may be, in
// characters; maxLink an address.
const (
	maxText = 253
	maxLink = 2048
)

// fields reads the fields of an object and collects everything that is wrong
// with them. null counts as absent.
type fields struct {
	from   object
	prefix string // of the names in errors
	known  []string
	wrong  []verifier.FieldError
}

func newFields(from object, prefix string) *fields { return &fields{from: from, prefix: prefix} }

func (f *fields) fail(name, message, value string) {
	f.wrong = append(f.wrong, verifier.FieldError{Field: f.prefix + name, Message: message, Value: shorten(value)})
}

// read decodes a field into its type; false where it is absent or wrong.
func (f *fields) read(name, what string, into any) bool {
	f.known = append(f.known, name)
	raw, ok := f.from[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		f.fail(name, "must be "+what, string(raw))
		return false
	}
	return true
}

func (f *fields) required(name string, into *string) {
	found := f.read(name, "text, in quotes", into)
	switch {
	case !found && f.failure(name) >= 0: // it is there, and named as wrong already
	case !found:
		f.fail(name, "is required", "")
	case strings.TrimSpace(*into) == "":
		f.fail(name, "is required and must not be empty", *into)
	default:
		f.checkText(name, *into)
	}
}

func (f *fields) text(name string, into *string) {
	if f.read(name, "text, in quotes", into) && *into != "" {
		f.checkText(name, *into)
	}
}

func (f *fields) checkText(name, value string) {
	if message := wrongText(value, maxText); message != "" {
		f.fail(name, message, value)
	}
}

func (f *fields) oneOf(name string, into *string, first string, others ...string) {
	all := append([]string{first}, others...)
	if !f.read(name, "text, in quotes", into) || *into == "" {
		*into = first
		return
	}
	if !slices.Contains(all, *into) {
		f.fail(name, "must be one of "+strings.Join(all, ", "), *into)
	}
}

func (f *fields) link(name string, into *string) {
	if !f.read(name, "text, in quotes", into) || *into == "" {
		return
	}
	switch {
	case utf8.RuneCountInString(*into) > maxLink:
		f.fail(name, fmt.Sprintf("is longer than %d characters", maxLink), *into)
	case !isLink(*into):
		f.fail(name, "must be an address that begins with http:// or https://", *into)
	}
}

func (f *fields) moment(name string, into **time.Time) {
	var text string
	if !f.read(name, "a time in quotes, as RFC 3339 writes it, such as 2026-11-23T02:41:07Z", &text) || text == "" {
		return
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f.fail(name, "must be a time as RFC 3339 writes it, such as 2026-11-23T02:41:07Z", text)
		return
	}
	*into = &t
}

func (f *fields) flag(name string, into **bool) {
	f.read(name, "true or false, without quotes", into)
}

func (f *fields) texts(name string, into *[]string, most int) {
	if !f.read(name, "a list of texts", into) {
		return
	}
	if len(*into) > most {
		f.fail(name, fmt.Sprintf("has more than %d entries", most), fmt.Sprint(len(*into)))
		return
	}
	for i, s := range *into {
		if message := wrongText(s, 1024); message != "" {
			f.fail(fmt.Sprintf("%s[%d]", name, i), message, s)
		}
	}
}

func (f *fields) labels(name string, into *map[string]string) {
	if !f.read(name, "an object of texts", into) {
		return
	}
	if len(*into) > 64 {
		f.fail(name, "has more than 64 entries", fmt.Sprint(len(*into)))
		return
	}
	for _, key := range slices.Sorted(maps.Keys(*into)) {
		value := (*into)[key]
		if message := wrongText(key, 63); message != "" {
			f.fail(name, "has a key that "+message, key)
		}
		if message := wrongText(value, maxText); value != "" && message != "" {
			f.fail(name+"."+shorten(key), message, value)
		}
	}
	f.small(name, *into)
}

// maxStored is how many bytes a field of many texts may take as it is stored,
// for it is in every record of the deploy, and others wait while those are read.
const maxStored = 16 << 10

func (f *fields) small(name string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		return // texts can always be written
	}
	if len(b) > maxStored {
		f.fail(name, "takes more than 16 KiB: keep what is long where url leads", fmt.Sprintf("%d bytes", len(b)))
	}
}

func (f *fields) object(name string) (object, bool) {
	var inner object
	if !f.read(name, "an object", &inner) {
		return nil, false
	}
	return inner, true
}

// wrongText says what is wrong with a text that names something; "" is
// nothing. Control and direction characters would let a name pass for
// another on a page or in a log.
func wrongText(s string, most int) string {
	switch {
	case s == "":
		return "must not be empty"
	case utf8.RuneCountInString(s) > most:
		return fmt.Sprintf("is longer than %d characters", most)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		return "has characters that can't be printed"
	case strings.TrimSpace(s) != s:
		return "begins or ends with a space"
	}
	return ""
}

func isLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && wrongText(s, maxLink) == ""
}

func shorten(s string) string { return shortenTo(s, 100) }

func shortenTo(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
