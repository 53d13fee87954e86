package alerting

import (
	"fmt"
	"net/url"
	"strings"
	"text/template"

	"github.com/postflight/postflight/verifier"
)

// maxWords bounds what a template may write, in bytes.
const maxWords = 64 << 10

// Words are a receiver's own templates over verifier.Telling, in place of what
// postflight would say. The zero value says it as postflight does.
type Words struct {
	title, text, incident *template.Template
}

// NewWords reads the templates; "" is none. Errors are of kind Invalid.
func NewWords(title, text, incidentURL string) (Words, error) {
	var w Words
	for _, t := range []struct {
		name, text string
		to         **template.Template
	}{{"title", title, &w.title}, {"text", text, &w.text}, {"incident_url", incidentURL, &w.incident}} {
		if t.text == "" {
			continue
		}
		parsed, err := verifier.NewTemplate(t.name, t.text)
		if err != nil {
			return Words{}, verifier.Errorf(verifier.Invalid, "%s is not a template that can be read: %w", t.name, err)
		}
		*t.to = parsed.Option("missingkey=error")
	}
	return w, nil
}

// Tell puts an event into words. A template that doesn't work for it gives way
// to postflight's own words: nothing is lost over it.
func (w Words) Tell(e verifier.Event) Story {
	s := Tell(e)
	seen := verifier.Telling{Event: e.Type, At: e.Timestamp, Urgent: e.Urgent, Title: s.Headline, Text: s.Text(), Verification: e.Data}
	title, text := rendered(w.title, seen), rendered(w.text, seen)
	if first := strings.Join(strings.Fields(title), " "); first != "" {
		s.Headline = Cut(first, 400)
	}
	s.Own = strings.TrimSpace(text)
	if e.Data.Effective == verifier.Revert && (e.Type == verifier.EventDecided || e.Data.Escalates()) {
		s.link("Open an incident", strings.TrimSpace(rendered(w.incident, seen)))
	}
	return s
}

func rendered(t *template.Template, data verifier.Telling) string {
	if t == nil {
		return ""
	}
	var out bounded
	if err := t.Execute(&out, data); err != nil {
		return ""
	}
	return out.String()
}

type bounded struct{ strings.Builder }

// Write refuses what is too long for any message.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxWords {
		return 0, fmt.Errorf("a template writes more than %d KiB", maxWords>>10)
	}
	return b.Builder.Write(p)
}

// Page returns the address of the board that a verdict's page belongs to; ""
// where it can't be told.
func Page(v verifier.Verification) string {
	u, err := url.Parse(v.URL)
	if err != nil || u.Host == "" {
		return ""
	}
	before, _, found := strings.Cut(u.Path, "/verifications/")
	if !found {
		return ""
	}
	u.Path, u.RawQuery = before+"/", ""
	return u.String()
}
