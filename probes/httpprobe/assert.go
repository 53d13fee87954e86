package httpprobe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// answer is what a target answered; of a body longer than maxBody, its
// beginning.
type answer struct {
	status    int
	header    http.Header
	body      []byte
	truncated bool
	took      time.Duration
}

// check returns every assertion that doesn't hold, with resolved values.
func (s step) check(a answer) []string {
	var failures []string
	if wrong := checkStatus(a.status, s.source.Expect.Status); wrong != "" {
		failures = append(failures, wrong)
	}
	if limit := s.source.Expect.Within.D(); limit > 0 && a.took > limit {
		failures = append(failures, fmt.Sprintf("[TIME] %s <= %s", a.took.Round(time.Millisecond), limit))
	}
	for _, rule := range s.headers {
		if wrong := rule.check(a.header); wrong != "" {
			failures = append(failures, wrong)
		}
	}
	return append(failures, s.checkBody(a)...)
}

func checkStatus(status int, allowed []int) string {
	switch {
	case len(allowed) == 0 && status/100 == 2, slices.Contains(allowed, status):
		return ""
	case len(allowed) == 0:
		return fmt.Sprintf("[STATUS] %d == 2xx", status)
	case len(allowed) == 1:
		return fmt.Sprintf("[STATUS] %d == %d", status, allowed[0])
	}
	var texts []string
	for _, one := range allowed {
		texts = append(texts, strconv.Itoa(one))
	}
	return fmt.Sprintf("[STATUS] %d in %s", status, strings.Join(texts, ", "))
}

func (r headerRule) check(h http.Header) string {
	values := h.Values(r.name)
	if slices.ContainsFunc(values, r.pattern.MatchString) {
		return ""
	}
	shown := "nothing"
	if len(values) > 0 {
		shown = short(strconv.Quote(outbound.Clean(values[0])))
	}
	if http.CanonicalHeaderKey(r.name) == "Set-Cookie" && len(values) > 0 {
		shown = "(a cookie)" // which may be a session
	}
	return fmt.Sprintf("[HEADER %s] %s =~ %q", r.name, shown, r.pattern)
}

// checkBody doesn't show the body, which may hold anything.
func (s step) checkBody(a answer) []string {
	var failures []string
	what := "the body"
	if a.truncated {
		what = fmt.Sprintf("the body's first %d KiB", maxBody>>10)
	}
	for _, p := range s.match {
		if !p.Match(a.body) {
			failures = append(failures, fmt.Sprintf("[BODY] %s =~ %q", what, p))
		}
	}
	for _, p := range s.refuse {
		if p.Match(a.body) {
			failures = append(failures, fmt.Sprintf("[BODY] %s !~ %q", what, p))
		}
	}
	if len(s.json) == 0 {
		return failures
	}
	var document any
	if a.truncated {
		return append(failures, fmt.Sprintf("[JSON] the body is longer than %d KiB and can't be read", maxBody>>10))
	}
	if err := json.Unmarshal(a.body, &document); err != nil {
		return append(failures, "[JSON] the body is not JSON: "+outbound.Clean(err.Error()))
	}
	for _, rule := range s.json {
		if wrong := rule.check(document); wrong != "" {
			failures = append(failures, wrong)
		}
	}
	return failures
}

// newJSONRule compiles a path and brings the wanted value into the form that
// decoding JSON gives. Errors are of kind Invalid.
func newJSONRule(text string, want any) (jsonRule, error) {
	path, err := jsonpath.Parse(text)
	if err != nil {
		return jsonRule{}, verifier.Errorf(verifier.Invalid, "json %q is no JSONPath: %w", text, err)
	}
	raw, err := json.Marshal(want)
	if err != nil {
		return jsonRule{}, verifier.Errorf(verifier.Invalid, "json %q: the value is none of JSON: %w", text, err)
	}
	rule := jsonRule{text: text, path: path}
	if err := json.Unmarshal(raw, &rule.want); err != nil {
		return jsonRule{}, verifier.Errorf(verifier.Invalid, "json %q: the value is none of JSON: %w", text, err)
	}
	return rule, nil
}

func (r jsonRule) check(document any) string {
	switch found := r.path.Select(document); len(found) {
	case 0:
		return fmt.Sprintf("[JSON %s] nothing == %s", r.text, shown(r.want))
	case 1:
		if reflect.DeepEqual(found[0], r.want) {
			return ""
		}
		return fmt.Sprintf("[JSON %s] %s == %s", r.text, shown(found[0]), shown(r.want))
	default:
		return fmt.Sprintf("[JSON %s] %d values == %s", r.text, len(found), shown(r.want))
	}
}

func shown(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "?" // v came out of JSON
	}
	return short(outbound.Clean(string(raw)))
}

// short bounds a value in a message.
func short(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
