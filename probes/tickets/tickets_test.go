package tickets_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const step = 30 * time.Second

var (
	start  = time.Unix(1_700_000_010, 0).UTC()
	shop   = verifier.Target{Service: "check out", Environment: "production", Version: "1.42.0"}
	signal = verifier.Signal{Name: "tickets", Kind: verifier.Count, TicketSource: &verifier.TicketSource{Feed: "desk"}}
)

// desk is a ticket system that answers as told and keeps what it was asked.
type desk struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*url.URL
}

func answering(t *testing.T, answer http.HandlerFunc) *desk {
	t.Helper()
	d := &desk{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.asked = append(d.asked, r.URL)
		d.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *desk) requests() []*url.URL {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *desk) measurer(t *testing.T, change func(*tickets.Feed)) *tickets.Measurer {
	t.Helper()
	f := tickets.Feed{Name: "desk", URL: d.URL + "/tickets?from={{ .From.Unix }}&to={{ .To.Unix }}&service={{ .Service }}", Count: "$.count"}
	if change != nil {
		change(&f)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	m, err := tickets.New([]tickets.Feed{f}, tickets.Options{Transports: tickets.Transports{Written: transport}})
	require.NoError(t, err)
	return m
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestWholeStepsAreCountedInOneRequest(t *testing.T) {
	d := answering(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "bot" || password != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"count":7}`)
	})
	m := d.measurer(t, func(f *tickets.Feed) { f.Lag, f.Username, f.Password = 45*time.Second, "bot", "hunter2" })
	plan, err := m.Prepare(t.Context(), signal, shop, step, start, start)
	require.NoError(t, err)
	require.Equal(t, "GET "+d.URL+"/tickets?from=1699999980&to=1700000010&service=check out", plan.Query)

	require.Empty(t, m.Measure(t.Context(), signal, shop, plan, step, start, start.Add(2*step)), "no whole step is older than the lag")
	require.Empty(t, d.requests())

	got := m.Measure(t.Context(), signal, shop, plan, step, start, start.Add(4*step))
	require.Equal(t, []verifier.Observation{{At: start.Add(2 * step), Span: verifier.Duration(2 * step), Outcome: verifier.Measured, Count: 7}}, got)
	require.Len(t, d.requests(), 1)
	require.Equal(t, "from=1700000010&to=1700000070&service=check+out", d.requests()[0].RawQuery)
}

func TestBearerTokenIsSent(t *testing.T) {
	d := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer s3cret" {
			fmt.Fprint(w, `{"count":1}`)
		}
	})
	got := d.measurer(t, func(f *tickets.Feed) { f.BearerToken = "s3cret" }).Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
	require.Equal(t, verifier.Measured, got[0].Outcome, got[0].Message)
}

var replies = []struct {
	name    string
	status  int
	body    string
	path    string
	outcome verifier.Outcome
	message string
}{
	{"a number", 200, `{"count":42}`, "$.count", verifier.Measured, ""},
	{"a number with a point", 200, `{"count":42.0}`, "$.count", verifier.Measured, ""},
	{"a numeric string", 200, `{"result":{"stats":{"count":"42"}}}`, "$.result.stats.count", verifier.Measured, ""},
	{"201", 201, `{"count":42}`, "$.count", verifier.Measured, ""},
	{"nothing there", 200, `{"total":42}`, "$.count", verifier.Failed, "selects 0 values"},
	{"several", 200, `{"a":[{"n":1},{"n":2}]}`, "$.a[*].n", verifier.Failed, "selects 2 values"},
	{"a list", 200, `{"count":[1]}`, "$.count", verifier.Failed, "selects a list"},
	{"an object", 200, `{"count":{}}`, "$.count", verifier.Failed, "selects a object"},
	{"null", 200, `{"count":null}`, "$.count", verifier.Failed, "selects a null"},
	{"boolean", 200, `{"count":true}`, "$.count", verifier.Failed, "selects a boolean"},
	{"huge", 200, `{"count":1e300}`, "$.count", verifier.Failed, "an implausible number"},
	{"negative", 200, `{"count":-1}`, "$.count", verifier.Failed, "whole number"},
	{"half", 200, `{"count":1.5}`, "$.count", verifier.Failed, "whole number"},
	{"huge", 200, `{"count":1e999}`, "$.count", verifier.Failed, "whole number"},
	{"NaN", 200, `{"count":"NaN"}`, "$.count", verifier.Failed, "whole number"},
	{"infinite", 200, `{"count":"Infinity"}`, "$.count", verifier.Failed, "whole number"},
	{"text", 200, `{"count":"many"}`, "$.count", verifier.Failed, "whole number"},
	{"truncated", 200, `{"count":4`, "$.count", verifier.Failed, "not JSON"},
	{"goes on", 200, `{"count":4}{"count":5}`, "$.count", verifier.Failed, "goes on"},
	{"empty", 200, ``, "$.count", verifier.Failed, "not JSON"},
	{"login page", 200, ` <html>log in</html>`, "$.count", verifier.Failed, "web page"},
	{"unauthorized", 401, `{"count":4}`, "$.count", verifier.Failed, "401 Unauthorized: check the feed's credentials"},
	{"redirect", 302, `{"count":4}`, "$.count", verifier.Failed, "redirects are not followed"},
	{"not found", 404, `{"count":4}`, "$.count", verifier.Failed, "404 Not Found"},
	{"broken", 500, `{"count":4}`, "$.count", verifier.Failed, "500 Internal Server Error"},
}

func TestOnlyACountIsACount(t *testing.T) {
	for _, c := range replies {
		t.Run(c.name, func(t *testing.T) {
			d := answering(t, says(c.status, c.body))
			got := d.measurer(t, func(f *tickets.Feed) { f.Count = c.path }).Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
			require.Len(t, got, 1)
			require.Equal(t, c.outcome, got[0].Outcome, got[0].Message)
			require.Contains(t, got[0].Message, c.message)
			if c.outcome == verifier.Measured {
				require.Equal(t, 42.0, got[0].Count)
				return
			}
			require.Zero(t, got[0].Count)
			require.Contains(t, got[0].Message, `feed "desk"`)
			require.NotContains(t, got[0].Message, "from=")
		})
	}
}

func TestHugeRepliesAndCutConnectionsEnd(t *testing.T) {
	huge := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 10 {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
				return
			}
		}
	})
	got := huge.measurer(t, nil).Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
	require.Contains(t, got[0].Message, "larger than 2 MiB")

	cut := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"count":4}`)
		panic(http.ErrAbortHandler)
	})
	got = cut.measurer(t, nil).Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
	require.Equal(t, verifier.Failed, got[0].Outcome)
}

// answers is a transport without sockets, for tests in time.
type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return a(r), nil
}

func reply(status int, body string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader([]byte(body)))}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		after  func(now time.Time) string
		pause  time.Duration
	}{
		"seconds":        {429, func(time.Time) string { return "90" }, 90 * time.Second},
		"date":           {503, func(now time.Time) string { return now.Add(2 * time.Minute).UTC().Format(http.TimeFormat) }, 2 * time.Minute},
		"no time, 429":   {429, func(time.Time) string { return "" }, time.Minute},
		"no time, 503":   {503, func(time.Time) string { return "" }, 0},
		"nonsense, 503":  {503, func(time.Time) string { return "soon" }, 0},
		"negative":       {503, func(time.Time) string { return "-5" }, 0},
		"longer than we": {429, func(time.Time) string { return "9999999999" }, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				transport := answers(func(*http.Request) *http.Response {
					asked++
					if asked == 1 {
						return reply(c.status, "", http.Header{"Retry-After": {c.after(time.Now())}})
					}
					return reply(200, `{"count":1}`, nil)
				})
				m, err := tickets.New([]tickets.Feed{{Name: "desk", URL: "http://h/", Count: "$.count"}}, tickets.Options{Transports: tickets.Transports{Written: transport}})
				require.NoError(t, err)
				look := func() verifier.Observation {
					return m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))[0]
				}
				require.Contains(t, look().Message, fmt.Sprint(c.status))
				if c.pause > 0 {
					time.Sleep(c.pause - time.Second)
					o := look()
					require.Equal(t, verifier.Failed, o.Outcome)
					require.Contains(t, o.Message, "not asked again before")
					require.Equal(t, 1, asked, "the feed is left alone")
					time.Sleep(time.Second)
				}
				require.Equal(t, verifier.Measured, look().Outcome)
			})
		})
	}
}

func TestDeniedHostsAreNotAsked(t *testing.T) {
	m, err := tickets.New([]tickets.Feed{{Name: "desk", URL: "http://{{ .Service }}.internal/", Count: "$.count"}}, tickets.Options{})
	require.NoError(t, err)
	got := m.Measure(t.Context(), signal, verifier.Target{Service: "shop"}, verifier.Plan{}, step, start, start.Add(step))
	require.Contains(t, got[0].Message, "egress denied")
	got = m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
	require.Contains(t, got[0].Message, "can't be part of a host name")
}

func TestConfigurationFaults(t *testing.T) {
	for name, f := range map[string]tickets.Feed{
		"path":     {Name: "desk", URL: "http://h/", Count: "count"},
		"template": {Name: "desk", URL: "http://h/{{ .Srevice }}", Count: "$.count"},
		"address":  {Name: "desk", URL: "h/tickets", Count: "$.count"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tickets.New([]tickets.Feed{f}, tickets.Options{})
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
			require.ErrorContains(t, err, `feed "desk"`)
		})
	}
	m, err := tickets.New(nil, tickets.Options{})
	require.NoError(t, err)
	_, err = m.Prepare(t.Context(), signal, shop, step, start, start)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	require.Contains(t, m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))[0].Message, "not configured")
}

func TestObserveIsTold(t *testing.T) {
	d := answering(t, says(500, ""))
	var seen []string
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	m, err := tickets.New([]tickets.Feed{{Name: "desk", URL: d.URL, Count: "$.count"}}, tickets.Options{Transports: tickets.Transports{Written: transport},
		Observe: func(upstream string, _ time.Duration, ok bool) { seen = append(seen, fmt.Sprint(upstream, ok)) }})
	require.NoError(t, err)
	m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
	require.Equal(t, []string{"deskfalse"}, seen)
}

// FuzzReply: whatever a feed answers, a number comes only with Measured.
func FuzzReply(f *testing.F) {
	for _, c := range replies {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		transport := answers(func(*http.Request) *http.Response { return reply(200, string(body), nil) })
		m, err := tickets.New([]tickets.Feed{{Name: "desk", URL: "http://h/", Count: "$..count"}}, tickets.Options{Transports: tickets.Transports{Written: transport}})
		require.NoError(t, err)
		got := m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
		require.Len(t, got, 1)
		require.GreaterOrEqual(t, got[0].Count, 0.0)
		if got[0].Outcome == verifier.Failed {
			require.Zero(t, got[0].Count)
			require.NotEmpty(t, got[0].Message)
		}
	})
}

func TestWaitingInVainAsksNothing(t *testing.T) {
	d := answering(t, says(200, `{"count":1}`))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var host string
	m, err := tickets.New([]tickets.Feed{{Name: "desk", URL: d.URL, Count: "$.count"}}, tickets.Options{Transports: tickets.Transports{
		Written: transport,
		Slot: func(_ context.Context, h string) (func(), error) {
			host = h
			return nil, notSent{}
		},
	}})
	require.NoError(t, err)
	got := m.Measure(t.Context(), signal, shop, verifier.Plan{}, step, start, start.Add(step))
	require.Len(t, got, 1)
	require.Equal(t, verifier.Failed, got[0].Outcome)
	require.Equal(t, `feed "desk": not sent: waited 5s`, got[0].Message)
	require.Equal(t, d.Listener.Addr().String(), host)
	require.Empty(t, d.requests())
}

type notSent struct{}

func (notSent) Error() string { return "not sent: waited 5s" }
func (notSent) NotSent() bool { return true }
