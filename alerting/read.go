package alerting

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/postflight/postflight/verifier"
)

// Read returns the event that a delivery's body tells of.
func Read(d verifier.Delivery) (verifier.Event, error) {
	var e verifier.Event
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return e, fmt.Errorf("read delivery %s: %w", d.ID, err)
	}
	return e, nil
}

// Quiet returns a text that calls nobody and hides no address behind other
// words: whoever may name a version must not wake a whole channel. Zero-width
// spaces break up what chat systems would turn into a call (@all, @**all**,
// <@&role>, <!here>, <users/all>) or a link ([words](address), <address|words>).
func Quiet(text string) string {
	var out strings.Builder
	before := ' '
	for _, c := range text {
		letter := unicode.IsLetter(c)
		switch {
		case before == '@' && (letter || strings.ContainsRune("*&!<", c)),
			before == '<' && (letter || strings.ContainsRune("@!#&", c)),
			before == ']' && c == '(':
			out.WriteRune('\u200b')
		}
		out.WriteRune(c)
		before = c
	}
	return out.String()
}
