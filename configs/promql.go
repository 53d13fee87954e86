package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// unsafeAction says what is wrong with where the actions of a PromQL template
// stand, "" when nothing is. A value from outside is escaped where it is
// filled in, and that is only possible within a quoted string.
func unsafeAction(s string) string {
	var quote byte
	inMatcher := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case strings.HasPrefix(s[i:], "{{"):
			switch {
			case quote == 0 || !inMatcher:
				return `a template must stand in the quoted value of a label, such as service="{{ .Service }}": elsewhere its value can't be escaped`
			case quote == '`':
				return "a template can't stand within backquotes, where its value can't be escaped: use double quotes"
			case s[i-1] == '\\':
				return "a template can't follow a backslash, which would undo the escaping of its value"
			}
			i = endOfAction(s, i) - 1
		case quote == 0 && (c == '"' || c == '\'' || c == '`'):
			quote, inMatcher = c, followsOperator(s[:i])
		case quote == 0:
		case c == '\\' && quote != '`' && !strings.HasPrefix(s[i+1:], "{{"):
			i++
		case c == quote:
			quote = 0
		}
	}
	return ""
}

// followsOperator reports whether a quote behind s is the value of a label.
func followsOperator(s string) bool {
	s = strings.TrimRight(s, " \t\r\n")
	return strings.HasSuffix(s, "=") || strings.HasSuffix(s, "=~") || strings.HasSuffix(s, "!~")
}

// endOfAction returns the index behind the }} of the action that begins at i.
func endOfAction(s string, i int) int {
	var quote byte
	for i += 2; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == 0 && strings.HasPrefix(s[i:], "}}"):
			return i + 2
		case quote == 0 && (c == '"' || c == '`' || c == '\''):
			quote = c
		case quote != 0 && quote != '`' && c == '\\':
			i++
		case c == quote:
			quote = 0
		}
	}
	return len(s)
}

// promString reads the quoted string at the start of s and returns its value
// and what follows it.
func promString(s string) (value, rest, problem string) {
	quote := s[0]
	end := 1
	for end < len(s) && s[end] != quote {
		if s[end] == '\\' && quote != '`' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return "", "", fmt.Sprintf("a %c that is opened isn't closed", quote)
	}
	body := s[1:end]
	if quote == '`' {
		return body, s[end+1:], ""
	}
	if quote == '\'' {
		body = strings.ReplaceAll(strings.ReplaceAll(body, `\'`, `'`), `"`, `\"`)
	}
	value, err := strconv.Unquote(`"` + body + `"`)
	if err != nil {
		return "", "", "a quoted string holds a line break or an escape that PromQL doesn't know; write \\\\ for a backslash"
	}
	return value, s[end+1:], ""
}

var closing = map[byte]byte{'(': ')', '[': ']', '{': '}'}

// unbalanced says which bracket or quote of a PromQL expression has no
// partner, "" when all have.
func unbalanced(s string) string {
	var open []byte
	for s != "" {
		c := s[0]
		switch c {
		case '"', '\'', '`':
			_, rest, problem := promString(s)
			if problem != "" {
				return problem
			}
			s = rest
			continue
		case '#':
			_, s, _ = strings.Cut(s, "\n")
			continue
		case '(', '[', '{':
			open = append(open, c)
		case ')', ']', '}':
			if len(open) == 0 || closing[open[len(open)-1]] != c {
				return fmt.Sprintf("a %c closes nothing", c)
			}
			open = open[:len(open)-1]
		}
		s = s[1:]
	}
	if len(open) > 0 {
		return fmt.Sprintf("a %c that is opened isn't closed", open[len(open)-1])
	}
	return ""
}

var (
	metricName = regexp.MustCompile(`^[A-Za-z_:][A-Za-z0-9_:]*`)
	labelName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)
	operator   = regexp.MustCompile(`^[=!~<>]+`)
)

const plainSelector = "must be a selector such as http_requests_total{job=\"shop\"}, not an expression: postflight adds increase() and sum() itself"

// matcher is a condition of a selector.
type matcher struct{ label, op, value string }

// selectorProblem says what is wrong with a metric's name with optional
// matchers, "" when nothing is.
func selectorProblem(s string, histogram bool) string {
	s = strings.TrimSpace(s)
	name := metricName.FindString(s)
	rest := strings.TrimSpace(s[len(name):])
	var matchers []matcher
	if strings.HasPrefix(rest, "{") {
		var problem string
		matchers, rest, problem = readMatchers(strings.TrimSpace(rest[1:]))
		if problem != "" {
			return problem
		}
		rest = strings.TrimSpace(rest)
	}
	switch {
	case strings.HasPrefix(rest, "["):
		return "must be a plain selector, without a range such as [5m]: postflight adds it itself"
	case strings.HasPrefix(rest, "}"):
		return "a } closes nothing"
	case rest != "":
		return plainSelector
	case name == "" && (histogram || !namesMetric(matchers)):
		return "must begin with the name of a metric, such as http_requests_total{...}"
	case histogram:
		return histogramProblem(name, matchers)
	}
	return ""
}

func namesMetric(matchers []matcher) bool {
	for _, m := range matchers {
		if m.label == "__name__" && m.op == "=" {
			return true
		}
	}
	return false
}

func histogramProblem(name string, matchers []matcher) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && base != "" {
			return fmt.Sprintf("must name the histogram itself, without %s: %s", suffix, base)
		}
	}
	for _, m := range matchers {
		if m.label == "le" {
			return "must not select by le: postflight chooses the bucket from slower_than"
		}
	}
	return ""
}

// readMatchers reads what follows a {, up to and including its }.
func readMatchers(s string) (out []matcher, rest, problem string) {
	for !strings.HasPrefix(s, "}") {
		var m matcher
		m, s, problem = readMatcher(s)
		if problem != "" {
			return nil, "", problem
		}
		out = append(out, m)
		if next, ok := strings.CutPrefix(s, ","); ok {
			s = strings.TrimSpace(next)
		} else if !strings.HasPrefix(s, "}") {
			if s == "" {
				return nil, "", "a { that is opened isn't closed"
			}
			return nil, "", fmt.Sprintf("a comma or } must follow the matcher of label %q", m.label)
		}
	}
	return out, s[1:], ""
}

func readMatcher(s string) (m matcher, rest, problem string) {
	if s == "" {
		return m, "", "a { that is opened isn't closed"
	}
	m.label = labelName.FindString(s)
	if m.label == "" {
		return m, "", `between { and } stand matchers such as code=~"5..", separated by commas`
	}
	s = strings.TrimSpace(s[len(m.label):])
	m.op = operator.FindString(s)
	s = strings.TrimSpace(s[len(m.op):])
	switch m.op {
	case "=", "!=", "=~", "!~":
	default:
		return m, "", fmt.Sprintf("label %q needs one of the operators =, !=, =~ and !~", m.label)
	}
	if s == "" || s[0] != '"' && s[0] != '\'' && s[0] != '`' {
		return m, "", fmt.Sprintf("the value of label %q must be in quotes", m.label)
	}
	m.value, rest, problem = promString(s)
	if problem != "" {
		return m, "", problem
	}
	if strings.HasSuffix(m.op, "~") {
		if _, err := regexp.Compile("^(?s:" + m.value + ")$"); err != nil {
			return m, "", fmt.Sprintf("the value of label %q is not a regular expression", m.label)
		}
	}
	return m, strings.TrimSpace(rest), ""
}
