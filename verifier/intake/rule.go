package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"github.com/theory/jsonpath"
)

// rule is a path into the payload, a template over it, a name as it stands, or
// nothing.
type rule struct {
	written  string
	path     *jsonpath.Path
	template *template.Template
}

func newRule(name, written string) (rule, error) {
	r := rule{written: written}
	var err error
	switch {
	case strings.HasPrefix(written, "$"):
		r.path, err = jsonpath.Parse(written)
	case strings.Contains(written, "{{"):
		r.template, err = newTemplate(written)
	}
	if err != nil {
		return rule{}, fmt.Errorf("read %s %q: %w", name, written, err)
	}
	return r, nil
}

// field is how errors call the place that a rule points to.
func (r rule) field(key string) string {
	if r.path != nil {
		return r.written
	}
	return "map." + key
}

// find returns what the rule makes of a payload, or what is there instead.
func (r rule) find(body []byte) (value, message string) {
	if r.path == nil && r.template == nil {
		return r.written, ""
	}
	payload, ok := payloadOf(body)
	switch {
	case !ok:
		return "", "is not there, for the event is no JSON"
	case r.path != nil:
		return selectOne(r.path, payload)
	}
	return fill(r.template, payload)
}

// null reports whether a payload says null where the rule looks.
func (r rule) null(payload any) bool {
	switch {
	case r.path != nil:
		found := r.path.Select(payload)
		return len(found) == 1 && found[0] == nil
	case r.template != nil:
		_, message := fill(r.template, payload)
		return message == isNull
	}
	return false
}

// payloadOf decodes an event for rules: numbers keep their digits.
func payloadOf(body []byte) (payload any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return payload, d.Decode(&payload) == nil
}

// selectOne returns the text or number that a path leads to.
func selectOne(path *jsonpath.Path, payload any) (value, message string) {
	found, message := theOne(path, payload)
	return scalar(found, message, "must be a text or a number")
}

// scalar returns a text or number as text, or why there is none.
func scalar(found any, missing, otherwise string) (value, message string) {
	switch v := found.(type) {
	case string:
		return v, ""
	case json.Number:
		return v.String(), ""
	}
	return "", first(missing, otherwise)
}

// theOne returns the one value that a path leads to.
func theOne(path *jsonpath.Path, payload any) (value any, message string) {
	found := path.Select(payload)
	if len(found) != 1 {
		return nil, fmt.Sprintf("must be there once, not %d times", len(found))
	}
	return found[0], ""
}
