package promql

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// readable is what was read of an expression: where it aggregates, and the
// matchers label="value" of each selector.
type readable struct {
	aggregations []int // right after the names
	selectors    [][]equality
}

// equality is a matcher label="value", and where it stands.
type equality struct {
	label, value string
	at, end      int
}

var (
	aggregations = []string{"sum", "avg", "min", "max", "count"}
	overTime     = []string{"increase", "rate", "irate", "delta", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time"}
)

// readExpression reads expressions of the one kind that is the same for many
// services beside each other as for each by itself: arithmetic between
// aggregations of series, without a grouping of its own. ok is false for any
// other.
func readExpression(text string) (e readable, ok bool) {
	room := tokenRooms.Get().(*[]token)
	defer tokenRooms.Put(room)
	*room, ok = tokenize(text, (*room)[:0])
	if !ok {
		return e, false
	}
	r := reading{tokens: *room, into: &e}
	return e, r.expression() && len(r.tokens) == 0
}

// tokenRooms are for the tokens of one reading each: nothing that is read keeps
// them.
var tokenRooms = sync.Pool{New: func() any { return new([]token) }}

// reading goes through the tokens; each method is a rule of the grammar, and
// says whether it applies.
type reading struct {
	tokens []token
	into   *readable
}

// takes goes on where the next tokens are these.
func (r *reading) takes(texts ...string) bool {
	if len(r.tokens) < len(texts) {
		return false
	}
	for i, text := range texts {
		if r.tokens[i].kind == quoted || r.tokens[i].text != text {
			return false
		}
	}
	r.tokens = r.tokens[len(texts):]
	return true
}

// word takes a word.
func (r *reading) word() (token, bool) {
	if len(r.tokens) == 0 || r.tokens[0].kind != word {
		return token{}, false
	}
	t := r.tokens[0]
	r.tokens = r.tokens[1:]
	return t, true
}

func (r *reading) expression() bool {
	if !r.term() {
		return false
	}
	for r.takes("-") || r.takes("+") || r.takes("*") || r.takes("/") || r.takes("or") {
		if !r.term() {
			return false
		}
	}
	return true
}

func (r *reading) term() bool {
	switch {
	case r.takes("("), r.takes("histogram_count", "("):
		return r.expression() && r.takes(")")
	case r.takes("histogram_fraction", "("):
		return r.number() && r.takes(",") && (r.takes("+", "Inf") || r.number()) && r.takes(",") && r.expression() && r.takes(")")
	case r.takes("histogram_quantile", "("):
		return r.number() && r.takes(",") && r.expression() && r.takes(")")
	case r.number():
		return true
	}
	return r.aggregation()
}

func (r *reading) number() bool {
	if len(r.tokens) == 0 || r.tokens[0].kind != word {
		return false
	}
	if _, err := strconv.ParseFloat(r.tokens[0].text, 64); err != nil || r.tokens[0].text[0] > '9' { // a metric may be called inf
		return false
	}
	r.tokens = r.tokens[1:]
	return true
}

func (r *reading) aggregation() bool {
	name, ok := r.word()
	if !ok || !slices.Contains(aggregations, name.text) {
		return false
	}
	r.into.aggregations = append(r.into.aggregations, name.end)
	if !r.takes("(") || !r.counted() {
		return false
	}
	for r.takes("and", "ignoring", "(", "le", ")") {
		if !r.counted() {
			return false
		}
	}
	return r.takes(")")
}

// counted is a function of each series by itself, over a time.
func (r *reading) counted() bool {
	name, ok := r.word()
	if !ok || !slices.Contains(overTime, name.text) || !r.takes("(") || !r.selector() || !r.takes("[") {
		return false
	}
	_, ok = r.word()
	return ok && r.takes("]", ")")
}

func (r *reading) selector() bool {
	r.word() // of the metric; it may stand between the braces as well
	if !r.takes("{") {
		return false
	}
	var found []equality
	for !r.takes("}") {
		m, equal, ok := r.matcher()
		if !ok {
			return false
		}
		if equal {
			found = append(found, m)
		}
		if !r.takes(",") {
			if !r.takes("}") {
				return false
			}
			break
		}
	}
	r.into.selectors = append(r.into.selectors, found)
	return true
}

func (r *reading) matcher() (m equality, equal, ok bool) {
	label, ok := r.word()
	if !ok {
		return m, false, false
	}
	equal = r.takes("=")
	if !equal && !r.takes("=~") && !r.takes("!=") && !r.takes("!~") || len(r.tokens) == 0 || r.tokens[0].kind != quoted {
		return m, false, false
	}
	value := r.tokens[0]
	r.tokens = r.tokens[1:]
	m = equality{label: label.text, at: label.at, end: value.end}
	m.value, ok = unquote(value.text)
	return m, equal, ok
}

func unquote(text string) (string, bool) {
	if text[0] == '\'' {
		inner := text[1 : len(text)-1]
		return inner, !strings.ContainsAny(inner, "\\\n")
	}
	value, err := strconv.Unquote(text)
	return value, err == nil
}

type tokenKind int

const (
	word tokenKind = iota // a name, a number or a time
	quoted
	sign
)

type token struct {
	kind    tokenKind
	text    string
	at, end int
}

// tokenize appends the tokens of a text to out. It is false where the text has
// anything that isn't in expressions of ours: a comment, a string that isn't
// closed, a control character.
func tokenize(text string, out []token) ([]token, bool) {
	for i := 0; i < len(text); {
		start, c := i, text[i]
		kind := sign
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case inWord(c):
			kind, i = word, wordEnd(text, i)
		case c == '"' || c == '\'' || c == '`':
			kind, i = quoted, stringEnd(text, i)
		case strings.HasPrefix(text[i:], "=~"), strings.HasPrefix(text[i:], "!="), strings.HasPrefix(text[i:], "!~"):
			i += 2
		case strings.IndexByte("(){}[],=+-*/", c) >= 0:
			i++
		default:
			return out, false
		}
		if i < 0 {
			return out, false
		}
		out = append(out, token{kind, text[start:i], start, i})
	}
	return out, true
}

func inWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == ':' || c == '.'
}

// wordEnd takes the exponent of a number with its sign along.
func wordEnd(text string, i int) int {
	number := text[i] >= '0' && text[i] <= '9' || text[i] == '.'
	for i < len(text) && (inWord(text[i]) || number && (text[i] == '-' || text[i] == '+') && text[i-1] == 'e') {
		i++
	}
	return i
}

// stringEnd is after the closing quote, -1 where there is none.
func stringEnd(text string, i int) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return i + 1
		case text[i] == 0:
			return -1
		case text[i] == '\\' && quote != '`':
			i++
		}
	}
	return -1
}
