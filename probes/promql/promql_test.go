package promql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const step = 30 * time.Second

// end is a step's end; one step before it is from.
var (
	end  = time.Unix(1_700_000_010, 0).UTC()
	from = end.Add(-step)
	shop = verifier.Target{Service: "checkout", Environment: "production", Version: "1.42.0"}
)

// prometheus answers as told and keeps what it was asked.
type prometheus struct {
	*httptest.Server
	mu    sync.Mutex
	asked []url.Values
}

// answering starts a server; answer is called with the form of each request.
func answering(t *testing.T, answer func(w http.ResponseWriter, form url.Values)) *prometheus {
	t.Helper()
	p := &prometheus{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		r.Form.Set("path", r.URL.Path)
		p.mu.Lock()
		p.asked = append(p.asked, r.Form)
		p.mu.Unlock()
		answer(w, r.Form)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *prometheus) requests() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// measurer asks p under the name main.
func (p *prometheus) measurer(t *testing.T, change func(*promql.Server)) *promql.Measurer {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s := promql.Server{Name: "main", URL: p.URL, RoundTripper: transport}
	if change != nil {
		change(&s)
	}
	m, err := promql.New([]promql.Server{s}, nil)
	require.NoError(t, err)
	return m
}

// says answers every request with one status and body.
func says(status int, body string) func(http.ResponseWriter, url.Values) {
	return func(w http.ResponseWriter, _ url.Values) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// table answers each query with a sample per step, or with nothing for a query
// that it doesn't hold.
func table(values map[string][]string) func(http.ResponseWriter, url.Values) {
	return func(w http.ResponseWriter, form url.Values) {
		if form.Get("path") == "/api/v1/query" {
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
			return
		}
		start, _ := strconv.ParseFloat(form.Get("start"), 64)
		width, _ := strconv.ParseFloat(form.Get("step"), 64)
		var samples [][2]any
		for i, v := range values[form.Get("query")] {
			if v != "" {
				samples = append(samples, [2]any{start + float64(i)*width, v})
			}
		}
		series := []any{}
		if len(samples) > 0 {
			series = append(series, map[string]any{"metric": map[string]string{}, "values": samples})
		}
		body := map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": series}}
		_ = json.NewEncoder(w).Encode(body) // a test's answer to itself
	}
}

func valueSignal() verifier.Signal {
	return verifier.Signal{Name: "orders", Kind: verifier.Value, ValueSource: &verifier.ValueSource{Server: "main", Query: `sum(rate(orders_total{service="{{ .Service }}"}[1m]))`}}
}

func ratioSignal() verifier.Signal {
	return verifier.Signal{Name: "errors", Kind: verifier.Ratio, RatioSource: &verifier.RatioSource{
		Server: "main",
		Bad:    `http_requests_total{service="{{ .Service }}",code=~"5.."}`,
		Total:  `http_requests_total{service="{{ .Service }}"}`,
	}}
}

const (
	badExpr   = `sum(increase(http_requests_total{service="checkout",code=~"5.."}[30s]))`
	totalExpr = `sum(increase(http_requests_total{service="checkout"}[30s]))`
)

func TestRatioIsMeasuredAtTheEndsOfSteps(t *testing.T) {
	p := answering(t, table(map[string][]string{badExpr: {"1", "0", "2.5"}, totalExpr: {"10", "20", "30"}}))
	m := p.measurer(t, nil)
	plan, err := m.Prepare(t.Context(), ratioSignal(), shop, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Equal(t, verifier.Plan{Bad: badExpr, Total: totalExpr, Query: "(" + badExpr + ") / (" + totalExpr + ")"}, plan)

	got := m.Measure(t.Context(), ratioSignal(), shop, plan, step, end.Add(-3*step), end)
	require.Equal(t, []verifier.Observation{
		{At: end.Add(-2 * step), Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: 1, Total: 10},
		{At: end.Add(-step), Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: 0, Total: 20},
		{At: end, Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: 2.5, Total: 30},
	}, got)
	last := p.requests()[len(p.requests())-1]
	require.Equal(t, "1699999950", last.Get("start"), "the first point is the first step's end")
	require.Equal(t, "1700000010", last.Get("end"))
	require.Equal(t, "30", last.Get("step"))

	history, err := m.History(t.Context(), ratioSignal(), shop, plan, step, end.Add(-3*step), end)
	require.NoError(t, err)
	require.Equal(t, got, history)
}

func TestRatioNeverInventsNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		bad, total string
		outcome    verifier.Outcome
		wantBad    float64
		message    string
	}{
		"no error yet":           {"", "10", verifier.Measured, 0, ""},
		"nothing at all":         {"", "", verifier.NoData, 0, "no samples of the total"},
		"errors without a total": {"3", "", verifier.NoData, 0, "no samples of the total"},
		"no traffic":             {"0", "0", verifier.NoData, 0, "no traffic"},
		"total NaN":              {"1", "NaN", verifier.NoData, 0, "total: the value is NaN"},
		"bad NaN":                {"NaN", "10", verifier.NoData, 0, "bad: the value is NaN"},
		"bad infinite":           {"+Inf", "10", verifier.NoData, 0, "bad: the value is infinite"},
		"extrapolated":           {"10.4", "10", verifier.Measured, 10, ""},
		"rounding below nothing": {"-0.0000001", "10", verifier.Measured, 0, ""},
		"negative":               {"-5", "10", verifier.Failed, 0, "don't count the same events"},
		"negative total":         {"0", "-5", verifier.Failed, 0, "is it a counter?"},
		"swapped":                {"1000", "10", verifier.Failed, 0, "don't count the same events"},
		"all bad, extrapolated":  {"1090", "1000", verifier.Measured, 1000, ""},
		"more bad than all":      {"1900", "1000", verifier.Failed, 0, "1900 bad of 1000: the two don't count the same events; total must"},
		"a few more bad":         {"4", "2", verifier.Measured, 2, ""},
		"twice as many bad":      {"20", "10", verifier.Failed, 0, "don't count the same events"},
		"huge total":             {"1", "1e16", verifier.Failed, 0, "total: implausible value 1e+16"},
		"huge bad":               {"1.7e308", "10", verifier.Failed, 0, "bad: implausible value 1.7e+308"},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, table(map[string][]string{badExpr: {c.bad}, totalExpr: {c.total}}))
			got := p.measurer(t, nil).Measure(t.Context(), ratioSignal(), shop, verifier.Plan{Bad: badExpr, Total: totalExpr}, step, from, end)
			require.Len(t, got, 1)
			require.Equal(t, c.outcome, got[0].Outcome, got[0].Message)
			require.Equal(t, c.wantBad, got[0].Bad)
			require.Contains(t, got[0].Message, c.message)
			if c.outcome != verifier.Measured {
				require.Zero(t, got[0].Total)
				require.NotEmpty(t, got[0].Message)
			}
		})
	}
}

func TestLongRangesAreReadInParts(t *testing.T) {
	p := answering(t, func(w http.ResponseWriter, form url.Values) {
		start, _ := strconv.ParseInt(form.Get("start"), 10, 64)
		stop, _ := strconv.ParseInt(form.Get("end"), 10, 64)
		if (stop-start)/30 > 11_000 {
			says(400, `{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries"}`)(w, form)
			return
		}
		values := make([]string, (stop-start)/30+1)
		for i := range values {
			values[i] = "1"
		}
		table(map[string][]string{"up": values})(w, form)
	})
	m := p.measurer(t, nil)
	const steps = 7 * 24 * 120
	got, err := m.History(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, end.Add(-steps*step), end)
	require.NoError(t, err)
	require.Len(t, got, steps)
	require.Len(t, p.requests(), 3)
	for i, o := range got {
		require.Equal(t, verifier.Measured, o.Outcome)
		require.Equal(t, end.Add(time.Duration(i-steps+1)*step), o.At)
	}
}

func TestValuesFromOutsideStayLabelValues(t *testing.T) {
	hostile := verifier.Target{Service: `a"} or vector(1) #`}
	p := answering(t, table(nil))
	plan, err := p.measurer(t, nil).Prepare(t.Context(), ratioSignal(), hostile, step, end.Add(-time.Hour), end)
	require.NoError(t, err)
	require.Equal(t, `sum(increase(http_requests_total{service="a\"} or vector(1) #"}[30s]))`, plan.Total)
	require.Equal(t, plan.Total, p.requests()[1].Get("query"))
}

func TestPrepareTellsTheConfigurationsFaultsFromTheServers(t *testing.T) {
	s := ratioSignal()
	s.RatioSource.Total = `http_requests_total{service={{ .Service }}}`
	down := answering(t, says(503, "try later"))
	_, err := down.measurer(t, nil).Prepare(t.Context(), s, shop, step, from, end)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err), "a template is refused without asking")

	_, err = down.measurer(t, nil).Prepare(t.Context(), ratioSignal(), shop, step, from, end)
	require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
	require.EqualError(t, err, `prepare signal "errors": prometheus "main": answered server_error: server error: 503`)

	strict := answering(t, says(400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unexpected \"}\""}`))
	_, err = strict.measurer(t, nil).Prepare(t.Context(), valueSignal(), shop, step, from, end)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	require.ErrorContains(t, err, "parse error")

	warning := answering(t, says(200, `{"status":"success","warnings":["shard down"],"data":{"resultType":"vector","result":[]}}`))
	_, err = warning.measurer(t, nil).Prepare(t.Context(), valueSignal(), shop, step, from, end)
	require.NoError(t, err, "a warning may pass: each measurement says it")

	s = ratioSignal()
	s.RatioSource.Server = "nowhere"
	_, err = down.measurer(t, nil).Prepare(t.Context(), s, shop, step, from, end)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	require.ErrorContains(t, err, `"nowhere", which is not configured`)
}

func TestHistoryOfAFailingServerIsAnError(t *testing.T) {
	p := answering(t, says(503, ""))
	_, err := p.measurer(t, nil).History(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, from, end)
	require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
}

func TestNewRefusesAServerWithoutAddress(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:9090", "ftp://h", "http://", "http://u:hunter2@h:port"} {
		_, err := promql.New([]promql.Server{{Name: "main", URL: bad}}, nil)
		require.Equal(t, verifier.Invalid, verifier.KindOf(err), bad)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestEveryRequestIsObserved(t *testing.T) {
	type seen struct {
		upstream string
		ok       bool
	}
	for name, c := range map[string]struct {
		status int
		body   string
		ok     bool
	}{
		"fine":      {200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, true},
		"bad query": {400, `{"status":"error","errorType":"bad_data","error":"x"}`, true},
		"down":      {503, ``, false},
		"malformed": {200, `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, says(c.status, c.body))
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			var got []seen
			m, err := promql.New([]promql.Server{{Name: "main", URL: p.URL, RoundTripper: transport}}, func(upstream string, d time.Duration, ok bool) {
				require.Positive(t, d)
				got = append(got, seen{upstream, ok})
			})
			require.NoError(t, err)
			m.Measure(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, from, end)
			require.Equal(t, []seen{{"main", c.ok}}, got)
		})
	}
}

func TestMeasureOfNothing(t *testing.T) {
	p := answering(t, table(nil))
	require.Empty(t, p.measurer(t, nil).Measure(context.Background(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, end, end))
	require.Empty(t, p.requests())
}
