package tickets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

const (
	timeout  = 15 * time.Second
	maxReply = 2 << 20 // bytes
	maxCount = 1e15    // tickets; more is a fault of the feed
	// defaultPause follows a 429 that names no time, maxPause bounds what a
	// feed may ask for.
	defaultPause = time.Minute
	maxPause     = time.Hour
)

// ask returns how many tickets a feed counts in (from, to]. Errors are of kind
// Unavailable and name the feed.
func (m *Measurer) ask(ctx context.Context, f *feed, t verifier.Target, from, to time.Time) (float64, error) {
	if until, why := f.pausedUntil(time.Now()); !until.IsZero() {
		return 0, f.unavailable(fmt.Sprintf("%s: not asked again before %s", why, until.UTC().Format(time.RFC3339)))
	}
	address, err := f.address(t, from, to)
	if err != nil {
		return 0, verifier.Errorf(verifier.Invalid, "feed %q: %w", f.Name, err)
	}
	release, err := m.transports.Slot.Take(ctx, address.URL.Host)
	if err != nil {
		return 0, f.unavailable(outbound.Reason(err))
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := outbound.Client(&http.Client{
		Transport: m.transports.To(address),
		// The credentials are for this address and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	request := client.R().SetContext(ctx).SetHeader("Accept", "application/json")
	switch {
	case f.BearerToken != "":
		request.SetAuthToken(f.BearerToken)
	case f.Username != "" || f.Password != "":
		request.SetBasicAuth(f.Username, f.Password)
	}
	began := time.Now()
	ok := false
	defer func() { m.observe.Done(f.Name, began, ok) }()
	resp, err := request.Get(address.URL.String())
	if err != nil {
		return 0, f.noAnswer(ctx, err)
	}
	defer func() { _ = resp.RawBody().Close() }() // nothing of it is wanted any more
	if resp.StatusCode()/100 != 2 {
		return 0, f.refused(resp.StatusCode(), resp.Header(), time.Now())
	}
	body, more, err := outbound.ReadAtMost(resp.RawBody(), maxReply)
	switch {
	case err != nil:
		return 0, f.noAnswer(ctx, err)
	case more:
		return 0, f.unavailable("the reply is larger than 2 MiB: ask for the count, not for the tickets")
	}
	n, err := readCount(body, f.count)
	if err != nil {
		return 0, f.unavailable(err.Error())
	}
	ok = true
	return n, nil
}

func (f *feed) noAnswer(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return f.unavailable(fmt.Sprintf("no answer within %s", timeout))
	case outbound.Denied(err):
		return f.unavailable("egress denied: " + outbound.Reason(err))
	}
	return f.unavailable(outbound.Reason(err))
}

// refused explains a status that is no success, and remembers when the feed
// asks for a pause.
func (f *feed) refused(status int, header http.Header, now time.Time) error {
	reason := fmt.Sprintf("answered %d %s", status, http.StatusText(status))
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if wait := retryAfter(header.Get("Retry-After"), now); wait > 0 {
			f.pause(now.Add(wait), reason)
		} else if status == http.StatusTooManyRequests {
			f.pause(now.Add(defaultPause), reason)
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		reason += ": check the feed's credentials"
	}
	if status/100 == 3 {
		reason += ": redirects are not followed, write out the final address"
	}
	return f.unavailable(reason)
}

// retryAfter reads seconds or an HTTP date, at most maxPause; 0 when there is
// none.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(maxPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxPause)
	}
	return 0
}

func (f *feed) unavailable(reason string) error {
	return verifier.Errorf(verifier.Unavailable, "feed %q: %s", f.Name, reason)
}

// readCount takes the one number that the path selects in a JSON document: a
// whole number from 0 on, or a string that holds one.
func readCount(body []byte, path *jsonpath.Path) (float64, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		if strings.HasPrefix(strings.TrimSpace(string(body)), "<") {
			return 0, fmt.Errorf("the reply is a web page, not JSON: is a login in between?")
		}
		return 0, fmt.Errorf("the reply is not JSON: %s", outbound.Clean(err.Error()))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("the reply goes on after its JSON document")
	}
	found := path.Select(document)
	if len(found) != 1 {
		return 0, fmt.Errorf("%s selects %d values where one number was asked for", path, len(found))
	}
	var text string
	switch v := found[0].(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	default:
		return 0, fmt.Errorf("%s selects a %s where a number was asked for", path, kind(v))
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n != math.Trunc(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%s selects %q where a whole number from 0 on was asked for", path, outbound.Clean(text))
	}
	if n > maxCount {
		return 0, fmt.Errorf("%s selects %q, an implausible number", path, outbound.Clean(text))
	}
	return n, nil
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case []any:
		return "list"
	}
	return "object"
}
