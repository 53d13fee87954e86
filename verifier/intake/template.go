package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// maxSteps is how often the ranges of a template may go round for one event,
// all together: one range in another over a long list would go on for minutes.
const maxSteps = 100_000

// stepFunction is called at the begin of each round of a range.
const stepFunction = "step"

// newTemplate reads a template of a rule.
func newTemplate(written string) (*template.Template, error) {
	t, err := template.New("rule").Option("missingkey=error").Funcs(ruleFunctions).Parse(written)
	if err != nil {
		return nil, err
	}
	counted, err := template.New("count").Funcs(ruleFunctions).Parse("{{ " + stepFunction + " }}")
	if err != nil {
		return nil, fmt.Errorf("count the steps of a template: %w", err)
	}
	for _, named := range t.Templates() {
		countRanges(named.Root, counted.Root.Nodes[0])
	}
	return t, nil
}

// countRanges puts step at the begin of every range below a node.
func countRanges(n parse.Node, step parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, inner := range n.Nodes {
			countRanges(inner, step)
		}
	case *parse.IfNode:
		countRanges(n.List, step)
		countRanges(n.ElseList, step)
	case *parse.WithNode:
		countRanges(n.List, step)
		countRanges(n.ElseList, step)
	case *parse.RangeNode:
		countRanges(n.List, step)
		countRanges(n.ElseList, step)
		n.List.Nodes = append([]parse.Node{step.Copy()}, n.List.Nodes...)
	}
}

// ruleFunctions are what templates of rules may call besides Go's own.
var ruleFunctions = template.FuncMap{
	"lower": func(s any) (string, error) { return onText(s, strings.ToLower) },
	"trimPrefix": func(prefix string, s any) (string, error) {
		return onText(s, func(s string) string { return strings.TrimPrefix(s, prefix) })
	},
	"trimSuffix": func(suffix string, s any) (string, error) {
		return onText(s, func(s string) string { return strings.TrimSuffix(s, suffix) })
	},
	"replace": func(old, by string, s any) (string, error) {
		return onText(s, func(s string) string { return strings.ReplaceAll(s, old, by) })
	},
	"split":      split,
	stepFunction: func() string { return "" },
}

// onText calls a function of a text with a text, a number or a truth.
func onText(s any, f func(string) string) (string, error) {
	switch s := s.(type) {
	case string:
		return f(s), nil
	case json.Number:
		return f(s.String()), nil
	case bool:
		return f(fmt.Sprint(s)), nil
	}
	return "", errors.New("it takes a text or a number")
}

func split(by string, s any) (texts, error) {
	var parts texts
	_, err := onText(s, func(s string) string {
		parts = strings.Split(s, by)
		return ""
	})
	return parts, err
}

// What templates write for null, and for what is no text, number or truth: Go
// would write map[...] or [...], which is nobody's name. NUL stands in no name.
const (
	nothing  = "<no value>"
	compound = "\x00compound\x00"
)

const isNull = "names a field that is null"

type (
	members map[string]any // an object of a payload
	items   []any          // a list of a payload
	texts   []string       // parts of a text
)

func (members) String() string { return compound }
func (items) String() string   { return compound }
func (texts) String() string   { return compound }

// marked is a payload whose objects and lists write themselves as compound.
func marked(payload any) any {
	switch v := payload.(type) {
	case map[string]any:
		for key := range v {
			v[key] = marked(v[key])
		}
		return members(v)
	case []any:
		for i := range v {
			v[i] = marked(v[i])
		}
		return items(v)
	}
	return payload
}

var errTooManySteps = fmt.Errorf("it goes round more than %d times", maxSteps)

// fill returns what a template makes of a payload, which it changes. What the
// payload says is only ever text to it.
func fill(t *template.Template, payload any) (value, message string) {
	t, err := t.Clone() // each event has its own count
	if err != nil {
		return "", "can't be filled in: " + shorten(err.Error())
	}
	steps := 0
	t.Funcs(template.FuncMap{stepFunction: func() (string, error) {
		if steps++; steps > maxSteps {
			return "", errTooManySteps
		}
		return "", nil
	}})
	var out bounded
	err = t.Execute(&out, marked(payload))
	switch {
	case errors.Is(err, errTooLong):
		return "", fmt.Sprintf("makes more than %d bytes", maxFilled)
	case errors.Is(err, errTooManySteps):
		return "", "can't be filled in: " + errTooManySteps.Error()
	case err != nil:
		// The error repeats the template, not the payload.
		return "", "can't be filled in: " + shorten(strings.TrimPrefix(err.Error(), "template: rule:"))
	case strings.Contains(out.String(), nothing):
		return "", isNull
	case strings.Contains(out.String(), compound):
		return "", "names an object or a list, which is no text or number"
	}
	return strings.TrimSpace(out.String()), ""
}

// maxFilled is how much a template may write, in bytes: enough for the longest
// name in any script.
const maxFilled = 4 * maxText

var errTooLong = errors.New("too long")

// bounded takes no more than maxFilled bytes.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxFilled {
		return 0, errTooLong
	}
	return b.Builder.Write(p)
}
