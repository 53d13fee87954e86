// Package call makes one HTTP call for a receiver and says how it went: one
// attempt over a connection of its own, no redirect, a bounded answer, and no
// secret in an error.
package call

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/prometheus/common/version"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// Timeout bounds one attempt, from dialling to the answer's last byte.
const Timeout = 20 * time.Second

// Caller makes the calls of one receiver.
type Caller struct {
	who    string
	client *resty.Client
	hide   *strings.Replacer
}

// New makes the caller of a receiver that errors name as who, such as
// `webhook "ci"`. transport carries the calls and decides which addresses may
// be reached; nil is http.DefaultTransport. hidden are the texts that no error
// may hold.
func New(who string, transport http.RoundTripper, hidden ...string) *Caller {
	if transport == nil {
		transport = http.DefaultTransport
	}
	client := resty.NewWithClient(&http.Client{Transport: transport, Timeout: Timeout}).
		SetRedirectPolicy(resty.RedirectPolicyFunc(func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse })).
		SetDisableWarn(true).
		SetDoNotParseResponse(true).
		SetCloseConnection(true).
		SetPreRequestHook(onlyOnce).
		SetHeader("Content-Type", "application/json").
		SetHeader("User-Agent", userAgent())
	return &Caller{who: who, client: client, hide: hiding(hidden)}
}

// onlyOnce keeps net/http from sending a request again by itself when a reused
// connection breaks, which it would for one with an Idempotency-Key: every
// call that leaves here is an attempt that the guards were asked about.
func onlyOnce(_ *resty.Client, r *http.Request) error {
	r.GetBody = nil
	return nil
}

// WithTimeout bounds each call at d instead of Timeout, and returns c. The
// dispatcher's own bound, alerting.SendTimeout, holds whatever d is.
func (c *Caller) WithTimeout(d time.Duration) *Caller {
	c.client.SetTimeout(d)
	return c
}

// Answer is what came back; Header and Body are empty when nothing did.
type Answer struct {
	Header http.Header
	Body   []byte // as far as it came, 64 KiB at most
}

// Post makes one call with those headers, beside or in place of Content-Type
// (application/json) and User-Agent.
func (c *Caller) Post(ctx context.Context, address string, header map[string]string, body []byte) (alerting.Result, Answer) {
	return c.Do(ctx, http.MethodPost, address, header, body)
}

// Do is Post with another method.
func (c *Caller) Do(ctx context.Context, method, address string, header map[string]string, body []byte) (alerting.Result, Answer) {
	now := time.Now()
	answer, err := c.client.R().SetContext(ctx).SetHeaders(header).SetBody(body).Execute(method, address)
	if err != nil {
		return alerting.Result{Outcome: alerting.Retry, Err: fmt.Errorf("%s gave no answer: %s", c.who, c.cause(err))}, Answer{}
	}
	defer func() { _ = answer.RawBody().Close() }()                    // what was said is read; the connection ends anyway
	read, _ := io.ReadAll(io.LimitReader(answer.RawBody(), maxAnswer)) // what came is worth telling, whatever ended it
	return c.Classify(answer.RawResponse, read, now), Answer{Header: answer.Header(), Body: read}
}

// Refuse is the result of an attempt for which there was nothing to send: it
// would be the same again.
func (c *Caller) Refuse(format string, args ...any) alerting.Result {
	return alerting.Result{Outcome: alerting.Rejected, Err: fmt.Errorf(c.who+": "+format, args...)}
}

// Base reads the address of an API, without a slash at its end. An error is of
// kind Invalid and holds nothing of the address.
func Base(who, address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, verifier.Errorf(verifier.Invalid, "%s: url must be an absolute http or https URL", who)
	}
	return u, nil
}

func userAgent() string {
	if version.Version == "" {
		return "postflight/devel"
	}
	return version.ComponentUserAgent("postflight")
}
