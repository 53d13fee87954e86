package tickets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
)

const (
	timeout  = 15 * time.Second
	maxReply = 2 << 20 // bytes
	// defaultPause follows a 429 that names no time, maxPause bounds what a
	// feed may ask for.
	defaultPause = time.Minute
	maxPause     = time.Hour
)

// send makes one request to a feed and returns the document of its answer.
// Errors are of kind Unavailable and name the feed.
func (m *Measurer) send(ctx context.Context, f *feed, c call) (any, error) {
	if until, why := f.pausedUntil(time.Now()); !until.IsZero() {
		return nil, f.unavailable(fmt.Sprintf("%s: not asked again before %s", why, until.UTC().Format(time.RFC3339)))
	}
	release, err := m.o.Transports.Slot.Take(ctx, c.address.URL.Host)
	if err != nil {
		return nil, f.unavailable(outbound.Reason(err))
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began, ok := time.Now(), false
	defer func() { m.o.Observe.Done(f.Name, began, ok) }()
	body, err := m.fetch(ctx, f, c)
	if err != nil {
		return nil, err
	}
	decode := f.sys.decode
	if decode == nil {
		decode = readJSON
	}
	document, err := decode(body)
	if err != nil {
		return nil, f.unavailable(err.Error())
	}
	ok = true
	return document, nil
}

// fetch returns the body of a successful answer.
func (m *Measurer) fetch(ctx context.Context, f *feed, c call) ([]byte, error) {
	client := outbound.Client(&http.Client{
		Transport: m.o.Transports.To(c.address),
		// The credentials are for this address and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	request := client.R().SetContext(ctx).SetHeader("Accept", "application/json")
	if f.Username != "" || f.Password != "" {
		request.SetBasicAuth(f.Username, f.Password)
	}
	if c.body != "" {
		request.SetHeader("Content-Type", "application/json").SetBody(c.body)
	}
	request.SetHeaders(c.header)
	resp, err := request.Execute(c.verb(), c.address.URL.String())
	if err != nil {
		return nil, f.noAnswer(ctx, err)
	}
	defer func() { _ = resp.RawBody().Close() }() // nothing of it is wanted any more
	if resp.StatusCode()/100 != 2 {
		return nil, f.refused(resp.StatusCode(), resp.Header(), time.Now())
	}
	body, more, err := outbound.ReadAtMost(resp.RawBody(), maxReply)
	switch {
	case err != nil:
		return nil, f.noAnswer(ctx, err)
	case more:
		return nil, f.unavailable("the reply is larger than 2 MiB: ask for the count, or for smaller pages")
	}
	return body, nil
}

func (f *feed) noAnswer(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return f.unavailable("no answer in time")
	case outbound.Denied(err):
		return f.unavailable("egress denied: " + outbound.Reason(err))
	}
	return f.unavailable(outbound.Reason(err))
}

// refused explains a status that is no success, and remembers when the feed
// asks for a pause.
func (f *feed) refused(status int, header http.Header, now time.Time) error {
	reason := fmt.Sprintf("answered %d %s", status, http.StatusText(status))
	wait := time.Duration(0)
	if f.sys.refused != nil {
		wait = f.sys.refused(status, header, now)
	}
	if limited := status == http.StatusTooManyRequests; wait == 0 && (limited || status == http.StatusServiceUnavailable) {
		if wait = retryAfter(header.Get("Retry-After"), now); wait == 0 && limited {
			wait = defaultPause
		}
	}
	if wait > 0 {
		f.pause(now.Add(wait), reason)
		return f.unavailable(reason)
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		reason += ": check the feed's credentials"
	case status/100 == 3:
		reason += ": redirects are not followed, write out the final address"
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		reason += ": postflight feed test " + f.Name + " shows the request"
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
