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

	"github.com/postflight/postflight/probes/internal/memo"
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
		failures = append(failures, fmt.Sprintf("took %s, want within %s", rounded(a.took), limit))
	}
	for _, rule := range s.headers {
		if wrong := rule.check(a.header); wrong != "" {
			failures = append(failures, wrong)
		}
	}
	return append(failures, s.checkBody(a)...)
}

// rounded shows a time in as many digits as tell it apart.
func rounded(d time.Duration) time.Duration {
	if d >= 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

func checkStatus(status int, allowed []int) string {
	if len(allowed) == 0 {
		if status/100 == 2 {
			return ""
		}
		return fmt.Sprintf("status %d, want 2xx", status)
	}
	if slices.Contains(allowed, status) {
		return ""
	}
	var texts []string
	for _, one := range allowed {
		texts = append(texts, strconv.Itoa(one))
	}
	return fmt.Sprintf("status %d, want %s", status, strings.Join(texts, " or "))
}

func (r headerRule) check(h http.Header) string {
	values := h.Values(r.name)
	if slices.ContainsFunc(values, r.pattern.MatchString) {
		return ""
	}
	name := http.CanonicalHeaderKey(r.name)
	switch {
	case len(values) == 0:
		return fmt.Sprintf("header %s is missing, want a match of %q", name, r.pattern)
	case name == "Set-Cookie": // which may be a session
		return fmt.Sprintf("header %s has no match of %q", name, r.pattern)
	}
	return fmt.Sprintf("header %s is %s, want a match of %q", name, short(strconv.Quote(outbound.Clean(values[0]))), r.pattern)
}

// checkBody doesn't show the body, which may hold anything.
func (s step) checkBody(a answer) []string {
	var failures []string
	what := "body"
	if a.truncated {
		what = fmt.Sprintf("body's first %d KiB", maxBody>>10)
	}
	for _, p := range s.match {
		if !p.Match(a.body) {
			failures = append(failures, fmt.Sprintf("%s has no match of %q", what, p))
		}
	}
	for _, p := range s.refuse {
		if p.Match(a.body) {
			failures = append(failures, fmt.Sprintf("%s matches %q, which it must not", what, p))
		}
	}
	if len(s.json) == 0 {
		return failures
	}
	var document any
	if a.truncated {
		return append(failures, fmt.Sprintf("body is longer than %d KiB, too long to be read as JSON", maxBody>>10))
	}
	if err := json.Unmarshal(a.body, &document); err != nil {
		return append(failures, "body is not JSON: "+outbound.Clean(err.Error()))
	}
	for _, rule := range s.json {
		if wrong := rule.check(document); wrong != "" {
			failures = append(failures, wrong)
		}
	}
	return failures
}

// paths are those that were compiled.
var paths memo.Memo[*jsonpath.Path]

// newJSONRule compiles a path and brings the wanted value into the form that
// decoding JSON gives. Errors are of kind Invalid.
func newJSONRule(text string, want any) (jsonRule, error) {
	path, err := paths.Of(text, jsonpath.Parse)
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
		return fmt.Sprintf("%s is missing, want %s", r.text, shown(r.want))
	case 1:
		if reflect.DeepEqual(found[0], r.want) {
			return ""
		}
		return fmt.Sprintf("%s is %s, want %s", r.text, shown(found[0]), shown(r.want))
	default:
		return fmt.Sprintf("%s selects %d values, want %s", r.text, len(found), shown(r.want))
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
