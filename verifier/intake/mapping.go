package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/verifier"
)

// Mapping says what a source's deploys are called, in place of where its
// format looks for their names. The zero Mapping replaces nothing.
type Mapping struct {
	service, environment, version rule
}

// rule is a path into the payload, a name as it stands, or nothing.
type rule struct {
	written string
	path    *jsonpath.Path
}

// NewMapping returns the mapping of three rules. Each is an RFC 9535 path into
// the payload where it begins with $, a name as it stands, or "" for the
// format's own. An error names the rule whose path is none.
func NewMapping(service, environment, version string) (Mapping, error) {
	var m Mapping
	for _, r := range []struct {
		key, written string
		rule         *rule
	}{{"service", service, &m.service}, {"environment", environment, &m.environment}, {"version", version, &m.version}} {
		r.rule.written = r.written
		if !strings.HasPrefix(r.written, "$") {
			continue
		}
		path, err := jsonpath.Parse(r.written)
		if err != nil {
			return Mapping{}, fmt.Errorf("read map.%s %q: %w", r.key, r.written, err)
		}
		r.rule.path = path
	}
	return m, nil
}

// origins are the fields of a format that hold a deploy's names, as its errors
// call them.
type origins struct{ service, environment, version string }

// apply puts the source's own names in place of those that the format found,
// and returns what is wrong with the result: where it happened and what was
// deployed must be clear. body is the event that the paths lead into.
func (m Mapping) apply(d *verifier.Deployment, from origins, body []byte) []verifier.FieldError {
	var wrong []verifier.FieldError
	for _, name := range []struct {
		key, field string
		rule       rule
		value      *string
	}{
		{"service", from.service, m.service, &d.Service},
		{"environment", from.environment, m.environment, &d.Environment},
		{"version", from.version, m.version, &d.Version},
	} {
		field, message := name.field, ""
		switch {
		case name.rule.path != nil:
			field = name.rule.written
			*name.value, message = name.rule.find(body)
		case name.rule.written != "":
			field = "map." + name.key
			*name.value = name.rule.written
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
	}
	return wrong
}

// find returns the text or number that the path leads to, or what is there
// instead.
func (r rule) find(body []byte) (value, message string) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // a build number keeps its digits
	var payload any
	if d.Decode(&payload) != nil {
		return "", "is not there, for the event is no JSON"
	}
	found := r.path.Select(payload)
	if len(found) != 1 {
		return "", fmt.Sprintf("must be there once, not %d times", len(found))
	}
	switch v := found[0].(type) {
	case string:
		return v, ""
	case json.Number:
		return v.String(), ""
	}
	return "", "must be a text or a number"
}
