package configs

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template/parse"
	"time"

	"github.com/postflight/postflight/verifier"
)

// sampleTarget is what templates are tried with.
var sampleTarget = verifier.Target{Service: "checkout", Environment: "production", Version: "1.42.0"}

// feedTarget is what the address of a feed may name.
type feedTarget struct {
	verifier.Target
	From, To time.Time
}

var sampleFeed = feedTarget{
	Target: sampleTarget,
	From:   time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC),
	To:     time.Date(2026, 11, 23, 2, 5, 0, 0, time.UTC),
}

// render checks a template and tries it with sample values.
func (d *decoder) render(n *node, sample any) (string, bool) {
	t, err := verifier.NewTemplate("", n.text)
	if err != nil {
		d.foreign(n, "is not a template that can be read", templateError(err))
		return "", false
	}
	t.Option("missingkey=error")
	if t.Tree == nil { // nothing but definitions or white space
		return "", true
	}
	// Every name is looked at, those in branches that the samples don't take
	// as well.
	w := templateWalk{data: reflect.TypeOf(sample)}
	w.node(t.Root)
	if len(t.Templates()) > 1 {
		w.refuse("define")
	}
	if w.what != "" {
		d.detailed(n, w.what)
		return "", false
	}
	var out limited
	if err := t.Execute(&out, sample); err != nil {
		d.foreign(n, "is a template that doesn't work", templateError(err))
		return "", false
	}
	return out.String(), true
}

var templatePrefix = regexp.MustCompile(`^template: [^:]*:\d+(:\d+)?: (executing "" )?(at )?`)

func templateError(err error) error {
	return errors.New(templatePrefix.ReplaceAllString(err.Error(), ""))
}

// limited collects what a template writes, up to 64 KiB.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > 64<<10 {
		return 0, errors.New("it writes more than 64 KiB")
	}
	return l.Builder.Write(p)
}

// templateWalk finds the first thing in a template that can't be.
type templateWalk struct {
	data reflect.Type
	what string
}

func (w *templateWalk) refuse(word string) {
	if w.what == "" {
		w.what = "a template here takes values and if, not " + word
	}
}

func (w *templateWalk) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				w.node(child)
			}
		}
	case *parse.ActionNode:
		w.node(n.Pipe)
	case *parse.IfNode:
		w.node(n.Pipe)
		w.node(n.List)
		w.node(n.ElseList)
	case *parse.RangeNode:
		w.refuse("range")
	case *parse.WithNode:
		w.refuse("with")
	case *parse.TemplateNode:
		w.refuse("template")
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				w.node(arg)
			}
		}
	case *parse.FieldNode:
		w.names(n.Ident)
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			w.names(n.Ident[1:])
		}
	case *parse.ChainNode:
		w.node(n.Node)
	}
}

// names checks a chain such as .From.Unix against the type of the data.
func (w *templateWalk) names(chain []string) {
	t := w.data
	for i, name := range chain {
		next, ok := member(t, name)
		if !ok {
			if w.what == "" {
				known := members(t, i == 0)
				near := suggestion(name, known)
				if near == "" {
					near = "; known: " + strings.Join(prefixed(known), ", ")
				}
				w.what = fmt.Sprintf("unknown name .%s in the template%s", strings.Join(chain[:i+1], "."), near)
			}
			return
		}
		t = next
	}
}

func member(t reflect.Type, name string) (reflect.Type, bool) {
	if m, ok := t.MethodByName(name); ok && m.Type.NumOut() > 0 {
		return m.Type.Out(0), true
	}
	if t.Kind() == reflect.Struct {
		if f, ok := t.FieldByName(name); ok && f.IsExported() && !f.Anonymous {
			return f.Type, true
		}
	}
	return nil, false
}

// members lists what may follow: the fields of the data, or the usual methods
// of a time.
func members(t reflect.Type, data bool) []string {
	if t == reflect.TypeFor[time.Time]() {
		return []string{"Unix", "UnixMilli", "UTC", "Format"}
	}
	var out []string
	if data {
		for _, f := range reflect.VisibleFields(t) {
			if f.IsExported() && !f.Anonymous {
				out = append(out, f.Name)
			}
		}
	}
	return out
}

func prefixed(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = "." + name
	}
	if len(out) == 0 {
		return []string{"nothing below it"}
	}
	return out
}
