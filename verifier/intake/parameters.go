package intake

import (
	"encoding/json"
	"strings"
)

// parameters are what a build or pipeline was started with. Their names are
// the user's, so that capitals don't count.
type parameters map[string]json.RawMessage

// named returns the parameter with the first of the names that there is one
// of: a text, a number or a truth.
func (p parameters) named(names ...string) string {
	for _, name := range names {
		if value := scalarOf(p[name]); value != "" {
			return value
		}
		for key, raw := range p {
			if strings.EqualFold(key, name) {
				if value := scalarOf(raw); value != "" {
					return value
				}
			}
		}
	}
	return ""
}

// told is what the pipeline wrote for us into its parameters.
func (p parameters) told() told {
	t := told{RevertID: p.named("postflight_revert_id", "revert_id"), Rollback: isWord(p.named("rollback"), "true")}
	t.setReversible(p.named("reversible"))
	return t
}

// scalarOf returns a JSON text, number or truth as text; "" for anything else.
func scalarOf(raw json.RawMessage) string {
	var number json.Number
	if text := textOf(raw); text != "" {
		return text
	}
	if json.Unmarshal(raw, &number) != nil {
		return ""
	}
	return number.String()
}
