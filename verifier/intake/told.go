package intake

import (
	"encoding/json"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// told is what a pipeline may write for us into the part of its system's event
// that is its own.
type told struct {
	Service      string // service
	RevertID     string // postflight_revert_id
	Rollback     bool   // rollback: true
	Irreversible bool   // reversible: false
	odd          string // what reversible is in place of true or false
}

// readTold reads a pipeline's own part: an object, or a text that holds one.
// Anything else is somebody else's and says nothing to us.
func readTold(raw json.RawMessage) told {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var fields object
	if json.Unmarshal(raw, &fields) != nil {
		return told{}
	}
	t := told{
		Service: textOf(fields["service"]), RevertID: textOf(fields["postflight_revert_id"]),
		Rollback: isWord(textOf(fields["rollback"]), "true"),
	}
	t.setReversible(scalarOf(fields["reversible"]))
	return t
}

// isWord compares a truth as scripts write it: True is Python's.
func isWord(text, word string) bool { return strings.EqualFold(strings.TrimSpace(text), word) }

func (t *told) setReversible(text string) {
	t.Irreversible = isWord(text, "false")
	if !t.Irreversible && !isWord(text, "true") && !isWord(text, "") {
		t.odd = text
	}
}

// wrong names a reversible that is neither true nor false: to pass over one
// that was meant as false could cost somebody their data.
func (t told) wrong(field string) []verifier.FieldError {
	if t.odd == "" {
		return nil
	}
	return []verifier.FieldError{{Field: field, Message: "must be true or false", Value: shorten(t.odd)}}
}

// note adds what was told to a deployment, but for its service, which has a
// place of its own in most formats.
func (t told) note(d *verifier.Deployment) {
	d.RevertID = first(printable(t.RevertID), d.RevertID)
	d.Rollback = d.Rollback || t.Rollback
	d.Irreversible = d.Irreversible || t.Irreversible
}

// textOf returns a JSON text, or true and false as such, for inputs of
// pipelines are often texts; "" for anything else.
func textOf(raw json.RawMessage) string {
	var text string
	if flag := string(raw); flag == "true" || flag == "false" {
		return flag
	}
	if json.Unmarshal(raw, &text) != nil {
		return "" // not meant for us
	}
	return text
}
