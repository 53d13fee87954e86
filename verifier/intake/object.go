package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postflight/postflight/verifier"
)

// maxDepth is how deep objects and lists of a body may be nested: an execution
// of Spinnaker's holds manifests, whose CRDs have schemas of dozens of levels.
const maxDepth = 128

// object is a JSON object whose values are read one by one, so that every
// wrong one can be named.
type object map[string]json.RawMessage

// readObject reads a body that is one JSON object. encoding/json alone would
// take the last of two equal keys and repair broken text: a body that two
// readers understand differently is refused here.
func readObject(body []byte) (object, error) {
	if err := checkText(body); err != nil {
		return nil, err
	}
	var top object
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, malformed("the body must be a JSON object, {...}")
	}
	if top == nil {
		return nil, malformed("the body must be a JSON object, {...}, not null")
	}
	return top, nil
}

// readEvent reads a body that is one JSON object into an event of a format; what
// says in an error what the body should have been.
func readEvent[T any](body []byte, what string) (event T, err error) {
	if _, err := readObject(body); err != nil {
		return event, err
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return event, wrongType(err, what)
	}
	return event, nil
}

// readList reads a body that is one JSON list, with the same care.
func readList(body []byte) ([]json.RawMessage, error) {
	if err := checkText(body); err != nil {
		return nil, err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, malformed("the body must be a JSON list, [...]")
	}
	return items, nil
}

// checkText refuses what is no single JSON text in plain UTF-8.
func checkText(body []byte) error {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return malformed("the body begins with a byte order mark: send plain UTF-8 without it")
	case !utf8.Valid(body):
		return malformed("the body is not valid UTF-8")
	}
	return checkShape(body)
}

// checkShape walks the tokens of a JSON text: one value, not nested deeper
// than maxDepth, no key twice in an object.
func checkShape(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // any number will do: it is only passed over
	w := walk{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformed(fmt.Sprintf("the body is no JSON: %v, at byte %d", err, d.InputOffset()))
		}
		if err := w.step(token); err != nil {
			return err
		}
	}
	if w.values != 1 || len(w.open) > 0 {
		return malformed("the body must be exactly one JSON object")
	}
	return nil
}

// walk is where in a JSON text one is.
type walk struct {
	open   []level
	values int // at the top
}

// level is an object or list that is open. keys is nil for a list.
type level struct {
	keys  map[string]bool
	value bool // the next token is a key's value
}

func (w *walk) step(token json.Token) error {
	if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
		w.open = w.open[:len(w.open)-1]
		return nil
	}
	if n := len(w.open); n == 0 {
		w.values++
	} else if at := &w.open[n-1]; at.keys != nil {
		if !at.value {
			key, _ := token.(string) // the decoder lets nothing else be a key
			if at.keys[key] {
				return malformed(fmt.Sprintf("the key %q is there twice in one object", shorten(key)))
			}
			at.keys[key], at.value = true, true
			return nil
		}
		at.value = false
	}
	d, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if len(w.open) == maxDepth {
		return malformed(fmt.Sprintf("the body is nested deeper than %d levels", maxDepth))
	}
	next := level{}
	if d == '{' {
		next.keys = map[string]bool{}
	}
	w.open = append(w.open, next)
	return nil
}

func malformed(detail string) error { return huma.NewError(http.StatusBadRequest, detail) }

// textField returns a text of an object, "" where it is absent or null.
func textField(body []byte, name string) (string, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return "", malformed("the body must be a JSON object, {...}")
	}
	f := newFields(top, "")
	var text string
	f.read(name, "text, in quotes", &text)
	if len(f.wrong) > 0 {
		return "", verifier.InvalidFields("the event has a wrong field", f.wrong...)
	}
	return text, nil
}
