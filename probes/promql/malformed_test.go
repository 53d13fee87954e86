package promql_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// matrix wraps the JSON of a matrix's series.
func matrix(series string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[` + series + `]}}`
}

func series(samples string) string { return matrix(`{"metric":{},"values":[` + samples + `]}`) }

// replies are answers to a range query for the one step that ends at
// 1700000010: none but the first two is a number.
var replies = []struct {
	name    string
	status  int
	body    string
	outcome verifier.Outcome
	message string
}{
	{"a number", 200, series(`[1700000010,"42"]`), verifier.Measured, ""},
	{"infos are fine", 200, `{"status":"success","infos":["PromQL info: metric might not be a counter"],"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000010,"42"]]}]}}`, verifier.Measured, ""},
	{"empty", 200, matrix(``), verifier.NoData, "no samples"},
	{"series without samples", 200, matrix(`{"metric":{}}`), verifier.NoData, "no samples"},
	{"NaN", 200, series(`[1700000010,"NaN"]`), verifier.NoData, "NaN"},
	{"infinite", 200, series(`[1700000010,"+Inf"]`), verifier.NoData, "infinite"},
	{"infinite below", 200, series(`[1700000010,"-Inf"]`), verifier.NoData, "infinite"},
	{"huge", 200, series(`[1700000010,"1.7e308"]`), verifier.Failed, "implausible value 1.7e+308"},
	{"huge below", 200, series(`[1700000010,"-1e16"]`), verifier.Failed, "implausible value -1e+16"},
	{"number too large", 200, series(`[1700000010,"1e999"]`), verifier.Failed, "not one of a Prometheus"},
	{"no number", 200, series(`[1700000010,"abc"]`), verifier.Failed, "not one of a Prometheus"},
	{"number without quotes", 200, series(`[1700000010,42]`), verifier.Failed, "not one of a Prometheus"},
	{"value missing", 200, series(`[1700000010]`), verifier.Failed, "not one of a Prometheus"},
	{"three in a pair", 200, series(`[1700000010,"1","2"]`), verifier.Failed, "not one of a Prometheus"},
	{"time is text", 200, series(`["now","1"]`), verifier.Failed, "not one of a Prometheus"},
	{"series is null", 200, matrix(`null`), verifier.Failed, "null"},
	{"labels are numbers", 200, matrix(`{"metric":{"a":1},"values":[[1700000010,"1"]]}`), verifier.Failed, "not one of a Prometheus"},
	{"two series", 200, matrix(`{"metric":{"a":"1"},"values":[[1700000010,"1"]]},{"metric":{"a":"2"},"values":[[1700000010,"2"]]}`), verifier.Failed, "2 series where one"},
	{"same time twice", 200, series(`[1700000010,"1"],[1700000010,"2"]`), verifier.Failed, "out of order or twice"},
	{"stale", 200, series(`[1699999710,"1"]`), verifier.Failed, "was not asked for"},
	{"from the future", 200, series(`[1700000040,"1"]`), verifier.Failed, "was not asked for"},
	{"off the grid", 200, series(`[1700000009.5,"1"]`), verifier.Failed, "was not asked for"},
	{"time out of range", 200, series(`[9223372036854775,"1"]`), verifier.Failed, "was not asked for"},
	{"histogram", 200, matrix(`{"metric":{},"histograms":[[1700000010,{"count":"1","sum":"1"}]]}`), verifier.Failed, "histogram where a number"},
	{"vector", 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000010,"1"]}]}}`, verifier.Failed, "vector where a matrix"},
	{"scalar", 200, `{"status":"success","data":{"resultType":"scalar","result":[1700000010,"1"]}}`, verifier.Failed, "scalar where a matrix"},
	{"string", 200, `{"status":"success","data":{"resultType":"string","result":[1700000010,"1"]}}`, verifier.Failed, "not one of a Prometheus"},
	{"unknown type", 200, `{"status":"success","data":{"resultType":"tensor","result":[]}}`, verifier.Failed, "not one of a Prometheus"},
	{"type and result disagree", 200, `{"status":"success","data":{"resultType":"matrix","result":{"a":1}}}`, verifier.Failed, "not one of a Prometheus"},
	{"data is null", 200, `{"status":"success","data":null}`, verifier.Failed, "no result"},
	{"no data", 200, `{}`, verifier.Failed, "no result"},
	{"nothing", 200, ``, verifier.Failed, "not one of a Prometheus"},
	{"no content", 204, ``, verifier.Failed, "not one of a Prometheus"},
	{"truncated", 200, series(`[1700000010,"42"]`)[:60], verifier.Failed, "not one of a Prometheus"},
	{"goes on", 200, series(`[1700000010,"42"]`) + `{}`, verifier.Failed, "not one of a Prometheus"},
	{"HTML as JSON", 200, `<html><form>log in</form></html>`, verifier.Failed, "not one of a Prometheus"},
	{"warning", 200, `{"status":"success","warnings":["results may be incomplete: store 3 is down"],"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000010,"42"]]}]}}`, verifier.Failed, "warning: results may be incomplete"},
	{"error with 200", 200, `{"status":"error","errorType":"execution","error":"too many samples"}`, verifier.Failed, "too many samples"},
	{"success with 400", 400, series(`[1700000010,"42"]`), verifier.Failed, "inconsistent body"},
	{"bad query", 400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, verifier.Failed, "bad_data: parse error"},
	{"unauthorized", 401, `who are you`, verifier.Failed, "client error: 401"},
	{"forbidden", 403, `no`, verifier.Failed, "client error: 403"},
	{"execution", 422, `{"status":"error","errorType":"execution","error":"multiple matches for labels"}`, verifier.Failed, "multiple matches"},
	{"too many requests", 429, ``, verifier.Failed, "client error: 429"},
	{"broken", 500, `panic`, verifier.Failed, "server error: 500"},
	{"away", 503, `<html>503</html>`, verifier.Failed, "server error: 503"},
	{"deep", 200, `{"status":"success","data":` + strings.Repeat("[", 20_000), verifier.Failed, "not one of a Prometheus"},
}

func TestOnlyANumberIsANumber(t *testing.T) {
	for _, c := range replies {
		t.Run(c.name, func(t *testing.T) {
			p := answering(t, says(c.status, c.body))
			got := p.measurer(t, nil).Measure(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, from, end)
			require.Len(t, got, 1)
			require.Equal(t, c.outcome, got[0].Outcome, got[0].Message)
			require.Contains(t, got[0].Message, c.message)
			require.Equal(t, end, got[0].At)
			require.Equal(t, verifier.Duration(step), got[0].Span)
			if c.outcome == verifier.Measured {
				require.Equal(t, 42.0, got[0].Value)
				return
			}
			require.Zero(t, got[0].Value)
			require.NotEmpty(t, got[0].Message)
			require.Less(t, len(got[0].Message), 350)
			require.NotContains(t, got[0].Message, "\n")
			if c.outcome == verifier.Failed && !strings.Contains(c.message, "series") && !strings.Contains(c.message, "implausible") && c.name != "histogram" {
				require.Contains(t, got[0].Message, `prometheus "main"`)
			}
		})
	}
}

func TestSeriesMayTakeTurns(t *testing.T) {
	p := answering(t, says(200, matrix(`{"metric":{"pod":"old"},"values":[[1699999980,"1"]]},{"metric":{"pod":"new"},"values":[[1700000010,"2"]]}`)))
	got := p.measurer(t, nil).Measure(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, end.Add(-2*step), end)
	require.Equal(t, verifier.Measured, got[0].Outcome)
	require.Equal(t, verifier.Measured, got[1].Outcome)
	require.Equal(t, 2.0, got[1].Value)
}

func TestSamplesBetweenStepsAreRefused(t *testing.T) {
	p := answering(t, says(200, series(`[1699999980,"1"],[1699999995,"2"],[1700000010,"3"]`)))
	got := p.measurer(t, nil).Measure(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, end.Add(-2*step), end)
	require.Len(t, got, 2)
	require.Equal(t, verifier.Failed, got[0].Outcome)
	require.Contains(t, got[1].Message, "2023-11-14T22:13:15Z, which was not asked for")
}

func TestLoginPagesAndRedirectsAreNamed(t *testing.T) {
	page := answering(t, func(w http.ResponseWriter, _ url.Values) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html>log in</html>")
	})
	require.Contains(t, failure(t, page.measurer(t, nil)), "HTML page")

	redirect := answering(t, func(w http.ResponseWriter, _ url.Values) {
		w.Header().Set("Location", page.URL+"/login?token=s3cret")
		w.WriteHeader(http.StatusFound)
	})
	message := failure(t, redirect.measurer(t, nil))
	require.Contains(t, message, "302")
	require.NotContains(t, message, "s3cret")
	require.Len(t, page.requests(), 1, "the redirect was not followed")
}

// TestAServerOfAnotherTimeIsNotBelieved: what is asked for by a clock that is
// an hour off would be the past of the version before.
func TestAServerOfAnotherTimeIsNotBelieved(t *testing.T) {
	for ahead, want := range map[time.Duration]string{
		time.Hour: "ahead of", -time.Hour: "behind", 6 * time.Minute: "ahead of", -6 * time.Minute: "behind", 4 * time.Minute: "", -4 * time.Minute: "",
	} {
		s := answering(t, func(w http.ResponseWriter, _ url.Values) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			fmt.Fprint(w, series(`[1700000010,"42"]`))
		})
		got := s.measurer(t, nil).Measure(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, from, end)
		require.Len(t, got, 1)
		if want == "" {
			require.Equal(t, verifier.Measured, got[0].Outcome, got[0].Message)
			continue
		}
		require.Equal(t, verifier.Failed, got[0].Outcome)
		require.Contains(t, got[0].Message, want+" postflight's")
	}
}

func failure(t *testing.T, m *promql.Measurer) string {
	t.Helper()
	got := m.Measure(t.Context(), valueSignal(), shop, verifier.Plan{Value: "up"}, step, from, end)
	require.Len(t, got, 1)
	require.Equal(t, verifier.Failed, got[0].Outcome)
	return got[0].Message
}

func TestHugeAndPackedRepliesEnd(t *testing.T) {
	huge := answering(t, func(w http.ResponseWriter, _ url.Values) {
		for range 1 << 10 { // ends early: the reader hangs up
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
				return
			}
		}
	})
	require.Contains(t, failure(t, huge.measurer(t, nil)), "larger than 8 MiB")

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.CopyN(z, zeros{}, 64<<20)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	bomb := answering(t, func(w http.ResponseWriter, _ url.Values) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes()) // the reader hangs up
	})
	require.Contains(t, failure(t, bomb.measurer(t, nil)), "larger than 8 MiB")

	announced := answering(t, func(w http.ResponseWriter, _ url.Values) {
		w.Header().Set("Content-Length", fmt.Sprint(1<<30))
		w.WriteHeader(200)
	})
	require.Contains(t, failure(t, announced.measurer(t, nil)), "larger than 8 MiB")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestSlowAndAbsentServersEnd(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the hang-up
		w.WriteHeader(200)
		for r.Context().Err() == nil { // a byte now and then, for ever
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}))
	defer silent.Close()
	p := &prometheus{Server: silent}
	began := time.Now()
	require.Contains(t, failure(t, p.measurer(t, func(s *promql.Server) { s.Timeout = 100 * time.Millisecond })), "no answer within 100ms")
	require.Less(t, time.Since(began), 5*time.Second)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := p.measurer(t, nil).Measure(ctx, valueSignal(), shop, verifier.Plan{Value: "up"}, step, from, end)
	require.Equal(t, verifier.Failed, got[0].Outcome)
	require.Contains(t, got[0].Message, "cancelled")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	message := failure(t, p.measurer(t, func(s *promql.Server) { s.URL = "http://bot:hunter2@" + l.Addr().String() + "/?token=s3cret" }))
	require.Contains(t, message, "connection refused")
	require.NotContains(t, message, "hunter2")
	require.NotContains(t, message, "s3cret")
}

func TestConnectionCutInTheMiddle(t *testing.T) {
	p := answering(t, func(w http.ResponseWriter, _ url.Values) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, series(`[1700000010,"42"]`))
		panic(http.ErrAbortHandler)
	})
	require.Contains(t, failure(t, p.measurer(t, nil)), "EOF")
}

// roundTripper answers without a network, for speed.
type roundTripper []byte

func (r roundTripper) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(bytes.NewReader(r))}, nil
}

// FuzzReply: whatever a server answers, each step has one observation, and a
// number only with the outcome Measured.
func FuzzReply(f *testing.F) {
	for _, c := range replies {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := promql.New([]promql.Server{{Name: "main", URL: "http://h", RoundTripper: roundTripper(body)}}, nil)
		require.NoError(t, err)
		for _, s := range []verifier.Signal{valueSignal(), ratioSignal()} {
			plan := verifier.Plan{Value: "up"}
			if s.Kind == verifier.Ratio {
				plan = verifier.Plan{Bad: "a", Total: "b"}
			}
			got := m.Measure(t.Context(), s, shop, plan, step, end.Add(-2*step), end)
			require.Len(t, got, 2)
			for _, o := range got {
				if o.Outcome != verifier.Measured {
					require.NotEmpty(t, o.Message)
					require.Zero(t, o.Value+o.Bad+o.Total)
				}
				require.GreaterOrEqual(t, o.Bad, 0.0)
				require.LessOrEqual(t, o.Bad, o.Total)
				require.LessOrEqual(t, max(math.Abs(o.Value), o.Total), 1e15)
			}
		}
		latency := verifier.Signal{Name: "latency", LatencySource: &verifier.LatencySource{Server: "main", Histogram: "h", SlowerThan: "p95"}}
		_, err = m.Prepare(t.Context(), latency, shop, step, from, end)
		if err != nil {
			require.Contains(t, []verifier.Kind{verifier.Unavailable, verifier.Invalid}, verifier.KindOf(err))
		}
	})
}
