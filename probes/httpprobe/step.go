package httpprobe

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/probes/internal/memo"
	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// step is a probe step made concrete for a target.
type step struct {
	source  verifier.ProbeStep
	address render.Address
	body    string
	isJSON  bool
	timeout time.Duration
	headers []headerRule
	match   []*regexp.Regexp
	refuse  []*regexp.Regexp
	json    []jsonRule
}

type headerRule struct {
	name    string
	pattern *regexp.Regexp
}

type jsonRule struct {
	text string
	path *jsonpath.Path
	want any
}

func compileAll(s verifier.Signal, t verifier.Target) ([]step, error) {
	if s.ProbeSource == nil || len(s.ProbeSource.Steps) == 0 {
		return nil, verifier.Errorf(verifier.Invalid, "signal %q has no probe steps", s.Name)
	}
	var steps []step
	for i, source := range s.ProbeSource.Steps {
		made, err := compile(source, t)
		if err != nil {
			return nil, verifier.Errorf(verifier.Invalid, "step %d: %w", i+1, err)
		}
		steps = append(steps, made)
	}
	return steps, nil
}

// compile renders a step's templates and compiles its assertions. Errors are
// of kind Invalid.
func compile(source verifier.ProbeStep, t verifier.Target) (step, error) {
	if source.Method == "" {
		source.Method = http.MethodGet
	}
	s := step{source: source, timeout: source.Timeout.D()}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if err := checkRequest(source); err != nil {
		return step{}, err
	}
	var err error
	if s.address, err = render.URL(source.URL, t); err != nil {
		return step{}, err
	}
	if s.body, s.isJSON, err = render.Body(source.Body, t); err != nil {
		return step{}, err
	}
	if s.match, err = patterns("body", source.Expect.Body); err != nil {
		return step{}, err
	}
	if s.refuse, err = patterns("body_not", source.Expect.BodyNot); err != nil {
		return step{}, err
	}
	for _, name := range sortedKeys(source.Expect.Headers) {
		found, err := patterns("header "+name, []string{source.Expect.Headers[name]})
		if err != nil {
			return step{}, err
		}
		s.headers = append(s.headers, headerRule{name: name, pattern: found[0]})
	}
	for _, path := range sortedKeys(source.Expect.JSON) {
		rule, err := newJSONRule(path, source.Expect.JSON[path])
		if err != nil {
			return step{}, err
		}
		s.json = append(s.json, rule)
	}
	return s, nil
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 5.1

// checkRequest finds what would fail before it is sent, and must not look like
// a failure of the target.
func checkRequest(source verifier.ProbeStep) error {
	if !headerName.MatchString(source.Method) { // a method is a token like a header's name
		return verifier.Errorf(verifier.Invalid, "method %q is none of HTTP: write GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS", source.Method)
	}
	for _, name := range sortedKeys(source.Headers) {
		if !headerName.MatchString(name) {
			return verifier.Errorf(verifier.Invalid, "header %q: a name holds only letters, digits and hyphens", name)
		}
		if strings.ContainsFunc(source.Headers[name], func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
			return verifier.Errorf(verifier.Invalid, "header %q: its value holds a line break or another control character: remove it", name)
		}
	}
	return nil
}

// expressions are those that were compiled.
var expressions memo.Memo[*regexp.Regexp]

func patterns(what string, texts []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, text := range texts {
		p, err := expressions.Of(text, regexp.Compile)
		if err != nil {
			return nil, verifier.Errorf(verifier.Invalid, "%s %q is no regular expression: %w", what, text, err)
		}
		out = append(out, p)
	}
	return out, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// label names the step in messages: its number, its name, method and URL
// without secrets.
func (s step) label(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d ", i+1)
	if s.source.Name != "" {
		fmt.Fprintf(&b, "(%s) ", s.source.Name)
	}
	return b.String() + s.source.Method + " " + outbound.Redact(s.address.URL)
}
