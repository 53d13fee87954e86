package render

import (
	"encoding/json"
	"strings"
)

// Body renders a template of a request body. In a template that looks like
// JSON, values are escaped as the inside of a JSON string; in any other they
// stand as they are. Errors are of kind Invalid.
func Body(text string, data any) (body string, isJSON bool, err error) {
	m, err := run(text, data)
	if err != nil {
		return "", false, err
	}
	start := strings.TrimSpace(text)
	isJSON = strings.HasPrefix(start, "[") || strings.HasPrefix(start, "{") && !strings.HasPrefix(start, "{{")
	var out strings.Builder
	for i := 0; i < len(m.text); {
		if m.text[i] != marker {
			out.WriteByte(m.text[i])
			i++
			continue
		}
		value, next := m.value(i)
		if isJSON {
			quoted, err := json.Marshal(value)
			if err != nil {
				return "", false, invalid(text, "has a value that JSON can't hold: "+err.Error())
			}
			value = string(quoted[1 : len(quoted)-1])
		}
		out.WriteString(value)
		i = next
	}
	return out.String(), isJSON, nil
}
