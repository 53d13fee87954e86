package simulator

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/scanner"
	"time"

	"github.com/prometheus/common/model"
)

// The simulated Prometheus understands what postflight asks: sums of increases
// of counters, buckets by le, and gauges, put together by `-`, `*`, `/`, `or`
// and `and ignoring`. Anything else is an error, as PromQL's own would be.

// expression yields its series at a moment.
type expression func(f *Fleet, at time.Time) []sample

// selector is a metric's name with its matchers.
type selector struct {
	name     string
	matchers []matcher
}

type matcher struct {
	label, op, value string
	pattern          *regexp.Regexp
}

func (s selector) matches(labels map[string]string) bool {
	for _, m := range s.matchers {
		var ok bool
		switch m.op {
		case "=":
			ok = labels[m.label] == m.value
		case "!=":
			ok = labels[m.label] != m.value
		case "=~":
			ok = m.pattern.MatchString(labels[m.label])
		case "!~":
			ok = !m.pattern.MatchString(labels[m.label])
		}
		if !ok {
			return false
		}
	}
	return true
}

// parse reads an expression.
func parse(text string) (e expression, err error) {
	p := &parser{}
	p.s.Init(strings.NewReader(text))
	p.s.Mode = scanner.ScanIdents | scanner.ScanStrings | scanner.ScanRawStrings | scanner.ScanFloats
	p.s.Error = func(*scanner.Scanner, string) {}
	defer func() {
		if r := recover(); r != nil {
			unexpected, ok := r.(unexpectedError)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("parse %q: %w", text, unexpected)
		}
	}()
	p.next()
	e = p.binary(0)
	p.expect("")
	return e, nil
}

type unexpectedError string

func (e unexpectedError) Error() string { return "unexpected " + strconv.Quote(string(e)) }

type parser struct {
	s    scanner.Scanner
	text string // of the current token; "" at the end
}

func (p *parser) next() string {
	before := p.text
	p.text = ""
	if p.s.Scan() != scanner.EOF {
		p.text = p.s.TokenText()
	}
	return before
}

func (p *parser) accept(text string) bool {
	if p.text == text {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if p.text != text {
		panic(unexpectedError(p.text))
	}
	p.next()
}

// precedence of the operators, as in PromQL.
var precedence = map[string]int{"or": 1, "and": 2, "-": 3, "*": 4, "/": 4}

func (p *parser) binary(above int) expression {
	left := p.unary()
	for precedence[p.text] > above {
		op := p.next()
		var ignoring []string
		if p.accept("ignoring") {
			ignoring = p.names()
		}
		right := p.binary(precedence[op])
		left = combine(op, ignoring, left, right)
	}
	return left
}

// combine joins two vectors: series pair up whose labels are the same, but for
// those that are ignored.
func combine(op string, ignoring []string, left, right expression) expression {
	return func(f *Fleet, at time.Time) []sample {
		l, r := left(f, at), right(f, at)
		of := func(s sample) string { return labelsJSON(without(s.labels, ignoring)) }
		others := make(map[string]sample, len(r))
		for _, s := range r {
			others[of(s)] = s
		}
		var out []sample
		for _, s := range l {
			other, paired := others[of(s)]
			switch op {
			case "or":
				paired = true
				delete(others, of(s))
			case "-":
				s.value -= other.value
			case "*":
				s.value *= other.value
			case "/":
				s.value /= other.value
			}
			if paired {
				out = append(out, s)
			}
		}
		if op == "or" {
			out = append(out, slices.DeleteFunc(slices.Clone(r), func(s sample) bool { _, alone := others[of(s)]; return !alone })...)
		}
		return out
	}
}

func without(labels map[string]string, names []string) map[string]string {
	out := maps.Clone(labels)
	for _, name := range names {
		delete(out, name)
	}
	return out
}

func (p *parser) names() (names []string) {
	p.expect("(")
	for !p.accept(")") {
		names = append(names, p.next())
		p.accept(",")
	}
	return names
}

func (p *parser) unary() expression {
	name := p.next()
	switch {
	case name == "(":
		e := p.binary(0)
		p.expect(")")
		return e
	case name == "sum" || name == "count":
		return p.aggregation(name == "count")
	case name == "increase" || name == "rate":
		return p.growth(name == "rate")
	case strings.HasPrefix(name, "histogram_"): // of native histograms, which there are none of
		p.skip()
		return func(*Fleet, time.Time) []sample { return nil }
	}
	s := p.selector(name)
	return func(f *Fleet, at time.Time) []sample { return f.now(s, at) }
}

// skip passes over an argument list.
func (p *parser) skip() {
	p.expect("(")
	for depth := 1; depth > 0; {
		switch p.next() {
		case "(":
			depth++
		case ")":
			depth--
		case "":
			panic(unexpectedError(""))
		}
	}
}

func (p *parser) aggregation(count bool) expression {
	var by []string
	if p.accept("by") {
		by = p.names()
	}
	p.expect("(")
	inner := p.binary(0)
	p.expect(")")
	if p.accept("by") {
		by = p.names()
	}
	return func(f *Fleet, at time.Time) []sample {
		if len(by) == 0 {
			return total(inner(f, at), count)
		}
		var out []sample
		groups := map[string]int{}
		for _, s := range inner(f, at) {
			labels := map[string]string{}
			for _, name := range by {
				labels[name] = s.labels[name]
			}
			key := fmt.Sprint(labels)
			i, known := groups[key]
			if !known {
				i = len(out)
				groups[key] = i
				out = append(out, sample{labels: labels})
			}
			if count {
				s.value = 1
			}
			out[i].value += s.value
		}
		return out
	}
}

// total is an aggregation of everything.
func total(all []sample, count bool) []sample {
	if len(all) == 0 {
		return nil
	}
	sum := float64(len(all))
	if !count {
		sum = 0
		for _, s := range all {
			sum += s.value
		}
	}
	return []sample{{value: sum}}
}

func (p *parser) growth(perSecond bool) expression {
	p.expect("(")
	s := p.selector(p.next())
	p.expect("[")
	var span string
	for p.text != "]" && p.text != "" {
		span += p.next()
	}
	p.expect("]")
	p.expect(")")
	d, err := model.ParseDuration(span)
	if err != nil {
		panic(unexpectedError(span))
	}
	var counters []*series // found at the first moment, for all the others of a range
	return func(f *Fleet, at time.Time) []sample {
		if counters == nil {
			counters = f.matching(s)
		}
		out := f.increase(counters, time.Duration(d), at)
		for i := range out {
			if perSecond {
				out[i].value /= time.Duration(d).Seconds()
			}
		}
		return out
	}
}

func (p *parser) selector(name string) selector {
	if name == "" || !model.LegacyValidation.IsValidMetricName(name) {
		panic(unexpectedError(name))
	}
	s := selector{name: name}
	if !p.accept("{") {
		return s
	}
	for !p.accept("}") {
		m := matcher{label: p.next(), op: p.next()}
		if p.text == "~" || p.text == "=" {
			m.op += p.next()
		}
		value, err := strconv.Unquote(p.next())
		if err != nil {
			panic(unexpectedError(m.label))
		}
		m.value = value
		if strings.HasSuffix(m.op, "~") {
			if m.pattern, err = regexp.Compile("^(?s:" + value + ")$"); err != nil {
				panic(unexpectedError(value))
			}
		}
		s.matchers = append(s.matchers, m)
		p.accept(",")
	}
	return s
}

// text writes a sample's value as Prometheus does.
func (s sample) text() string {
	if math.IsInf(s.value, 0) || math.IsNaN(s.value) {
		return "NaN"
	}
	return strconv.FormatFloat(s.value, 'f', -1, 64)
}
