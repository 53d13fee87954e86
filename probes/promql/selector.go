package promql

import (
	"regexp"
	"strings"
	"time"

	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

var metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// histogram is the rendered selector of a histogram, in its parts.
type histogram struct {
	name     string
	matchers string // what stands between the braces, without a comma at the end
}

// parseHistogram renders and splits a selector of the form name{matchers}.
// Errors are of kind Invalid.
func parseHistogram(text string, t verifier.Target) (histogram, error) {
	selector, err := render.PromQL(text, t)
	if err != nil {
		return histogram{}, err
	}
	selector = strings.TrimSpace(selector)
	name, rest, braces := strings.Cut(selector, "{")
	h := histogram{name: strings.TrimSpace(name)}
	if braces {
		end := closingBrace(rest)
		if end != len(rest)-1 {
			return histogram{}, verifier.Errorf(verifier.Invalid, "histogram %q: write one selector such as name{label=\"value\"}, nothing after it", text)
		}
		h.matchers = strings.TrimRight(rest[:end], ", \t\r\n")
	}
	switch {
	case !metricName.MatchString(h.name):
		return histogram{}, verifier.Errorf(verifier.Invalid, "histogram %q: must begin with the metric's name", text)
	case strings.HasSuffix(h.name, "_bucket"):
		return histogram{}, verifier.Errorf(verifier.Invalid, "histogram %q: name it without _bucket", text)
	}
	return h, nil
}

// closingBrace returns where the first brace outside strings closes, -1 when
// none does or a comment hides what follows.
func closingBrace(s string) int {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && quote != '`' && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '#':
			return -1
		case c == '}':
			return i
		}
	}
	return -1
}

// native is the selector of the histogram itself.
func (h histogram) native() string { return h.with(h.name, "") }

// buckets is the selector of the classic histogram's buckets; le is one more
// matcher, or "" for all of them.
func (h histogram) buckets(le string) string { return h.with(h.name+"_bucket", le) }

func (h histogram) with(name, matcher string) string {
	var all []string
	for _, m := range []string{h.matchers, matcher} {
		if m != "" {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return name
	}
	return name + "{" + strings.Join(all, ",") + "}"
}

// unit is what one of the histogram's own units is in seconds; Prometheus
// asks for seconds, some exporters count milliseconds and say so in the name.
func (h histogram) unit() time.Duration {
	if strings.HasSuffix(h.name, "_milliseconds") || strings.HasSuffix(h.name, "_ms") {
		return time.Millisecond
	}
	return time.Second
}
