package promql

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// form is an expression with the values of some labels left out, so that one
// query can ask for those of many services: each gets the series whose labels
// have its values. Where it has no labels it stands for itself alone.
type form struct {
	labels []string
	pieces []piece
}

// piece is some text, and what follows it.
type piece struct {
	text  string
	then  hole
	label int // which one a matcher is of
}

type hole int

const (
	nothing  hole = iota
	by            // after an aggregation's name
	matching      // a matcher
)

// formOf finds the labels of an expression by which services can be told
// apart: those that every one of its selectors sets to the same value, the
// service's or the version's own. The expression must be built of what works on
// every label's value by itself; any other stands for itself.
func formOf(expr string, t verifier.Target) (f form, values []string) {
	read, ok := readExpression(expr)
	if !ok {
		return form{pieces: []piece{{text: expr}}}, nil
	}
	of := leftOut(read.common(), t)
	for _, m := range of {
		f.labels, values = append(f.labels, strings.Clone(m.label)), append(values, strings.Clone(m.value)) // not all of the text around them
	}
	f.pieces = read.split(expr, of)
	return f, values
}

// leftOut picks the matchers of what differs between deploys. A label that has
// the same value by accident does no harm: it only keeps a service apart.
func leftOut(common []equality, t verifier.Target) []equality {
	is := func(v string) func(equality) bool { return func(m equality) bool { return m.value == v } }
	service := is(t.Service)
	if !slices.ContainsFunc(common, service) {
		service = func(m equality) bool { return strings.Contains(m.value, t.Service) }
	}
	var out []equality
	for _, m := range common {
		if t.Service != "" && service(m) || t.Version != "" && m.value == t.Version {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b equality) int { return cmp.Compare(a.label, b.label) })
	return out
}

// common returns the matchers label="value" that every selector has.
func (e readable) common() []equality {
	var out []equality
	if len(e.selectors) == 0 {
		return nil
	}
	for _, m := range e.selectors[0] {
		everywhere := func(in []equality) bool {
			i := slices.IndexFunc(in, func(o equality) bool { return o.label == m.label })
			return i >= 0 && in[i].value == m.value
		}
		again := slices.ContainsFunc(out, func(o equality) bool { return o.label == m.label })
		if !again && m.value != "" && m.label != "le" && m.label != "__name__" && !slices.ContainsFunc(e.selectors, func(in []equality) bool { return !everywhere(in) }) {
			out = append(out, m)
		}
	}
	return out
}

// split cuts the expression at what depends on how many are asked for.
func (e readable) split(expr string, of []equality) []piece {
	type cut struct {
		at, end int
		piece   piece
	}
	var cuts []cut
	if len(of) > 0 {
		for _, at := range e.aggregations {
			cuts = append(cuts, cut{at, at, piece{then: by}})
		}
	}
	for i, left := range of {
		for _, in := range e.selectors {
			m := in[slices.IndexFunc(in, func(o equality) bool { return o.label == left.label })]
			cuts = append(cuts, cut{m.at, m.end, piece{then: matching, label: i}})
		}
	}
	slices.SortFunc(cuts, func(a, b cut) int { return cmp.Compare(a.at, b.at) })
	var out []piece
	done := 0
	for _, c := range cuts {
		c.piece.text, done = strings.Clone(expr[done:c.at]), c.end
		out = append(out, c.piece)
	}
	return append(out, piece{text: strings.Clone(expr[done:])})
}

// key tells forms apart.
func (f form) key() string {
	var b strings.Builder
	for _, p := range f.pieces {
		b.WriteString(p.text)
		switch p.then {
		case by:
			b.WriteString("\x00")
		case matching:
			b.WriteString("\x00" + f.labels[p.label] + "\x00")
		}
	}
	return b.String()
}

// of is the expression for one.
func (f form) of(values []string) string {
	return f.write("", func(label int) string {
		return f.labels[label] + `="` + render.EscapeString(values[label]) + `"`
	})
}

// ofAll is the expression for many, which has a series for each.
func (f form) ofAll(all [][]string) string {
	matchers := make([]string, len(f.labels))
	for i, label := range f.labels {
		var some []string
		for _, values := range all {
			some = append(some, regexp.QuoteMeta(values[i]))
		}
		slices.Sort(some)
		matchers[i] = label + `=~"` + render.EscapeString(strings.Join(slices.Compact(some), "|")) + `"`
	}
	return f.write(" by ("+strings.Join(f.labels, ", ")+") ", func(label int) string { return matchers[label] })
}

func (f form) write(grouping string, matcher func(label int) string) string {
	var b strings.Builder
	for _, p := range f.pieces {
		b.WriteString(p.text)
		switch p.then {
		case by:
			b.WriteString(grouping)
		case matching:
			b.WriteString(matcher(p.label))
		}
	}
	return b.String()
}
