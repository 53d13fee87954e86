package prom_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/prom"
	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier"
)

// ledger keeps the expressions that go out.
type ledger struct {
	mu    sync.Mutex
	exprs []string
}

func (l *ledger) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.exprs = append(l.exprs, form.Get("query"))
	l.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(strings.NewReader(string(body)))
	return http.DefaultTransport.RoundTrip(again)
}

// fleetOf writes what services of all kinds of names did: each at its own pace,
// some without errors, one that begins late, one whose versions change, one
// without a native histogram.
type fleetOf struct {
	services        []string
	requests        *prometheus.CounterVec
	classic, native *prometheus.HistogramVec
	random          *rand.Rand
	registry        *prometheus.Registry
}

func newFleet(services []string) *fleetOf {
	f := &fleetOf{services: services, random: rand.New(rand.NewPCG(9, 8)), registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, []string{"service", "version", "code", "pod"}),
		classic:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "classic_seconds", Buckets: []float64{0.1, 0.3, 1}}, []string{"service", "pod"}),
		native:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "native_seconds", NativeHistogramBucketFactor: 1.1}, []string{"service", "pod"}),
	}
	f.registry.MustRegister(f.requests, f.classic, f.native)
	return f
}

func (f *fleetOf) gather(began time.Time) func(time.Time) ([]*dto.MetricFamily, error) {
	return func(at time.Time) ([]*dto.MetricFamily, error) {
		for i, s := range f.services {
			if i == 3 && at.Sub(began) < 4*time.Minute { // it begins late
				continue
			}
			version := "v1"
			if i%2 == 0 && at.Sub(began) > 3*time.Minute {
				version = "v2"
			}
			for pod := range 2 {
				pod := fmt.Sprintf("%d", pod)
				f.requests.WithLabelValues(s, version, "200", pod).Add(float64(f.random.IntN(40)))
				if i%3 > 0 && f.random.IntN(5) == 0 {
					f.requests.WithLabelValues(s, version, "500", pod).Add(float64(f.random.IntN(3)))
				}
				for range 3 {
					v := f.random.ExpFloat64() / 5
					f.classic.WithLabelValues(s, pod).Observe(v)
					if i%4 > 0 {
						f.native.WithLabelValues(s, pod).Observe(v)
					}
				}
			}
		}
		return f.registry.Gather()
	}
}

// TestOneQueryForManyIsWhatEachWouldHaveGot asks a real Prometheus both ways:
// observations are the same to the last bit, whatever services are called.
func TestOneQueryForManyIsWhatEachWouldHaveGot(t *testing.T) {
	s := prom.New(t.TempDir(), prom.Options{ScrapeInterval: time.Second})
	require.NoError(t, s.Start())
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	services := []string{"checkout", "check.out", "check-out", "late", "a|b", "a", "b", `"quoted"`, `back\slash`, "new\nline", "ünïcode ☃",
		"sum(", ".*", "5..", "{}", "v2", "200", `'`, "`", "requests_total", "service"}
	f := newFleet(services)
	now := time.Now()
	began := now.Add(-8 * time.Minute)
	_, err := s.Backfill(t.Context(), prom.Past{Job: "shop", Instance: "one", From: began, To: now, Gather: f.gather(began)})
	require.NoError(t, err)

	const of = `{service="{{ .Service }}"`
	latency := func(histogram, slower, control string) verifier.Signal {
		return verifier.Signal{LatencySource: &verifier.LatencySource{Server: "main", Histogram: histogram, SlowerThan: slower, Control: control}}
	}
	value := func(query string) verifier.Signal {
		return verifier.Signal{ValueSource: &verifier.ValueSource{Server: "main", Query: query}}
	}
	ratio := func(bad, total string, control *verifier.RatioControl) verifier.Signal {
		return verifier.Signal{RatioSource: &verifier.RatioSource{Server: "main", Bad: bad, Total: total, Control: control}}
	}
	for name, c := range map[string]struct {
		signal verifier.Signal
		shared string // what the queries for many begin with; "" where there are none
	}{
		"ratio":        {ratio(`requests_total`+of+`,code=~"5.."}`, `requests_total`+of+`}`, nil), `sum by (service) (increase(requests_total{service=~"`},
		"of a version": {ratio(`requests_total`+of+`,version="{{ .Version }}",code="500"}`, `requests_total`+of+`,version="{{ .Version }}"}`, nil), `sum by (service, version) (increase(`},
		"beside a pod": {ratio(`requests_total`+of+`,pod="0",code="500"}`, `requests_total`+of+`,pod="0"}`, &verifier.RatioControl{Bad: `requests_total` + of + `,pod="1",code="500"}`, Total: `requests_total` + of + `,pod="1"}`}), `sum by (service) (increase(`},
		"beside the others": {ratio(`requests_total`+of+`,code="500"}`, `requests_total`+of+`}`, &verifier.RatioControl{Bad: `requests_total{service!="{{ .Service }}",code="500"}`,
			Total: `requests_total{service!="{{ .Service }}"}`}), `sum by (service) (increase(`},
		"literals":         {ratio(`requests_total`+of+`,code=~"5..",job!="sum(increase(checkout[1m]))"}`, `requests_total`+of+`,pod=~"0|1",job!="{{ .Service }}"}`, nil), ""},
		"traffic":          {verifier.Signal{TrafficSource: &verifier.TrafficSource{Server: "main", Total: `requests_total` + of + `}`}}, `sum by (service) (rate(`},
		"classic":          {latency(`classic_seconds`+of+`}`, "300ms", ""), `sum by (service) (increase(classic_seconds_bucket{`},
		"classic p90":      {latency(`classic_seconds`+of+`}`, "p90", ""), `sum by (service) (increase(classic_seconds_bucket{`},
		"native":           {latency(`native_seconds`+of+`}`, "p90", ""), `histogram_fraction(`},
		"native beside":    {latency(`native_seconds`+of+`,pod="0"}`, "200ms", `native_seconds`+of+`,pod="1"}`), ``},
		"never seen":       {latency(`never_seconds`+of+`}`, "200ms", ""), `(histogram_fraction(0.2, +Inf, sum by (service) (`},
		"value":            {value(`sum(rate(requests_total` + of + `,code="500"}[10s])) / sum(rate(requests_total` + of + `}[10s]))`), `sum by (service) (rate(`},
		"max":              {value(`max(increase(requests_total` + of + `}[20s])) - min(increase(requests_total` + of + `}[20s]))`), `max by (service) (increase(`},
		"quantile":         {value(`histogram_quantile(0.9, sum(rate(native_seconds` + of + `}[20s])))`), `histogram_quantile(0.9, sum by (service) (`},
		"of one's own":     {value(`sum(rate(requests_total` + of + `}[10s])) or vector(0)`), ``},
		"several series":   {value(`sum by (pod) (rate(requests_total` + of + `}[10s]))`), ``},
		"in single quotes": {value(`count(rate(requests_total{code='500',service='{{ .Service }}'}[10s]))`), `count by (service) (`},
	} {
		t.Run(name, func(t *testing.T) {
			c.signal.Name = name
			out := &ledger{}
			m, err := promql.New([]promql.Server{{Name: "main", URL: s.URL(), RoundTripper: out}}, nil)
			require.NoError(t, err)
			const step = 10 * time.Second
			to := now.UTC().Truncate(step)
			from, middle := to.Add(-30*step), to.Add(-7*step)
			plans := make([]verifier.Plan, len(services))
			apart := make([][]verifier.Observation, len(services))
			target := func(i int) verifier.Target {
				return verifier.Target{Service: services[i], Environment: "production", Version: fmt.Sprintf("v%d", 2-i%2)}
			}
			for i := range services {
				plans[i], err = m.Prepare(t.Context(), c.signal, target(i), step, began, to)
				if err != nil {
					require.Contains(t, services[i], "`", err.Error())
				}
				apart[i], err = m.History(t.Context(), c.signal, target(i), plans[i], step, from, to)
				if err != nil {
					apart[i] = nil
				}
			}
			asked := len(out.exprs)
			together := make([][]verifier.Observation, len(services))
			for _, part := range [][2]time.Time{{from, middle}, {middle, to}} {
				var wg sync.WaitGroup
				for i := range services {
					wg.Go(func() {
						together[i] = append(together[i], m.Measure(t.Context(), c.signal, target(i), plans[i], step, part[0], part[1])...)
					})
				}
				wg.Wait()
			}
			shared, measured := false, 0
			for _, expr := range out.exprs[asked:] {
				shared = shared || c.shared != "" && strings.HasPrefix(expr, c.shared)
			}
			for i := range services {
				require.Equal(t, apart[i], together[i], "%q", services[i])
				for _, o := range together[i] {
					if o.Outcome == verifier.Measured {
						measured++
					}
				}
			}
			t.Logf("%d queries instead of %d, %d of %d measured", len(out.exprs)-asked, 2*len(services), measured, 30*len(services))
			require.Equal(t, c.shared != "", shared, out.exprs[asked:])
		})
	}
}
