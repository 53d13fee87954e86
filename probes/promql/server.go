package promql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"golang.org/x/time/rate"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

const (
	defaultTimeout = 10 * time.Second
	maxReply       = 8 << 20 // bytes, after decompression
	// maxPoints is how many points one range query may ask for. Prometheus
	// refuses more than 11,000.
	maxPoints = 10_000
	// clocksApart is how far the server's clock may be from ours. Beyond, what
	// is asked for is not of the moments that are meant: the past of the
	// version before would be judged as the deploy's.
	clocksApart = 5 * time.Minute
)

var (
	errTooLarge = errors.New("the reply is larger than 8 MiB: narrow the query")
	errHTML     = errors.New("the reply is an HTML page, not JSON: is the URL that of a Prometheus, and is a login in between?")
)

// clockError is a server whose clock is ahead of ours by so much, or behind.
type clockError struct{ ahead time.Duration }

func (e clockError) Error() string {
	where := "ahead of"
	if e.ahead < 0 {
		where = "behind"
	}
	return fmt.Sprintf("its clock is %s %s postflight's: one of them is wrong, and what it measured when can't be told", e.ahead.Abs().Round(time.Second), where)
}

// server asks one Prometheus.
type server struct {
	name    string
	host    string
	timeout time.Duration
	slot    outbound.Slot
	rate    *rate.Limiter
	api     v1.API
	observe outbound.Observe
	waiting func() (over func())
	shared  *reader
}

func newServer(s Server, observe outbound.Observe) (*server, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, verifier.Errorf(verifier.Invalid, "prometheus %q: url must be an absolute http or https address", s.Name)
	}
	next := s.RoundTripper
	if next == nil {
		next = http.DefaultTransport
	}
	client, err := api.NewClient(api.Config{Address: s.URL, Client: &http.Client{
		Transport: guard{next},
		// A redirect could lead anywhere, and turns the POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "prometheus %q: make client: %s", s.Name, outbound.Reason(err))
	}
	made := &server{name: s.Name, host: u.Host, timeout: s.Timeout, slot: s.Slot, api: v1.NewAPI(client), observe: observe, waiting: s.Waiting}
	if made.timeout <= 0 {
		made.timeout = defaultTimeout
	}
	if s.Rate > 0 {
		made.rate = rate.NewLimiter(rate.Limit(s.Rate), max(1, s.Rate/10))
	}
	made.shared = newReader(made, s.Shared)
	return made, nil
}

// guard limits replies, which the API client reads whole, stops web pages
// before they become puzzling JSON errors, and compares clocks.
type guard struct{ next http.RoundTripper }

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	asked := time.Now()
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // a bad header is no HTML
	switch {
	case kind == "text/html" && resp.StatusCode/100 == 2:
		err = errHTML
	case resp.ContentLength > maxReply:
		err = errTooLarge
	default:
		err = compareClocks(resp.Header, asked)
	}
	if err != nil {
		_ = resp.Body.Close() // nothing of it is wanted
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: maxReply}
	return resp, nil
}

// compareClocks tells by a reply's Date whether both mean the same moments. A
// reply that is late is not behind: it was dated after it was asked for.
func compareClocks(h http.Header, asked time.Time) error {
	date, _ := http.ParseTime(h.Get("Date"))
	if date.IsZero() {
		return nil // nothing to compare with
	}
	if behind := date.Sub(asked); behind < -clocksApart {
		return clockError{behind}
	}
	if ahead := time.Until(date); ahead > clocksApart {
		return clockError{ahead}
	}
	return nil
}

// limitedBody gives an error, where io.LimitedReader would give a quiet end.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// instant evaluates an expression at one moment.
func (s *server) instant(ctx context.Context, expr string, at time.Time) (model.Value, error) {
	return s.ask(ctx, func(ctx context.Context) (model.Value, v1.Warnings, v1.Infos, error) {
		return s.api.Query(ctx, expr, at, v1.WithTimeout(s.timeout))
	})
}

// understands asks whether the server can evaluate expressions; "" is left
// out. A warning is left to the measurement, which it may not concern.
func (s *server) understands(ctx context.Context, at time.Time, exprs ...string) error {
	for _, expr := range exprs {
		if expr == "" {
			continue
		}
		if _, err := s.instant(ctx, expr, at); err != nil && !errors.As(err, new(warningError)) {
			return err
		}
	}
	return nil
}

// vector evaluates an expression that yields a vector.
func (s *server) vector(ctx context.Context, expr string, at time.Time) (model.Vector, error) {
	value, err := s.instant(ctx, expr, at)
	if err != nil {
		return nil, err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, s.unavailable(fmt.Sprintf("the reply is a %s where a vector was asked for", value.Type()), nil)
	}
	return vector, nil
}

// matrix evaluates an expression at the ends of a grid's steps, which must not
// be more than maxPoints. sending, where not nil, is told when its turn has come.
func (s *server) matrix(ctx context.Context, expr string, g grid, sending func()) (model.Matrix, error) {
	r := v1.Range{Start: g.first, End: g.at(g.n - 1), Step: g.step}
	value, err := s.ask(ctx, func(ctx context.Context) (model.Value, v1.Warnings, v1.Infos, error) {
		if sending != nil {
			sending()
		}
		return s.api.QueryRange(ctx, expr, r, v1.WithTimeout(s.timeout))
	})
	if err != nil {
		return nil, err
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, s.unavailable(fmt.Sprintf("the reply is a %s where a matrix was asked for", value.Type()), nil)
	}
	return matrix, nil
}

// ask makes one call within the timeout, which the wait for a place is no part
// of. Warnings spoil the whole reply, for
// they say that it is incomplete; infos don't.
func (s *server) ask(ctx context.Context, call func(context.Context) (model.Value, v1.Warnings, v1.Infos, error)) (model.Value, error) {
	release, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	began := time.Now()
	value, warnings, _, err := call(within)
	var refused *v1.Error
	understood := err == nil || errors.As(err, &refused) && (refused.Type == v1.ErrBadData || refused.Type == v1.ErrExec)
	s.observe.Done(s.name, began, understood && (err != nil || value != nil))
	switch {
	case err != nil:
		return nil, s.explain(within, err)
	case value == nil:
		return nil, s.unavailable("the reply holds no result", nil)
	case len(warnings) > 0:
		return nil, s.unavailable("the reply carries a warning: "+outbound.Clean(warnings[0]), warningError{})
	}
	return value, nil
}

// turn waits until the server may be asked; release ends it.
func (s *server) turn(ctx context.Context) (release func(), err error) {
	if s.waiting != nil {
		defer s.waiting()()
	}
	if s.rate != nil {
		if err := s.rate.Wait(ctx); err != nil {
			if ctx.Err() == nil { // it would be over before its turn
				err = context.DeadlineExceeded
			}
			return nil, s.unavailable(fmt.Sprintf("not sent: more than %g queries a second are waiting: %s", s.rate.Limit(), outbound.Reason(err)), nil)
		}
	}
	release, err = s.slot.Take(ctx, s.host)
	if err != nil {
		return nil, s.unavailable(outbound.Reason(err), nil)
	}
	if err := ctx.Err(); err != nil { // nothing is asked that nobody waits for
		release()
		return nil, s.unavailable(outbound.Reason(err), nil)
	}
	return release, nil
}

// explain turns an error of the API client into one with kind and reason.
func (s *server) explain(ctx context.Context, err error) error {
	var answered *v1.Error
	var clocks clockError
	switch {
	case errors.As(err, &clocks):
		return s.unavailable(clocks.Error(), nil)
	case errors.Is(err, errTooLarge):
		return s.unavailable(errTooLarge.Error(), tooHeavyError{})
	case errors.Is(err, errHTML):
		return s.unavailable(errHTML.Error(), nil)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return s.unavailable(fmt.Sprintf("no answer within %s", s.timeout), lateError{})
	case errors.As(err, &answered):
		reason := outbound.Clean(fmt.Sprintf("answered %s: %s", answered.Type, answered.Msg))
		switch answered.Type {
		case v1.ErrBadData:
			return &verifier.Error{Kind: verifier.Invalid, Message: fmt.Sprintf("prometheus %q: %s", s.name, reason)}
		case v1.ErrExec:
			return s.unavailable(reason, tooHeavyError{})
		case v1.ErrTimeout:
			return s.unavailable(reason, lateError{})
		case v1.ErrBadResponse:
			return s.unavailable("the reply is not one of a Prometheus: "+outbound.Clean(answered.Msg), nil)
		}
		return s.unavailable(reason, nil)
	}
	return s.unavailable(outbound.Reason(err), nil)
}

func (s *server) unavailable(reason string, cause error) error {
	return &verifier.Error{Kind: verifier.Unavailable, Message: fmt.Sprintf("prometheus %q: %s", s.name, reason), Err: cause}
}

// tooHeavyError marks answers to queries that a shorter range may get through.
type tooHeavyError struct{}

func (tooHeavyError) Error() string { return "the query is too heavy" }

// lateError marks queries that had no answer in time.
type lateError struct{}

func (lateError) Error() string { return "the answer is late" }
func (lateError) Unwrap() error { return tooHeavyError{} }

// warningError marks replies that are whole but for a warning.
type warningError struct{}

func (warningError) Error() string { return "the reply carries a warning" }
