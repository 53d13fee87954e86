package httpprobe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// result is what a step came to. unmeasured says why nothing was learned of
// the target; failures are the assertions that don't hold.
type result struct {
	unmeasured string
	failures   []string
	timing     verifier.Timing
}

// do makes the request of a step and checks the answer.
func (m *Measurer) do(ctx context.Context, s step, jar http.CookieJar) result {
	_, r := m.fetch(ctx, s, jar)
	return r
}

// fetch makes the request of a step and returns the answer, where there is one,
// with what came of it. The wait for a place comes before the step's clock, so
// that a queue of our own is never a slow target.
func (m *Measurer) fetch(ctx context.Context, s step, jar http.CookieJar) (a answer, r result) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clock := &stopwatch{}
	way := &hops{next: m.transports.To(s.address), slot: m.transports.Slot, waiting: ctx, clock: clock}
	if err := way.take(s.address.URL.Host); err != nil {
		return a, result{unmeasured: outbound.Reason(err)}
	}
	defer func() { way.done() }()
	clock.start(&clock.all)
	way.timeout, way.ends = time.AfterFunc(s.timeout, func() { cancel(errTooLong) }), time.Now().Add(s.timeout)
	defer way.timeout.Stop()
	defer func() { r.timing = clock.timing() }()
	request := outbound.Client(&http.Client{
		Transport:     way,
		Jar:           jar,
		CheckRedirect: s.redirect,
	}).R().SetContext(httptrace.WithClientTrace(within, clock.trace()))
	if s.body != "" {
		request.SetBody(s.body)
		if s.isJSON {
			request.SetHeader("Content-Type", "application/json")
		}
	}
	request.SetHeaders(s.source.Headers)
	resp, err := request.Execute(s.source.Method, s.address.URL.String())
	if err != nil {
		return a, s.noAnswer(ctx, within, err)
	}
	defer func() { _ = resp.RawBody().Close() }() // nothing of it is wanted any more
	body, more, err := outbound.ReadAtMost(resp.RawBody(), maxBody)
	if err != nil {
		return a, s.noAnswer(ctx, within, fmt.Errorf("read body: %w", err))
	}
	a = answer{status: resp.StatusCode(), header: resp.Header(), body: body, truncated: more, took: clock.total()}
	return a, result{failures: s.check(a)}
}

// noAnswer tells a target that fails from an attempt that never got there. ctx
// is the look's, within the step's.
func (s step) noAnswer(ctx, within context.Context, err error) result {
	reason := outbound.Reason(err)
	switch {
	case ctx.Err() != nil:
		return result{unmeasured: "the check was stopped"}
	case outbound.Denied(err):
		return result{unmeasured: "egress denied: " + reason}
	case outbound.Ours(err):
		return result{unmeasured: "own network: " + reason}
	case errors.Is(context.Cause(within), errTooLong), errors.Is(err, errTooLong):
		return result{failures: []string{fmt.Sprintf("no answer within %s", s.timeout)}}
	}
	return result{failures: []string{"no answer: " + reason}}
}

// redirect is asked before each redirect. Headers of the step may be secrets
// and stay with the host that they were written for.
func (s step) redirect(req *http.Request, via []*http.Request) error {
	if !s.source.FollowRedirects {
		return http.ErrUseLastResponse
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	req.Close = true // as the first request: every hop connects anew
	if !outbound.SameHost(req.URL, s.address.URL) {
		for name := range s.source.Headers {
			req.Header.Del(name)
		}
	}
	return nil
}
