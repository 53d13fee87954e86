package intake

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/verifier"
)

// Mapping says what a source's deploys are called, in place of where its
// format looks for their names, and which of its events count. The zero
// Mapping replaces nothing and lets everything through.
type Mapping struct {
	service, environment, version rule
	only                          []condition
	trace                         *[]Name // where the names that were found are written down; nil for nobody
}

// condition lets an event through whose value at the path matches a pattern.
type condition struct {
	written string
	path    *jsonpath.Path
	pattern string // as in path.Match
}

// NewMapping returns the mapping of three rules. Each is an RFC 9535 path into
// the payload where it begins with $, a Go template over the payload where it
// has {{, a name as it stands, or "" for the format's own. An error names the
// rule that is none.
func NewMapping(service, environment, version string) (Mapping, error) {
	var m Mapping
	for _, r := range []struct {
		key, written string
		rule         *rule
	}{{"service", service, &m.service}, {"environment", environment, &m.environment}, {"version", version, &m.version}} {
		made, err := newRule("map."+r.key, r.written)
		if err != nil {
			return Mapping{}, err
		}
		*r.rule = made
	}
	return m, nil
}

// Only returns the mapping that lets only those events through whose payload
// has, at each of the RFC 9535 paths, a value that matches the shell pattern
// (as in path.Match, but that * and ? match a slash as well). An error names
// the path or pattern that is none.
func (m Mapping) Only(patterns map[string]string) (Mapping, error) {
	m.only = nil
	for _, written := range slices.Sorted(maps.Keys(patterns)) {
		where, err := jsonpath.Parse(written)
		if err != nil {
			return Mapping{}, fmt.Errorf("read only %q: %w", written, err)
		}
		pattern := patterns[written]
		if _, err := path.Match(pattern, ""); err != nil {
			return Mapping{}, fmt.Errorf("read only %q: pattern %q: %w", written, pattern, err)
		}
		m.only = append(m.only, condition{written: written, path: where, pattern: pattern})
	}
	return m, nil
}

// asks reports whether one of the conditions is about what is below a path.
func (m Mapping) asks(prefix string) bool {
	return slices.ContainsFunc(m.only, func(c condition) bool { return strings.HasPrefix(c.path.String(), prefix) })
}

// passedOver says why an event doesn't count, "" where it does.
func (m Mapping) passedOver(body []byte) string {
	if len(m.only) == 0 {
		return ""
	}
	payload, ok := payloadOf(body)
	if !ok {
		return ""
	}
	for _, c := range m.only {
		value, message := c.find(payload)
		switch {
		case message != "":
			return fmt.Sprintf("the source's only asks for %s, which %s", c.written, message)
		case !like(c.pattern, value):
			return fmt.Sprintf("the source's only asks for %s like %q, and it is %q", c.written, c.pattern, shorten(value))
		}
	}
	return ""
}

// unnamed says which of the names that the source's rules look for an event
// gives as null, "" where none: what it is about has no such name.
func (m Mapping) unnamed(body []byte) string {
	for _, name := range m.names(nil, nil, new(string), origins{}) {
		if payload, ok := payloadOf(body); ok && name.rule.null(payload) { // which a template changes
			return fmt.Sprintf("the event has no %s: %s is null, and the source's map.%s points there", name.key, name.rule.field(name.key), name.key)
		}
	}
	return ""
}

// find returns the text, number or truth that a condition is about.
func (c condition) find(payload any) (value, message string) {
	found, message := theOne(c.path, payload)
	if truth, ok := found.(bool); ok {
		return strconv.FormatBool(truth), ""
	}
	return scalar(found, message, "must be a text, a number, true or false")
}

// like matches as path.Match does, with slashes as plain letters: names of
// repositories and jobs have them.
func like(pattern, value string) bool {
	const letter = "\x1f" // control characters stand in no name
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", letter), strings.ReplaceAll(value, "/", letter))
	return err == nil && ok
}

// origins are the fields of a format that hold a deploy's names, as its errors
// call them.
type origins struct{ service, environment, version string }

// place is a field of an event that may hold a name.
type place struct{ value, field string }

// foundAt returns the first name that there is among places, and its field;
// where there is none, the field that is asked for one.
func foundAt(asked string, places ...place) (value, from string) {
	for _, p := range places {
		if p.value != "" {
			return p.value, p.field
		}
	}
	return "", asked
}

// Name is a name that was found in an event, and where.
type Name struct {
	Key   string // service, environment or version
	Value string
	From  string // a field of the event, or the source's rule
	Wrong string // what is wrong with it
}

// apply puts the source's own names in place of those that the format found,
// and returns what is wrong with the result: where it happened and what was
// deployed must be clear. body is the event that the rules read.
func (m Mapping) apply(d *verifier.Deployment, from origins, body []byte) []verifier.FieldError {
	var wrong []verifier.FieldError
	for _, name := range m.names(&d.Service, &d.Environment, &d.Version, from) {
		field, message := name.field, ""
		if name.rule.written != "" {
			field = name.rule.field(name.key)
			*name.value, message = name.rule.find(body)
		}
		switch {
		case message != "":
			message += ", and the source's map." + name.key + " points there"
		case *name.value == "":
			message = "must not be empty; the source's map." + name.key + " can name the " + name.key + " in its place"
		default:
			message = wrongText(*name.value, maxText)
		}
		if message != "" {
			wrong = append(wrong, verifier.FieldError{Field: field, Message: message, Value: shorten(*name.value)})
		}
		if m.trace != nil {
			*m.trace = append(*m.trace, Name{Key: name.key, Value: *name.value, From: field, Wrong: message})
		}
	}
	return wrong
}

// named is one of the three names with its rule and the field that its format
// has it in.
type named struct {
	key, field string
	rule       rule
	value      *string
}

func (m Mapping) names(service, environment, version *string, from origins) []named {
	all := []named{{"service", from.service, m.service, service}, {"environment", from.environment, m.environment, environment}}
	if version != nil {
		all = append(all, named{"version", from.version, m.version, version})
	}
	return all
}
