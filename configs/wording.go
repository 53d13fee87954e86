package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/postflight/postflight/verifier"
)

// wording checks the templates of a receiver's messages: every name in them,
// and that they work for each change that the receiver is told of.
func (d *decoder) wording(r *Receiver) {
	wanted := r.Changes()
	if wanted == nil {
		wanted = verifier.UsualChanges
	}
	for _, field := range []*string{&r.Title, &r.Text, &r.IncidentURL} {
		if !d.usable(field) {
			continue
		}
		n := d.at(field)
		t, err := verifier.NewTemplate("", n.text)
		if err != nil {
			d.foreign(n, "is not a template that can be read", templateError(err))
			continue
		}
		t.Option("missingkey=error")
		if t.Tree == nil || strings.TrimSpace(n.text) == "" {
			d.got(n, "says nothing: take the key out for postflight's own words")
			continue
		}
		if what := unknownName(t); what != "" {
			d.detailed(n, what)
			continue
		}
		d.tryWording(n, t, wanted, field == &r.IncidentURL)
	}
}

// tryWording renders a template for each of the changes that are wanted.
func (d *decoder) tryWording(n *node, t *template.Template, wanted []verifier.Change, address bool) {
	var tried, said bool
	for _, sample := range sampleTellings() {
		is := verifier.Event{Type: sample.Event, Urgent: sample.Urgent, Data: sample.Verification}.Changes()
		if !slices.ContainsFunc(is, func(c verifier.Change) bool { return slices.Contains(wanted, c) }) {
			continue
		}
		if address && !slices.Contains(is, verifier.ChangeRevert) {
			continue // it is asked for after a revert only
		}
		var out limited
		if err := t.Execute(&out, sample); err != nil {
			d.foreign(n, "is a template that doesn't work for a message of "+string(is[len(is)-1]), templateError(err))
			return
		}
		if address {
			d.url(n, out.String())
			return
		}
		tried, said = true, said || strings.TrimSpace(out.String()) != ""
	}
	if tried && !said {
		d.got(n, "says nothing for any message that it is told: take the key out for postflight's own words")
	}
}

// unknownName returns what is wrong with the first name in a template that
// there isn't, in branches that no sample takes as well; "" where all is well.
func unknownName(t *template.Template) string {
	if len(t.Templates()) > 1 {
		return "a template here can't define others"
	}
	w := wordingWalk{root: reflect.TypeFor[verifier.Telling](), variables: map[string]reflect.Type{}}
	// Twice: what a loop sets at its end holds where it comes round.
	w.list(t.Root, w.root)
	w.list(t.Root, w.root)
	return w.what
}

// wordingWalk follows what . and variables stand for through range and with.
// What can't be told before the template runs is a nil type, and is left to the
// samples, but for range: a template can't be stopped while it runs, so it loops
// over the lists of the record alone.
type wordingWalk struct {
	root      reflect.Type
	variables map[string]reflect.Type
	ranges    int // around the place
	what      string
}

// mostRanges is how many ranges may stand in one another: the lists of a record
// are short, and three of them multiplied are not.
const mostRanges = 2

func (w *wordingWalk) refuse(what string) {
	if w.what == "" {
		w.what = what
	}
}

func (w *wordingWalk) list(l *parse.ListNode, dot reflect.Type) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			w.pipe(n.Pipe, dot)
		case *parse.IfNode:
			w.pipe(n.Pipe, dot)
			w.list(n.List, dot)
			w.list(n.ElseList, dot)
		case *parse.WithNode:
			w.list(n.List, w.pipe(n.Pipe, dot))
			w.list(n.ElseList, dot)
		case *parse.RangeNode:
			w.loop(n, dot)
		case *parse.TemplateNode:
			w.refuse("a template here can't call others")
		}
	}
}

// loop checks a range. What it declares are the key and the element.
func (w *wordingWalk) loop(n *parse.RangeNode, dot reflect.Type) {
	over := w.values(n.Pipe, dot)
	if over == nil || over.Kind() != reflect.Slice && over.Kind() != reflect.Map {
		w.refuse("range takes a list of the record here, such as .Signals, and no number or other value")
		return
	}
	if w.ranges++; w.ranges > mostRanges {
		w.refuse(fmt.Sprintf("a template here has at most %d ranges in one another", mostRanges))
	}
	for i, v := range n.Pipe.Decl {
		is := over.Elem()
		if i+1 < len(n.Pipe.Decl) {
			is = nil // the key
		}
		w.declare(v, is, n.Pipe.IsAssign)
	}
	w.list(n.List, over.Elem())
	w.ranges--
	w.list(n.ElseList, dot)
}

// declare notes the type of a variable. One that is assigned anew, or declared
// twice, may be anything.
func (w *wordingWalk) declare(v *parse.VariableNode, is reflect.Type, assigned bool) {
	if known, again := w.variables[v.Ident[0]]; assigned || again && known != is {
		is = nil
	}
	w.variables[v.Ident[0]] = is
}

// pipe checks the names of a pipeline, notes the variables that it declares, and
// returns its type where it is one name, or a slice of one.
func (w *wordingWalk) pipe(p *parse.PipeNode, dot reflect.Type) reflect.Type {
	is := w.values(p, dot)
	for _, v := range p.Decl {
		w.declare(v, is, p.IsAssign)
	}
	return is
}

func (w *wordingWalk) values(p *parse.PipeNode, dot reflect.Type) (is reflect.Type) {
	var sliced reflect.Type
	for _, command := range p.Cmds {
		for i, arg := range command.Args {
			switch arg := arg.(type) {
			case *parse.FieldNode:
				is = w.names(dot, arg.Ident)
			case *parse.VariableNode:
				from := w.root
				if arg.Ident[0] != "$" {
					from = w.variables[arg.Ident[0]]
				}
				is = w.names(from, arg.Ident[1:])
			case *parse.DotNode:
				is = dot
			case *parse.PipeNode:
				is = w.pipe(arg, dot)
			default:
				is = nil // a number, a text, a function
			}
			if f, ok := command.Args[0].(*parse.IdentifierNode); ok && f.Ident == "slice" && i == 1 {
				sliced = is
			}
		}
		if len(command.Args) > 1 || len(p.Cmds) > 1 {
			is = nil
		}
	}
	if len(p.Cmds) == 1 && sliced != nil {
		return sliced
	}
	return is
}

func (w *wordingWalk) names(t reflect.Type, chain []string) reflect.Type {
	for i, name := range chain {
		if t == nil {
			return nil
		}
		if t.Kind() == reflect.Map {
			t = t.Elem()
			continue
		}
		next, ok := member(t, name)
		if !ok && t.Kind() == reflect.Pointer {
			t = t.Elem()
			next, ok = member(t, name)
		}
		if !ok {
			if w.what == "" {
				w.what = "unknown name ." + strings.Join(chain[:i+1], ".") + " in the template" + suggestion(name, members(t, t.Kind() == reflect.Struct))
			}
			return nil
		}
		t = next
	}
	return t
}

// sampleTellings are messages of each kind, which templates are tried with.
func sampleTellings() []verifier.Telling {
	at := time.Date(2026, 11, 23, 2, 50, 0, 0, time.UTC)
	level := 0.061
	v := verifier.Verification{
		ID: "vf_sample", State: verifier.StateObserving, Mode: verifier.Enforce, OpenedAt: at.Add(-9 * time.Minute), ClosesAt: at.Add(21 * time.Minute), Policy: "default",
		Deployment: verifier.Deployment{
			ID: "dp_sample", Source: "ci", Service: "checkout", Environment: "production", Version: "1.42.0", Status: verifier.DeployFinished,
			Actor: "dana", URL: "https://ci.example/918273", StartedAt: at.Add(-12 * time.Minute), FinishedAt: at.Add(-9 * time.Minute),
		},
		Action: verifier.Action{State: verifier.ActionNone}, URL: "https://postflight.example/verifications/vf_sample",
	}
	signals := []verifier.Finding{{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, State: verifier.SignalBad, Before: &level, Expected: &level, After: &level, Onset: &at}}
	var out []verifier.Telling
	add := func(e verifier.EventType, urgent bool, decision verifier.Decision, action verifier.ActionState) {
		its := v
		if decision != "" {
			its.State, its.Effective, its.Signals = verifier.StateDecided, decision, signals
			its.Verdict = &verifier.Verdict{Decision: decision, DecidedAt: at, Summary: "errors rose", Reasons: []string{"errors rose"}, By: verifier.ByPostflight}
		}
		if action != "" {
			its.Action = verifier.Action{State: action, Reason: "as it went", Rollback: "pipeline", TargetVersion: "1.41.3", RevertID: "rv_sample", ChangedAt: &at}
		}
		out = append(out, verifier.Telling{Event: e, At: at, Urgent: urgent, Title: "a title", Text: "a text", Verification: its})
	}
	add(verifier.EventOpened, false, "", "")
	add(verifier.EventCleared, false, "", "")
	add(verifier.EventDecided, false, verifier.Keep, "")
	add(verifier.EventDecided, true, verifier.Revert, verifier.ActionRequested)
	add(verifier.EventDecided, true, verifier.Revert, verifier.ActionFailed)
	add(verifier.EventDecided, true, verifier.Inconclusive, "")
	add(verifier.EventSuperseded, false, "", "")
	add(verifier.EventCancelled, false, "", "")
	add(verifier.EventActionChanged, false, verifier.Revert, verifier.ActionConfirmed)
	add(verifier.EventActionChanged, true, verifier.Revert, verifier.ActionUnconfirmed)
	return out
}
