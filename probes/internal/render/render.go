// Package render fills the templates of probes with values from outside, such
// as the service of a notification, so that no value can leave the place that
// the template gave it: a label value stays a label value, a path segment
// stays a path segment, and a host is nothing but a host.
//
// Templates are text/template. Each value is marked while the template runs
// and escaped afterwards for the place where it came out, so conditions and
// functions see values as they are.
package render

import (
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/postflight/postflight/probes/internal/memo"
	"github.com/postflight/postflight/verifier"
)

// maxOutput bounds a rendered template, in bytes.
const maxOutput = 64 << 10

// marker brackets the number of a value in a rendered template. A template
// that contains it is refused.
const marker = 0

// marked is a rendered template whose values are still apart: its text holds
// marker, the value's index in decimal, marker.
type marked struct {
	text   string
	values []string
}

// run executes a template with its values marked. An error is of kind Invalid.
func run(text string, data any) (marked, error) {
	if !strings.Contains(text, "{{") && strings.IndexByte(text, marker) < 0 && len(text) <= maxOutput {
		return marked{text: text}, nil // it says what it says
	}
	parsed, err := templates.Of(text, parsed)
	if err != nil {
		return marked{}, err
	}
	t, err := parsed.Clone() // for its values are written to this run's m
	if err != nil {
		return marked{}, invalid(text, templateReason(err))
	}
	var m marked
	t.Funcs(template.FuncMap{"_mark": func(v any) string {
		m.values = append(m.values, fmt.Sprint(v))
		return string(rune(marker)) + strconv.Itoa(len(m.values)-1) + string(rune(marker))
	}})
	var out limited
	if err := t.Execute(&out, data); err != nil {
		return marked{}, invalid(text, templateReason(err))
	}
	m.text = out.String()
	return m, nil
}

// templates are those that were parsed, by their text.
var templates memo.Memo[*template.Template]

// parsed returns a template whose actions all end in _mark, which it doesn't
// have yet.
func parsed(text string) (*template.Template, error) {
	if strings.IndexByte(text, marker) >= 0 {
		return nil, invalid(text, "holds a NUL character: remove it")
	}
	// Escaping is decided by the place, so urlquery must not do it first.
	t, err := template.New("").Funcs(verifier.TemplateFunctions()).Funcs(template.FuncMap{"urlquery": fmt.Sprint}).Parse(text)
	if err != nil {
		return nil, invalid(text, templateReason(err))
	}
	for _, each := range t.Templates() {
		if each.Tree != nil {
			markList(each.Root)
		}
	}
	return t, nil
}

// markList makes every action of a list end in _mark.
func markList(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 { // a declaration prints nothing
				mark := parse.NewIdentifier("_mark").SetTree(nil).SetPos(n.Pos)
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{mark}})
			}
		case *parse.IfNode:
			markBranch(&n.BranchNode)
		case *parse.RangeNode:
			markBranch(&n.BranchNode)
		case *parse.WithNode:
			markBranch(&n.BranchNode)
		}
	}
}

func markBranch(b *parse.BranchNode) {
	markList(b.List)
	markList(b.ElseList)
}

// value returns the value whose marker begins at text[i], and where the text
// goes on.
func (m marked) value(i int) (value string, next int) {
	end := i + 1 + strings.IndexByte(m.text[i+1:], marker)
	n, _ := strconv.Atoi(m.text[i+1 : end]) // run wrote it
	return m.values[n], end + 1
}

// limited is a string builder that refuses to grow beyond maxOutput.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("its output is larger than %d bytes", maxOutput)
	}
	return l.Builder.Write(p)
}

// templateReason shortens an error of text/template to what the reader of the
// configuration needs.
func templateReason(err error) string {
	reason := strings.TrimPrefix(err.Error(), "template: :")
	if _, after, ok := strings.Cut(reason, ` executing "" at `); ok {
		reason = "at " + after
	}
	return strings.TrimPrefix(reason, "template: ")
}

// invalid makes the error of a template; what says what is wrong and the
// remedy.
func invalid(text, what string) error {
	const most = 120
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return verifier.Errorf(verifier.Invalid, "template %q: %s", text, what)
}
