package prom_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/prom"
)

func start(t *testing.T) *prom.Server {
	t.Helper()
	s := prom.New(t.TempDir(), prom.Options{})
	require.NoError(t, s.Start())
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	return s
}

func client(t *testing.T, s *prom.Server) v1.API {
	t.Helper()
	c, err := api.NewClient(api.Config{Address: s.URL()})
	require.NoError(t, err)
	return v1.NewAPI(c)
}

func query(t *testing.T, s *prom.Server, q string) model.Vector {
	t.Helper()
	v, warnings, _, err := client(t, s).Query(t.Context(), q, time.Now())
	require.NoError(t, err, q)
	require.Empty(t, warnings)
	return v.(model.Vector)
}

func TestThePastGoesOnInTheScrapes(t *testing.T) {
	s := start(t)
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total"})
	latency := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "latency_seconds", Buckets: []float64{0.5, 1}, NativeHistogramBucketFactor: 1.1,
	})
	registry.MustRegister(requests, latency)
	target := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer target.Close()
	address := strings.TrimPrefix(target.URL, "http://")

	now := time.Now()
	next, err := s.Backfill(t.Context(), prom.Past{
		Job: "shop", Instance: address, From: now.Add(-2 * time.Minute), To: now,
		Gather: func(time.Time) ([]*dto.MetricFamily, error) {
			requests.Inc()
			latency.Observe(0.7)
			return registry.Gather()
		},
	})
	require.NoError(t, err)
	require.WithinDuration(t, now, next, 250*time.Millisecond)

	s.Scrape("shop", address)
	require.Eventually(t, func() bool { return len(query(t, s, `up == 1`)) == 1 }, 5*time.Second, 50*time.Millisecond)
	requests.Inc()

	require.Empty(t, query(t, s, `resets(requests_total[3m]) > 0`))
	require.Eventually(t, func() bool {
		return query(t, s, `requests_total`)[0].Value == 481
	}, 5*time.Second, 50*time.Millisecond)
	for name, series := range map[string]int{
		"requests_total": 1, "latency_seconds_bucket": 3, "latency_seconds_count": 1, "latency_seconds_sum": 1, "latency_seconds": 1,
	} {
		require.Len(t, query(t, s, name), series, "%s: scraped and written series must be the same", name)
		require.Len(t, query(t, s, `count_over_time(`+name+`[1m]) > 100`), series, name)
	}
	require.InDelta(t, 240, float64(query(t, s, `histogram_count(increase(latency_seconds[1m]))`)[0].Value), 20)
	require.InDelta(t, 1, float64(query(t, s, `histogram_fraction(0.5, 1, increase(latency_seconds[1m]))`)[0].Value), 0.01)
}

func TestStoppedServerRefusesAndComesBackWithItsData(t *testing.T) {
	s := start(t)
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "one"}, func() float64 { return 1 }))
	now := time.Now()
	_, err := s.Backfill(t.Context(), prom.Past{
		Job: "shop", Instance: "gone:1", From: now.Add(-time.Minute), To: now,
		Gather: func(time.Time) ([]*dto.MetricFamily, error) { return registry.Gather() },
	})
	require.NoError(t, err)
	address := s.URL()

	require.NoError(t, s.Stop())
	_, _, _, err = client(t, s).Query(t.Context(), "one", now)
	require.ErrorContains(t, err, "refused")
	_, err = s.Backfill(context.Background(), prom.Past{Instance: "gone:1"})
	require.ErrorContains(t, err, "prometheus is stopped")

	require.NoError(t, s.Start())
	require.Equal(t, address, s.URL())
	require.Len(t, query(t, s, "one"), 1)
	info, err := client(t, s).Buildinfo(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, info.Version)
}
