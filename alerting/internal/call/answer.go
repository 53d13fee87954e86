package call

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/postflight/postflight/alerting"
)

const (
	// maxAnswer is how much of an answer is read, and maxExcerpt how many
	// characters of it are told.
	maxAnswer  = 64 << 10
	maxExcerpt = 200
	// maxRetryAfter bounds what a receiver can ask for; nothing is tried for
	// longer than a day anyway.
	maxRetryAfter = 24 * time.Hour
	// minHidden is the shortest text that is looked for and hidden in errors:
	// hiding "v1" would only garble them.
	minHidden = 4
	// minToken is from where on a part of the URL's path may be a token
	// rather than a word.
	minToken = 12
)

// Classify turns an answer into the result of the attempt that was made at now.
func (c *Caller) Classify(answer *http.Response, body []byte, now time.Time) alerting.Result {
	result := alerting.Result{Outcome: outcome(answer.StatusCode), Status: answer.StatusCode}
	if result.Outcome == alerting.Delivered {
		return result
	}
	result.RetryAfter = RetryAfter(answer.Header.Get("Retry-After"), now)
	said := fmt.Sprintf("%s answered %d %s", c.who, answer.StatusCode, http.StatusText(answer.StatusCode))
	if answer.StatusCode/100 == 3 {
		said += " (redirects are not followed: configure the address that it leads to)"
	}
	if text := c.excerpt(body); text != "" {
		said += ": " + strconv.Quote(text)
	}
	result.Err = errors.New(said)
	return result
}

// outcome is the table of contract.md. Every 5xx may pass: proxies invent
// numbers of their own (507, 520 to 527) for a server that is away.
func outcome(status int) alerting.Outcome {
	switch {
	case status/100 == 2:
		return alerting.Delivered
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return alerting.Declined
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return alerting.Retry
	}
	return alerting.Rejected
}

// RetryAfter reads the header's two forms, seconds and an HTTP date; anything
// else, and what has passed, asks for nothing.
func RetryAfter(header string, now time.Time) time.Duration {
	var asked time.Duration
	if seconds, err := strconv.ParseInt(strings.TrimSpace(header), 10, 64); err == nil {
		asked = time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		asked = at.Sub(now)
	}
	return min(max(asked, 0), maxRetryAfter)
}

// excerpt returns the answer's beginning as one printable line without
// secrets.
func (c *Caller) excerpt(body []byte) string {
	return c.Excerpt(string(body))
}

// Excerpt returns the beginning of what a receiver said as one printable line
// without secrets.
func (c *Caller) Excerpt(said string) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, c.hide.Replace(said))
	// Hidden again: only now is white space what it is in a secret.
	runes := []rune(c.hide.Replace(strings.Join(strings.Fields(text), " ")))
	if len(runes) > maxExcerpt {
		return string(runes[:maxExcerpt-1]) + "…"
	}
	return string(runes)
}

// cause tells why no answer came. net/http puts the URL into its errors, and a
// URL holds secrets, so only what is below it is told.
func (c *Caller) cause(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() {
			return "timed out" // the attempt records after how long
		}
		err = wrapped.Err
	}
	return c.hide.Replace(err.Error())
}

// OfURL returns everything about an address that must not be told. Its path
// counts, for services put tokens there, and so does each long part.
func OfURL(u *url.URL) []string {
	hidden := []string{u.RequestURI(), u.EscapedPath(), u.Path, u.RawQuery, u.User.Username()}
	if password, ok := u.User.Password(); ok {
		hidden = append(hidden, password, u.User.String())
	}
	for _, values := range u.Query() {
		hidden = append(hidden, values...)
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) >= minToken {
			hidden = append(hidden, part)
		}
	}
	return hidden
}

// hiding replaces what is hidden, longest first so that no part of one survives
// the hiding of another.
func hiding(hidden []string) *strings.Replacer {
	hidden = slices.DeleteFunc(slices.Clone(hidden), func(s string) bool { return len(s) < minHidden })
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(hidden))
	for _, s := range hidden {
		pairs = append(pairs, s, "[hidden]")
	}
	return strings.NewReplacer(pairs...)
}

// Credentials returns what of the address of an API must not be told: whom it
// logs in as.
func Credentials(u *url.URL) []string {
	password, _ := u.User.Password()
	return []string{u.User.Username(), password, u.User.String()}
}

// Hide makes text fit for an error: one printable line without secrets, of 200
// characters at most.
func (c *Caller) Hide(text string) string { return c.excerpt([]byte(text)) }
