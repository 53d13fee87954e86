package configs

import (
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
		t, err := template.New("").Option("missingkey=error").Parse(n.text)
		if err != nil {
			d.foreign(n, "is not a template that can be read", templateError(err))
			continue
		}
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
	}
}

// unknownName returns what is wrong with the first name in a template that
// there isn't, in branches that no sample takes as well; "" where all is well.
func unknownName(t *template.Template) string {
	if len(t.Templates()) > 1 {
		return "a template here can't define others"
	}
	w := wordingWalk{root: reflect.TypeFor[verifier.Telling]()}
	w.list(t.Root, w.root)
	return w.what
}

// wordingWalk follows what . stands for through range and with. What can't be
// told before the template runs is a nil type, and is left to the samples.
type wordingWalk struct {
	root reflect.Type
	what string
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
			w.list(n.List, element(w.pipe(n.Pipe, dot)))
			w.list(n.ElseList, dot)
		}
	}
}

// pipe checks the names of a pipeline, and returns its type where it is one
// name.
func (w *wordingWalk) pipe(p *parse.PipeNode, dot reflect.Type) (is reflect.Type) {
	for _, command := range p.Cmds {
		for _, arg := range command.Args {
			switch arg := arg.(type) {
			case *parse.FieldNode:
				is = w.names(dot, arg.Ident)
			case *parse.VariableNode:
				if is = nil; arg.Ident[0] == "$" {
					is = w.names(w.root, arg.Ident[1:])
				}
			case *parse.DotNode:
				is = dot
			case *parse.PipeNode:
				is = w.pipe(arg, dot)
			}
		}
		if len(command.Args) > 1 || len(p.Cmds) > 1 {
			is = nil
		}
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

// element is what range sets . to.
func element(t reflect.Type) reflect.Type {
	if t == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		return t.Elem()
	default:
		return nil
	}
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
