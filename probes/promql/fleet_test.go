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
