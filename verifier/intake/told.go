package intake

import (
	"encoding/json"

	"github.com/postflight/postflight/verifier"
)

// told is what a pipeline may write for us into the part of its system's event
// that is its own.
type told struct {
	Service      string // service
	RevertID     string // postflight_revert_id
	Rollback     bool   // rollback: true
	Irreversible bool   // reversible: false
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
	return told{
		Service: textOf(fields["service"]), RevertID: textOf(fields["postflight_revert_id"]),
		Rollback: textOf(fields["rollback"]) == "true", Irreversible: textOf(fields["reversible"]) == "false",
	}
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
