package httpprobe_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/probes/httpprobe"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	at   = time.Unix(1_700_000_010, 0).UTC()
	shop = verifier.Target{Service: "checkout", Environment: "production", Version: "1.42.0"}
)

// site is a service whose answers depend on the path.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "all is well") })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/cart", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"currency":"EUR","items":[{"n":1},{"n":2}],"total":12.5,"open":true,"note":null,"tags":["a","b"]}`)
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s3cret"})
	})
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("session"); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("X-Key"))
		_, _ = io.Copy(w, r.Body) // a broken copy fails the assertion
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(300 * time.Millisecond):
		}
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"first":1,"pad":"`+strings.Repeat("x", 100<<10)+`","last":1}`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func measurer(t *testing.T, selfCheck *verifier.ProbeStep) *httpprobe.Measurer {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	m, err := httpprobe.New(httpprobe.Transports{Written: transport}, selfCheck)
	require.NoError(t, err)
	return m
}

func probe(steps ...verifier.ProbeStep) verifier.Signal {
	return verifier.Signal{Name: "smoke", Kind: verifier.Ratio, ProbeSource: &verifier.ProbeSource{Steps: steps, ConsecutiveFailures: 3}}
}

func get(url string, e verifier.Expect) verifier.ProbeStep {
	return verifier.ProbeStep{Method: http.MethodGet, URL: url, Expect: e}
}

func once(t *testing.T, m *httpprobe.Measurer, s verifier.Signal) verifier.Observation {
	t.Helper()
	plan, err := m.Prepare(t.Context(), s, shop, 30*time.Second, at.Add(-time.Hour), at)
	require.NoError(t, err)
	got := m.Measure(t.Context(), s, shop, plan, 30*time.Second, at.Add(-time.Minute), at)
	require.Len(t, got, 1)
	require.Equal(t, at, got[0].At)
	require.Equal(t, verifier.Duration(30*time.Second), got[0].Span)
	return got[0]
}

func TestAssertions(t *testing.T) {
	s := site(t)
	for name, c := range map[string]struct {
		path   string
		expect verifier.Expect
		want   string // of a failure; "" is a success
	}{
		"any 2xx":                {"/ok", verifier.Expect{}, ""},
		"status":                 {"/ok", verifier.Expect{Status: []int{200}}, ""},
		"one of several":         {"/broken", verifier.Expect{Status: []int{200, 500}}, ""},
		"wrong status":           {"/broken", verifier.Expect{Status: []int{200}}, "status 500, want 200"},
		"no 2xx":                 {"/broken", verifier.Expect{}, "status 500, want 2xx"},
		"none of several":        {"/broken", verifier.Expect{Status: []int{200, 204}}, "status 500, want 200 or 204"},
		"fast enough":            {"/ok", verifier.Expect{Within: verifier.Duration(5 * time.Second)}, ""},
		"too slow":               {"/slow", verifier.Expect{Within: verifier.Duration(20 * time.Millisecond)}, "ms, want within 20ms"},
		"header":                 {"/cart", verifier.Expect{Headers: map[string]string{"content-type": "^application/json"}}, ""},
		"wrong header":           {"/cart", verifier.Expect{Headers: map[string]string{"Content-Type": "html"}}, `header Content-Type is "application/json", want a match of "html"`},
		"no header":              {"/ok", verifier.Expect{Headers: map[string]string{"X-A": "b"}}, `header X-A is missing, want a match of "b"`},
		"cookies are not shown":  {"/login", verifier.Expect{Headers: map[string]string{"Set-Cookie": "zzz"}}, `header Set-Cookie has no match of "zzz"`},
		"body":                   {"/ok", verifier.Expect{Body: []string{"well$"}, BodyNot: []string{"error"}}, ""},
		"wrong body":             {"/ok", verifier.Expect{Body: []string{"bad"}}, `body has no match of "bad"`},
		"forbidden body":         {"/ok", verifier.Expect{BodyNot: []string{"all"}}, `body matches "all", which it must not`},
		"json":                   {"/cart", verifier.Expect{JSON: map[string]any{"$.currency": "EUR", "$.total": 12.5, "$.items[1].n": uint64(2), "$.open": true, "$.note": nil, "$.tags": []string{"a", "b"}}}, ""},
		"wrong json":             {"/cart", verifier.Expect{JSON: map[string]any{"$.currency": "USD"}}, `$.currency is "EUR", want "USD"`},
		"json not there":         {"/cart", verifier.Expect{JSON: map[string]any{"$.nope": nil}}, `$.nope is missing, want null`},
		"json several":           {"/cart", verifier.Expect{JSON: map[string]any{"$.items[*].n": 1}}, `$.items[*].n selects 2 values, want 1`},
		"not json":               {"/ok", verifier.Expect{JSON: map[string]any{"$.a": 1}}, "body is not JSON"},
		"every failure is shown": {"/broken", verifier.Expect{Status: []int{200}, Body: []string{"well"}}, `status 500, want 200; body has no match of "well"`},
		"large body, beginning":  {"/large", verifier.Expect{Body: []string{`"first"`}}, ""},
		"large body, end":        {"/large", verifier.Expect{Body: []string{`"last"`}}, `body's first 64 KiB has no match of`},
		"large body, json":       {"/large", verifier.Expect{JSON: map[string]any{"$.first": 1}}, "body is longer than 64 KiB"},
		"redirect":               {"/moved", verifier.Expect{Status: []int{200}}, "status 302, want 200"},
	} {
		t.Run(name, func(t *testing.T) {
			o := once(t, measurer(t, nil), probe(get(s.URL+c.path+"?token=s3cret", c.expect)))
			require.Equal(t, verifier.Measured, o.Outcome, o.Message)
			require.Equal(t, 1.0, o.Total)
			require.NotContains(t, o.Message, "s3cret")
			if c.want == "" {
				require.Zero(t, o.Bad, o.Message)
				require.Empty(t, o.Message)
				return
			}
			require.Equal(t, 1.0, o.Bad)
			require.Contains(t, o.Message, "step 1 GET "+s.URL+c.path+"?…: ")
			require.Contains(t, o.Message, c.want)
		})
	}
}

func TestStepsShareCookiesWithinARun(t *testing.T) {
	s := site(t)
	m := measurer(t, nil)
	private := get(s.URL+"/private", verifier.Expect{Status: []int{200}})
	private.Name = "account"
	require.Zero(t, once(t, m, probe(get(s.URL+"/login", verifier.Expect{}), private)).Bad)
	o := once(t, m, probe(get(s.URL+"/ok", verifier.Expect{}), private))
	require.Equal(t, "step 2 (account) GET "+s.URL+"/private: status 401, want 200", o.Message, "cookies end with the run")
}

func TestARunEndsAtTheFirstFailure(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(500)
	}))
	defer s.Close()
	once(t, measurer(t, nil), probe(get(s.URL, verifier.Expect{}), get(s.URL, verifier.Expect{})))
	require.Equal(t, 1, asked)
}

func TestMethodHeadersAndBodyAreSent(t *testing.T) {
	s := site(t)
	for method, body := range map[string]string{"POST": `{"service":"{{ .Service }}"}`, "DELETE": `{"service":"{{ .Service }}"}`, "GET": `{"service":"{{ .Service }}"}`} {
		step := verifier.ProbeStep{Method: method, URL: s.URL + "/echo", Body: body, Headers: map[string]string{"X-Key": "k"},
			Expect: verifier.Expect{JSON: map[string]any{"$.service": "checkout"}, Headers: map[string]string{"X-Method": "^" + method + " application/json k$"}}}
		o := once(t, measurer(t, nil), probe(step))
		require.Zero(t, o.Bad, o.Message)
	}
	head := verifier.ProbeStep{Method: "HEAD", URL: s.URL + "/ok"}
	require.Zero(t, once(t, measurer(t, nil), probe(head)).Bad)
}

func TestTimingIsTakenOfEveryStep(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }))
	defer s.Close()
	transport := s.Client().Transport
	m, err := httpprobe.New(httpprobe.Transports{Written: transport}, nil)
	require.NoError(t, err)
	o := once(t, m, probe(get(s.URL, verifier.Expect{}), get(s.URL, verifier.Expect{})))
	require.Zero(t, o.Bad, o.Message)
	require.Positive(t, o.Timing.Connect)
	require.Positive(t, o.Timing.TLS)
	require.Zero(t, o.Timing.DNS, "an address needs no lookup")
	require.GreaterOrEqual(t, o.Timing.FirstByte, 0.04)
	require.GreaterOrEqual(t, o.Timing.Total, o.Timing.FirstByte+o.Timing.Connect)
	require.Less(t, o.Timing.Total, 5.0)
}

func TestEveryRequestConnectsAnew(t *testing.T) {
	seen := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	defer s.Close()
	m := measurer(t, nil)
	signal := probe(get(s.URL, verifier.Expect{}), get(s.URL, verifier.Expect{}))
	once(t, m, signal)
	once(t, m, signal)
	require.Len(t, seen, 4)

	moved := get(s.URL+"/moved", verifier.Expect{})
	moved.FollowRedirects = true
	require.Zero(t, once(t, m, probe(moved)).Bad)
	require.Zero(t, once(t, m, probe(moved)).Bad)
	require.Len(t, seen, 8, "redirects too")
}

func TestRedirectsAreFollowedOnlyWhenAsked(t *testing.T) {
	s := site(t)
	step := get(s.URL+"/moved", verifier.Expect{Body: []string{"well"}})
	step.FollowRedirects = true
	require.Zero(t, once(t, measurer(t, nil), probe(step)).Bad)

	step.URL = s.URL + "/loop"
	o := once(t, measurer(t, nil), probe(step))
	require.Equal(t, 1.0, o.Bad)
	require.Contains(t, o.Message, "more than 10 redirects")
}

// deny is the egress rule's word.
type deny struct{}

func (deny) RoundTrip(r *http.Request) (*http.Response, error) { return nil, denial(r.URL.Host) }

type denial string

func (d denial) Error() string    { return "address of " + string(d) + " is not in egress.allow" }
func (denial) EgressDenied() bool { return true }

func TestHostsFromElsewhereTakeTheGuardedWay(t *testing.T) {
	s := site(t)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	guarded, err := httpprobe.New(httpprobe.Transports{Written: transport, Templated: deny{}}, nil)
	require.NoError(t, err)

	follow := func(url string) verifier.ProbeStep {
		step := get(url, verifier.Expect{})
		step.FollowRedirects = true
		return step
	}
	for name, c := range map[string]struct {
		step verifier.ProbeStep
		want string
	}{
		"template":             {get("http://{{ .Service }}.internal:"+port+"/ok", verifier.Expect{}), "checkout.internal:" + port},
		"redirect":             {follow(s.URL + "/away?to=http://169.254.169.254/latest/meta-data"), "169.254.169.254"},
		"redirect, other port": {follow(s.URL + "/away?to=http://127.0.0.1:1/"), "127.0.0.1:1"},
		"redirect, name":       {follow(s.URL + "/away?to=http://localhost:" + port + "/ok"), "localhost"},
		"redirect, scheme":     {follow(s.URL + "/away?to=file:///etc/passwd"), `scheme "file"`},
	} {
		t.Run(name, func(t *testing.T) {
			o := once(t, guarded, probe(c.step))
			require.Equal(t, verifier.Failed, o.Outcome, "refused is not bad")
			require.Contains(t, o.Message, "egress denied")
			require.Contains(t, o.Message, c.want)
			require.Zero(t, o.Bad)
		})
	}

	allowed, err := httpprobe.New(httpprobe.Transports{Written: deny{}, Templated: transport}, nil)
	require.NoError(t, err)
	o := once(t, allowed, probe(get(`http://{{ if .Service }}127.0.0.1{{ end }}:`+port+`/ok`, verifier.Expect{})))
	require.Equal(t, verifier.Measured, o.Outcome, o.Message)
}

func TestHeadersStayWithTheirHost(t *testing.T) {
	var got http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer other.Close()
	s := site(t)
	step := get(s.URL+"/away?to="+other.URL, verifier.Expect{})
	step.FollowRedirects, step.Headers = true, map[string]string{"X-Api-Key": "s3cret"}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	m, err := httpprobe.New(httpprobe.Transports{Written: transport, Templated: transport}, nil)
	require.NoError(t, err)
	require.Zero(t, once(t, m, probe(step)).Bad)
	require.NotNil(t, got)
	require.Empty(t, got.Get("X-Api-Key"))
}

// failing is a transport that always fails the same way.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestWhoseFaultItIs(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	o := once(t, measurer(t, nil), probe(get("http://bot:hunter2@"+closed.Addr().String()+"/?token=s3cret", verifier.Expect{})))
	require.Equal(t, 1.0, o.Bad, "a refused connection is a failed probe")
	require.Contains(t, o.Message, "no answer: dial tcp")
	require.Contains(t, o.Message, "connection refused")
	require.NotContains(t, o.Message, "hunter2")
	require.NotContains(t, o.Message, "s3cret")

	for name, c := range map[string]struct {
		err error
		bad bool
	}{
		"no descriptors":    {syscall.EMFILE, false},
		"no network":        {syscall.ENETUNREACH, false},
		"name server away":  {&net.DNSError{Name: "h", Err: "i/o timeout", IsTimeout: true}, false},
		"no such name":      {&net.DNSError{Name: "h", Err: "no such host", IsNotFound: true}, true},
		"reset":             {syscall.ECONNRESET, true},
		"malformed answers": {fmt.Errorf("malformed HTTP response %q", "\x16\x03"), true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := httpprobe.New(httpprobe.Transports{Written: failing{c.err}}, nil)
			require.NoError(t, err)
			o := once(t, m, probe(get("http://h/", verifier.Expect{})))
			if c.bad {
				require.Equal(t, verifier.Measured, o.Outcome)
				require.Equal(t, 1.0, o.Bad)
				return
			}
			require.Equal(t, verifier.Failed, o.Outcome)
			require.Contains(t, o.Message, "own network")
		})
	}
}

func TestTimeoutIsBadAndStoppingIsNot(t *testing.T) {
	s := site(t)
	step := get(s.URL+"/slow", verifier.Expect{})
	step.Timeout = verifier.Duration(30 * time.Millisecond)
	o := once(t, measurer(t, nil), probe(step))
	require.Equal(t, 1.0, o.Bad)
	require.Contains(t, o.Message, ": no answer within 30ms")

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	got := measurer(t, nil).Measure(ctx, probe(get(s.URL+"/slow", verifier.Expect{})), shop, verifier.Plan{}, time.Second, at, at)
	require.Equal(t, verifier.Failed, got[0].Outcome)
	require.Contains(t, got[0].Message, "the check was stopped")
}

func TestSelfCheckTellsOurNetworkFromTheirs(t *testing.T) {
	s := site(t)
	for path, c := range map[string]struct {
		outcome verifier.Outcome
		message string
	}{
		"/ok":     {verifier.Measured, "status 500, want 2xx"},
		"/broken": {verifier.Failed, "own network: self-check failed: status 500, want 2xx"},
	} {
		check := get(s.URL+path, verifier.Expect{})
		o := once(t, measurer(t, &check), probe(get(s.URL+"/broken", verifier.Expect{})))
		require.Equal(t, c.outcome, o.Outcome)
		require.Contains(t, o.Message, c.message)
	}
	check := get(s.URL+"/broken", verifier.Expect{})
	require.Zero(t, once(t, measurer(t, &check), probe(get(s.URL+"/ok", verifier.Expect{}))).Bad, "a success needs no self-check")
}

func TestPrepare(t *testing.T) {
	m := measurer(t, nil)
	plan, err := m.Prepare(t.Context(), probe(get("http://u:p@h/{{ .Version }}?a=b", verifier.Expect{}), get("http://h/2", verifier.Expect{})), shop, time.Second, at, at)
	require.NoError(t, err)
	require.Equal(t, "GET http://h/1.42.0?…\nGET http://h/2", plan.Query)

	for name, step := range map[string]verifier.ProbeStep{
		"url":      get("{{ .Service }}", verifier.Expect{}),
		"body":     {Method: "POST", URL: "http://h/", Body: "{{ .Nope }}"},
		"method":   {Method: "GE T", URL: "http://h/"},
		"name":     {Method: "GET", URL: "http://h/", Headers: map[string]string{"X Key": "a"}},
		"value":    {Method: "GET", URL: "http://h/", Headers: map[string]string{"X-Key": "a\r\nb"}},
		"pattern":  get("http://h/", verifier.Expect{Body: []string{"("}}),
		"not":      get("http://h/", verifier.Expect{BodyNot: []string{"("}}),
		"header":   get("http://h/", verifier.Expect{Headers: map[string]string{"A": "("}}),
		"jsonpath": get("http://h/", verifier.Expect{JSON: map[string]any{"currency": 1}}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.Prepare(t.Context(), probe(get("http://h/", verifier.Expect{}), step), shop, time.Second, at, at)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
			require.ErrorContains(t, err, "step 2: ")
			got := m.Measure(t.Context(), probe(step), shop, verifier.Plan{}, time.Second, at, at)
			require.Equal(t, verifier.Failed, got[0].Outcome)

			_, err = httpprobe.New(httpprobe.Transports{}, &step)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		})
	}
	_, err = m.Prepare(t.Context(), verifier.Signal{Name: "smoke"}, shop, time.Second, at, at)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	past, err := m.History(t.Context(), probe(), shop, plan, time.Second, at, at)
	require.NoError(t, err)
	require.Empty(t, past)
}

// What is compiled of a policy is shared by all who probe by it.
func TestProbesAtOnce(t *testing.T) {
	s := site(t)
	m := measurer(t, nil)
	signal := probe(get(s.URL+`/{{ if .Service }}cart{{ end }}`, verifier.Expect{
		Headers: map[string]string{"Content-Type": "^application/json"}, Body: []string{`"tags":\["a"`}, BodyNot: []string{"(?i)error"},
		JSON: map[string]any{"$.currency": "EUR", "$.items[1].n": 2},
	}))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 10 {
				target := shop
				target.Service = fmt.Sprint("service-", i)
				o := m.Measure(t.Context(), signal, target, verifier.Plan{}, time.Second, at, at)[0]
				assert.Equal(t, verifier.Measured, o.Outcome, o.Message)
				assert.Zero(t, o.Bad, o.Message)
			}
		})
	}
	all.Wait()
}
