package verifier

import (
	"fmt"
	"regexp"
	"text/template"
)

// maxTemplateText is how many bytes a function of a template may return: one
// that doubles a text in a loop must not fill the memory.
const maxTemplateText = 64 << 10

// NewTemplate reads a template that the configuration holds; an error is that of
// text/template. What it writes is for its caller to bound.
func NewTemplate(name, text string) (*template.Template, error) {
	return template.New(name).Funcs(TemplateFunctions()).Parse(text)
}

// TemplateFunctions are those of text/template that make texts, bounded: a
// template can't be stopped while it runs.
func TemplateFunctions() template.FuncMap {
	bounded := func(text func(args ...any) string) func(args ...any) (string, error) {
		return func(args ...any) (string, error) { return short(text(args...)) }
	}
	return template.FuncMap{
		"print": bounded(fmt.Sprint), "println": bounded(fmt.Sprintln), "printf": printf,
		"html": bounded(template.HTMLEscaper), "js": bounded(template.JSEscaper), "urlquery": bounded(template.URLQueryEscaper),
	}
}

// wideVerb is a verb of a width or precision that is out of proportion, or
// comes from elsewhere.
var wideVerb = regexp.MustCompile(`%[^%a-zA-Z]*(\*|[0-9]{4})`)

func printf(format string, args ...any) (string, error) {
	if wideVerb.MatchString(format) {
		return "", fmt.Errorf("printf takes widths and precisions of up to 999, written out (got %q)", format)
	}
	return short(fmt.Sprintf(format, args...))
}

func short(text string) (string, error) {
	if len(text) > maxTemplateText {
		return "", fmt.Errorf("a text of more than %d KiB", maxTemplateText>>10)
	}
	return text, nil
}
