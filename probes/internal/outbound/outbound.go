// Package outbound is how probes reach other systems over HTTP: by which
// transport, within which limits, and in which words they say what went wrong.
package outbound

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/postflight/postflight/probes/internal/render"
)

// Observe is told of every request: the upstream's name from the
// configuration, how long the request took and whether the upstream gave a
// proper answer. It may be nil.
type Observe func(upstream string, d time.Duration, ok bool)

// Done tells what happened to a request that began at began.
func (o Observe) Done(upstream string, began time.Time, ok bool) {
	if o != nil {
		o(upstream, time.Since(began), ok)
	}
}

// Transports are the two ways out. Written serves hosts that the operator
// wrote out in the configuration. Templated serves hosts that come out of a
// template or a redirect, and must refuse what the egress rule denies with an
// error that has a method EgressDenied() bool. A missing Written is
// http.DefaultTransport, a missing Templated denies everything.
type Transports struct {
	Written   http.RoundTripper
	Templated http.RoundTripper
	// Slot, where set, is asked before each request.
	Slot Slot
}

// Slot waits for a place among the calls to a host (HOST or HOST:PORT), until
// ctx ends. It is asked before a request's timeout and stopwatch start, so that
// our own queue is never taken for a slow answer; release gives the place back
// once the answer is read. Its errors say what was waited for, in words fit
// for a message, and have a method NotSent() bool. nil is no limit.
type Slot func(ctx context.Context, host string) (release func(), err error)

// Take waits for a place; without a Slot there is always one.
func (s Slot) Take(ctx context.Context, host string) (release func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	return s(ctx, host)
}

// To returns the transport for requests to an address and for redirects from
// there.
func (t Transports) To(a render.Address) http.RoundTripper {
	return route{transports: t, origin: a}
}

type route struct {
	transports Transports
	origin     render.Address
}

// RoundTrip sends the request by the transport that its host asks for.
func (r route) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return nil, deniedError{fmt.Sprintf("scheme %q is refused: only http and https", req.URL.Scheme)}
	}
	if !r.origin.Templated && SameHost(req.URL, r.origin.URL) {
		if r.transports.Written == nil {
			return http.DefaultTransport.RoundTrip(req)
		}
		return r.transports.Written.RoundTrip(req)
	}
	if r.transports.Templated == nil {
		return nil, deniedError{fmt.Sprintf("host %q comes out of a template or a redirect: allow it under egress.allow", req.URL.Host)}
	}
	return r.transports.Templated.RoundTrip(req)
}

// SameHost reports whether both URLs have the same host and port; the default
// ports of http and https count as the same, so that a redirect from one to
// the other stays at home.
func SameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p == "80" && u.Scheme == "http", p == "443" && u.Scheme == "https":
		return ""
	default:
		return p
	}
}

type deniedError struct{ reason string }

func (d deniedError) Error() string    { return d.reason }
func (deniedError) EgressDenied() bool { return true }

// quiet swallows what resty would log: errors are returned, never both.
type quiet struct{}

func (quiet) Errorf(string, ...any) {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Debugf(string, ...any) {}

// Client returns a resty client that hands over bodies unread, so that the
// caller can limit them, and opens a connection for every request, so that
// name lookup and connecting are part of what is measured.
func Client(c *http.Client) *resty.Client {
	return resty.NewWithClient(c).
		SetLogger(quiet{}).
		SetDisableWarn(true).
		SetDoNotParseResponse(true).
		SetCloseConnection(true).
		SetAllowGetMethodPayload(true).
		SetHeader("User-Agent", "postflight")
}

// ReadAtMost reads up to limit bytes of a body; more says that there was more.
func ReadAtMost(body io.Reader, limit int64) (read []byte, more bool, err error) {
	read, err = io.ReadAll(io.LimitReader(body, limit+1))
	if int64(len(read)) > limit {
		return read[:limit], true, nil
	}
	return read, false, err
}
