package promql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// fleet is a Prometheus of many services, which counts what it is asked. It
// stands behind a RoundTripper, for sockets have no virtual time.
type fleet struct {
	mu      sync.Mutex
	queries []asked
	ended   int // queries that were cut short
	delay   time.Duration
	// sample is what an expression says of a service at a moment; "" is nothing.
	sample func(service, expr string, at time.Time) string
	// whole, where set, may answer instead: a status and a body.
	whole func(services []string) (int, string)
}

type asked struct {
	services []string
	expr     string
	steps    int
}

var matcherOfServices = regexp.MustCompile(`service(=~?)"((?:[^"\\]|\\.)*)"`)

func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	q := asked{services: servicesOf(form.Get("query")), expr: form.Get("query")}
	var series []any
	start, _ := strconv.ParseFloat(form.Get("start"), 64)
	end, _ := strconv.ParseFloat(form.Get("end"), 64)
	width, _ := strconv.ParseFloat(form.Get("step"), 64)
	for _, service := range q.services {
		var samples [][2]any
		q.steps = 0
		for at := start; at <= end; at += width {
			q.steps++
			if v := f.sample(service, q.expr, time.Unix(int64(at), 0)); v != "" {
				samples = append(samples, [2]any{at, v})
			}
		}
		labels := map[string]string{}
		if strings.Contains(q.expr, "by (service)") {
			labels["service"] = service
		}
		if len(samples) > 0 {
			series = append(series, map[string]any{"metric": labels, "values": samples})
		}
	}
	f.mu.Lock()
	f.queries = append(f.queries, q)
	f.mu.Unlock()
	select {
	case <-time.After(f.delay):
	case <-r.Context().Done():
		f.mu.Lock()
		f.ended++
		f.mu.Unlock()
		return nil, r.Context().Err()
	}
	status, body := 0, ""
	if f.whole != nil {
		status, body = f.whole(q.services)
	}
	if status == 0 {
		b, err := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": append([]any{}, series...)}})
		if err != nil {
			return nil, err
		}
		status, body = 200, string(b)
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// servicesOf reads the matcher as Prometheus would: the string, and then the
// alternatives of the expression.
func servicesOf(expr string) []string {
	m := matcherOfServices.FindStringSubmatch(expr)
	if m == nil {
		return []string{""}
	}
	text, err := strconv.Unquote(`"` + m[2] + `"`)
	if err != nil {
		return nil
	}
	if m[1] == "=" {
		return []string{text}
	}
	var out []string
	one := ""
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
			one += string(text[i])
		case '|':
			out, one = append(out, one), ""
		default:
			one += string(text[i])
		}
	}
	return append(out, one)
}

func (f *fleet) asked() []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.queries)
}

func (f *fleet) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = nil
}

func (f *fleet) measurer(t *testing.T, change func(*promql.Server)) *promql.Measurer {
	t.Helper()
	s := promql.Server{Name: "main", URL: "http://prometheus.example", RoundTripper: f}
	if change != nil {
		change(&s)
	}
	m, err := promql.New([]promql.Server{s}, nil)
	require.NoError(t, err)
	return m
}

// counts says of each service and moment another number, so that none can be
// taken for another's; every fourth service has no errors.
func counts(service, expr string, at time.Time) string {
	n := 1000 + int(at.Unix()/30)%100
	for _, c := range []byte(service) {
		n = (n*31 + int(c)) % 100_000
	}
	if !strings.Contains(expr, "code") {
		return strconv.Itoa(100_000 + n)
	}
	if n%4 == 0 {
		return ""
	}
	return strconv.Itoa(n % 1000)
}

func (f *fleet) truth(service string, at time.Time) verifier.Observation {
	number := func(expr string) float64 {
		n, _ := strconv.ParseFloat(f.sample(service, expr, at), 64)
		return n
	}
	return verifier.Observation{At: at.UTC(), Span: verifier.Duration(step), Outcome: verifier.Measured, Bad: number("code"), Total: number("")}
}

// plans are what Prepare makes of the ratio.
func ratioPlan(service string) (verifier.Target, verifier.Plan) {
	matcher := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(service)
	return verifier.Target{Service: service, Environment: "production", Version: "v2"}, verifier.Plan{
		Bad:   `sum(increase(http_requests_total{service="` + matcher + `",code=~"5.."}[30s]))`,
		Total: `sum(increase(http_requests_total{service="` + matcher + `"}[30s]))`,
	}
}

// looker looks at one service as the engine does: every 15 s, at the steps that
// ended 5 s ago and were not measured.
type looker struct {
	service  string
	measured time.Time
	seen     []verifier.Observation
}

func (l *looker) look(ctx context.Context, m *promql.Measurer) []verifier.Observation {
	to := time.Now().UTC().Add(-5 * time.Second).Truncate(step)
	if !to.After(l.measured) {
		return nil
	}
	target, plan := ratioPlan(l.service)
	got := m.Measure(ctx, ratioSignal(), target, plan, step, l.measured, to)
	for _, o := range got {
		if o.Outcome == verifier.Measured {
			l.measured = o.At
		}
	}
	l.seen = append(l.seen, got...)
	return got
}

func lookers(n int) []*looker {
	out := make([]*looker, n)
	for i := range out {
		out[i] = &looker{service: fmt.Sprintf(`team-%d.svc|%d"x`, i%7, i), measured: time.Now().UTC().Add(-2 * step).Truncate(step)}
	}
	return out
}

// all looks of everybody, spread over 15 s, for so many rounds.
func rounds(t *testing.T, n int, of []*looker, m *promql.Measurer) {
	t.Helper()
	for range n {
		var wg sync.WaitGroup
		for i, l := range of {
			wg.Go(func() {
				time.Sleep(14 * time.Second * time.Duration(i) / time.Duration(len(of)))
				l.look(t.Context(), m)
			})
		}
		wg.Wait()
		time.Sleep(time.Until(time.Now().Truncate(15 * time.Second).Add(15 * time.Second)))
	}
}

func TestManyServicesAreOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saved := 0
		f := &fleet{sample: counts, delay: 5 * time.Millisecond}
		m := f.measurer(t, func(s *promql.Server) { s.Shared = func(n int) { saved += n } })
		all := lookers(500)
		rounds(t, 6, all, m)
		looks := 0
		for _, l := range all {
			require.Len(t, l.seen, 4, "a step every other round, and one before")
			for _, o := range l.seen {
				require.Equal(t, f.truth(l.service, o.At), o)
			}
			looks += len(l.seen)
		}
		n := len(f.asked())
		t.Logf("%d queries for %d signal-ticks: %.3f each; %d reads saved", n, looks, float64(n)/float64(looks), saved)
		require.Greater(t, saved, 3000)

		f.forget() // all are known by now
		rounds(t, 4, all, m)
		n = len(f.asked())
		t.Logf("then %d queries for 1000: %.4f each", n, float64(n)/1000)
		require.LessOrEqual(t, n, 2*2*(500/250+1), "both expressions of both steps, 250 services at a time")
		for _, q := range f.asked() {
			require.Equal(t, 1, q.steps, "only what is new")
		}
	})
}

func TestTheSameIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: time.Second}
		m := f.measurer(t, nil)
		s := verifier.Signal{Name: "queue", Kind: verifier.Value, ValueSource: &verifier.ValueSource{Server: "main"}}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				time.Sleep(100 * time.Millisecond)
				got := m.Measure(t.Context(), s, shop, verifier.Plan{Value: `max(queue{service="x"}) by (pod)`}, step, from, end)
				require.Equal(t, verifier.Measured, got[0].Outcome, got[0].Message)
			})
		}
		wg.Wait()
		require.Len(t, f.asked(), 1)
		got := m.Measure(t.Context(), s, shop, verifier.Plan{Value: `max(queue{service="x"}) by (pod)`}, step, from.Add(-step), end)
		require.Len(t, got, 2)
		require.Len(t, f.asked(), 2, "only what is not known yet")
		require.Equal(t, 1, f.asked()[1].steps)
		time.Sleep(time.Minute)
		m.Measure(t.Context(), s, shop, verifier.Plan{Value: `max(queue{service="x"}) by (pod)`}, step, from, end)
		require.Len(t, f.asked(), 3, "no answer is older than a minute")
	})
}

// What isn't there is asked for again, with those who miss as much: its samples
// may come late.
func TestWhatIsMissingIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := time.Now().Add(5 * time.Minute)
		f := &fleet{delay: 5 * time.Millisecond, sample: func(service, expr string, at time.Time) string {
			if time.Now().Before(late) && strings.HasPrefix(service, "team-3") {
				return ""
			}
			return counts(service, expr, at)
		}}
		m := f.measurer(t, nil)
		all := lookers(70)
		rounds(t, 40, all, m)
		for _, l := range all {
			measured, missing := map[time.Time]bool{}, 0
			for _, o := range l.seen {
				switch o.Outcome {
				case verifier.Measured:
					require.Equal(t, f.truth(l.service, o.At), o)
					require.False(t, measured[o.At], "none twice")
					measured[o.At] = true
				case verifier.NoData:
					missing++
				default:
					t.Fatal(o.Message)
				}
			}
			require.Len(t, measured, 21, "no step is lost")
			require.Equal(t, strings.HasPrefix(l.service, "team-3"), missing > 0)
		}
		n := len(f.asked())
		t.Logf("%d queries for %d looks", n, 70*40)
		require.Less(t, n, 70*40/5)
	})
}

func TestAFailureIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: time.Second, whole: func([]string) (int, string) { return 503, "" }}
		m := f.measurer(t, nil)
		all := lookers(5)
		var wg sync.WaitGroup
		for _, l := range all {
			wg.Go(func() {
				for _, o := range l.look(t.Context(), m) {
					require.Equal(t, verifier.Failed, o.Outcome)
					require.Contains(t, o.Message, `prometheus "main": answered server_error: server error: 503`)
				}
			})
		}
		wg.Wait()
		f.whole = nil
		for _, l := range all {
			require.Equal(t, verifier.Measured, l.look(t.Context(), m)[0].Outcome, "the next look finds it well")
		}
	})
}

// TestOneServicesTroubleIsItsOwn: a reply that is spoilt as a whole by one
// service is asked for in parts, and that service by itself from then on.
func TestOneServicesTroubleIsItsOwn(t *testing.T) {
	const good = `{"status":"success","data":{"resultType":"matrix","result":[]}}`
	for name, c := range map[string]struct {
		status        int
		body, message string
		ofAll         string // what the many are answered instead
	}{
		"warning":   {200, `{"status":"success","warnings":["mixed floats and histograms"],"data":{"resultType":"matrix","result":[]}}`, "warning: mixed floats", ""},
		"execution": {422, `{"status":"error","errorType":"execution","error":"duplicate labels"}`, "duplicate labels", ""},
		"refused":   {400, `{"status":"error","errorType":"bad_data","error":"no"}`, "bad_data: no", ""},
		"null":      {200, matrix(`null`), "null", ""},
		"of nobody": {200, good, "no samples of the total", matrix(`{"metric":{"service":"stranger"},"values":[[1700000010,"1"]]}`)},
		"labelless": {200, good, "no samples of the total", matrix(`{"metric":{},"values":[[1700000010,"1"]]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := lookers(100)
				bad := all[42].service
				f := &fleet{sample: counts, delay: 5 * time.Millisecond}
				f.whole = func(services []string) (int, string) {
					switch {
					case !slices.Contains(services, bad):
						return 0, ""
					case len(services) > 1 && c.ofAll != "":
						return 200, c.ofAll
					}
					return c.status, c.body
				}
				m := f.measurer(t, nil)
				rounds(t, 6, all, m)
				for _, l := range all {
					for _, o := range l.seen {
						if l.service != bad {
							require.Equal(t, f.truth(l.service, o.At), o)
							continue
						}
						require.NotEqual(t, verifier.Measured, o.Outcome)
						require.Contains(t, o.Message, c.message)
					}
				}
				f.forget()
				rounds(t, 2, all, m)
				for _, q := range f.asked() {
					if c.ofAll == "" {
						require.Equal(t, slices.Contains(q.services, bad), len(q.services) == 1, "it is asked for by itself for a while")
					}
				}
			})
		})
	}
}

// Where many are too much, fewer are asked for together, and it is remembered.
func TestTooMuchIsAskedForInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: 5 * time.Millisecond, whole: func(services []string) (int, string) {
			if len(services) > 20 {
				return 422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`
			}
			return 0, ""
		}}
		m := f.measurer(t, nil)
		all := lookers(200)
		rounds(t, 8, all, m)
		for _, l := range all {
			require.Len(t, l.seen, 5)
			for _, o := range l.seen {
				require.Equal(t, f.truth(l.service, o.At), o)
			}
		}
		f.forget()
		rounds(t, 2, all, m)
		refused := 0
		for _, q := range f.asked() {
			if len(q.services) > 20 {
				refused++
			}
		}
		require.Zero(t, refused)
		require.Less(t, len(f.asked()), 2*200/10)
	})
}

// A look that gives up takes nothing from the others that wait with it, and the
// last one ends the query.
func TestWhoGivesUpTakesNothingFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: 5 * time.Second}
		m := f.measurer(t, func(s *promql.Server) { s.Timeout = time.Minute })
		target, plan := ratioPlan("checkout")
		measure := func(within time.Duration) verifier.Observation {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			return m.Measure(ctx, ratioSignal(), target, plan, step, from, end)[0]
		}
		var first, second verifier.Observation
		var wg sync.WaitGroup
		wg.Go(func() { first = measure(time.Second) })
		wg.Go(func() {
			time.Sleep(time.Millisecond)
			second = measure(10 * time.Second)
		})
		wg.Wait()
		require.Equal(t, verifier.Failed, first.Outcome)
		require.Equal(t, `prometheus "main": no answer in time`, first.Message)
		require.Equal(t, f.truth("checkout", end), second)
		require.Len(t, f.asked(), 2)
		require.Zero(t, f.ended)

		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		got := m.Measure(ctx, ratioSignal(), target, plan, step, from, end)
		require.Equal(t, `prometheus "main": the request was cancelled`, got[0].Message)
		synctest.Wait()
		require.Equal(t, 2, f.ended, "nobody wants it any more")
	})
}

// What a look has no time to wait for is there at the next.
func TestASlowAnswerServesTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts, delay: 8 * time.Second}
		m := f.measurer(t, nil)
		all := lookers(100)
		briefly := func() (measured int) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			for _, l := range all {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
					defer cancel()
					mine := 0
					for _, o := range l.look(ctx, m) {
						if o.Outcome == verifier.Measured {
							require.Equal(t, f.truth(l.service, o.At), o)
							mine++
						}
					}
					mu.Lock()
					defer mu.Unlock()
					measured += mine
				})
			}
			wg.Wait()
			return measured
		}
		seen := 0
		for range 20 {
			seen += briefly()
			time.Sleep(15*time.Second - 250*time.Millisecond)
		}
		t.Logf("%d steps in %d queries", seen, len(f.asked()))
		require.GreaterOrEqual(t, seen, 100*8, "of eleven steps, at 8 s an answer")
		require.Less(t, len(f.asked()), 100)
		time.Sleep(time.Minute)
	})
}

// Who waits for a turn that doesn't come says so.
func TestWaitingForATurnIsNoSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts}
		m := f.measurer(t, func(s *promql.Server) {
			s.Slot = func(ctx context.Context, _ string) (func(), error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		target, plan := ratioPlan("checkout")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		got := m.Measure(ctx, ratioSignal(), target, plan, step, from, end)
		require.Equal(t, verifier.Failed, got[0].Outcome)
		require.Equal(t, `prometheus "main": not sent: waited 3s for queries before it`, got[0].Message)
		require.Empty(t, f.asked())
		time.Sleep(time.Minute) // then it is given up for later looks as well
	})
}

// A fault of ours over one reply is told to each look, which says what it was
// about; the daemon goes on.
func TestAFaultIsToldToEachLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: func(string, string, time.Time) string { panic("a fault") }}
		m := f.measurer(t, nil)
		target, plan := ratioPlan("checkout")
		for range 2 {
			require.Panics(t, func() { m.Measure(t.Context(), ratioSignal(), target, plan, step, from, end) })
		}
	})
}

// However many ask, a server is asked no more often than it may be; who waits
// for longer than it has says so.
func TestQueriesASecondAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{sample: counts}
		m := f.measurer(t, func(s *promql.Server) { s.Rate = 20 })
		s := verifier.Signal{Name: "queue", Kind: verifier.Value, ValueSource: &verifier.ValueSource{Server: "main"}}
		began := time.Now()
		var wg sync.WaitGroup
		waited := 0
		var mu sync.Mutex
		for i := range 300 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Second, cancel)
				got := m.Measure(ctx, s, shop, verifier.Plan{Value: fmt.Sprintf("up + %d", i)}, step, from, end)
				if got[0].Outcome == verifier.Failed {
					require.Regexp(t, `^prometheus "main": (not sent: waited 10s|the request was cancelled)`, got[0].Message) // as its turn comes
					mu.Lock()
					defer mu.Unlock()
					waited++
				}
			})
		}
		wg.Wait()
		n := len(f.asked())
		require.InDelta(t, 20*time.Since(began).Seconds()+2, n, 2)
		require.InDelta(t, 300-n, waited, 1)
	})
}
