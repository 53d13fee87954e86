package world

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/desk"
	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/prom"
	"github.com/postflight/postflight/cmd/demo/internal/shop"
)

// stage is a world without its daemon.
func stage(t *testing.T, services ...Service) *World {
	t.Helper()
	w := &World{options: Options{Services: services, Rate: 100}, Shops: map[string]*shop.Shop{}, dir: t.TempDir(), stop: func() {}}
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	var err error
	w.Prometheus = prom.New(t.TempDir(), prom.Options{})
	require.NoError(t, w.Prometheus.Start())
	w.Desk, err = desk.Open()
	require.NoError(t, err)
	w.Pipeline, err = pipeline.Open(pipeline.Options{Environment: Environment, Token: pipelineToken, Secret: hookSecret})
	require.NoError(t, err)
	begun := time.Now()
	require.NoError(t, w.openShops(t.Context()))
	t.Logf("%d shops with %s of past each in %s", len(services), History+pastBeyond, time.Since(begun).Round(time.Millisecond))
	return w
}

func (w *World) number(ctx context.Context, t *testing.T, query string, at time.Time) float64 {
	t.Helper()
	c, err := api.NewClient(api.Config{Address: w.Prometheus.URL()})
	require.NoError(t, err)
	v, _, _, err := v1.NewAPI(c).Query(ctx, query, at)
	require.NoError(t, err, query)
	vector, ok := v.(model.Vector)
	require.True(t, ok, query)
	require.Len(t, vector, 1, query)
	return float64(vector[0].Value)
}

func TestShopsLiveOnFromTheirPast(t *testing.T) {
	w := stage(t, Service{Name: "checkout"}, Service{Name: "native", Histograms: shop.Native}, Service{Name: "classic", Histograms: shop.Classic})
	joined := time.Now()
	time.Sleep(6 * time.Second)
	now := time.Now()

	for _, at := range []time.Time{joined.Add(-History), joined, now} {
		rate := w.number(t.Context(), t, `sum(rate(http_requests_total{service="checkout"}[5s]))`, at)
		require.InDelta(t, 100, rate, 35, "requests a second at %s", at)
	}
	require.InDelta(t, 0.005, w.number(t.Context(), t,
		`sum(increase(http_requests_total{service="checkout",code=~"5.."}[40m])) / sum(increase(http_requests_total{service="checkout"}[40m]))`, now), 0.001)
	require.InDelta(t, 30, w.number(t.Context(), t, `sum(rate(orders_total{service="checkout"}[10m]))`, now), 3)
	require.Zero(t, w.number(t.Context(), t, `sum(resets(http_requests_total{service="checkout"}[45m]))`, now))

	slow := func(service, query string, at time.Time) float64 {
		return w.number(t.Context(), t, fmt.Sprintf(query, service), at)
	}
	const native = `histogram_fraction(0.273, Inf, sum(increase(http_request_duration_seconds{service=%q}[4s])))`
	for _, service := range []string{"checkout", "native"} {
		require.InDelta(t, 0.05, slow(service, `histogram_fraction(0.273, Inf, sum(increase(http_request_duration_seconds{service=%q}[40m])))`, joined), 0.01)
		require.InDelta(t, 0.06, slow(service, native, now), 0.05, "the share of slow requests must not jump where the past ends")
	}
	const classic = `1 - sum(rate(http_request_duration_seconds_bucket{service=%[1]q,le="0.25"}[4s])) / sum(rate(http_request_duration_seconds_count{service=%[1]q}[4s]))`
	require.InDelta(t, 0.07, slow("classic", classic, joined), 0.05)
	require.InDelta(t, 0.07, slow("classic", classic, now), 0.05)
	t.Run("beside the other shops", func(t *testing.T) { controlGroupsAreMeasured(t, w, now.Add(-time.Second)) })
}

func TestReleasesBehaveAsTheySay(t *testing.T) {
	w := stage(t, Service{Name: "errors"}, Service{Name: "slow"})
	require.NoError(t, w.Shops["errors"].Deploy(Errors))
	require.NoError(t, w.Shops["slow"].Deploy(Slow))
	require.ErrorContains(t, w.Shops["slow"].Deploy("9.9"), `there is no release "9.9"`)
	time.Sleep(6 * time.Second)
	now := time.Now()
	require.InDelta(t, 0.08, w.number(t.Context(), t,
		`sum(increase(http_requests_total{service="errors",code=~"5.."}[4s])) / sum(increase(http_requests_total{service="errors"}[4s]))`, now), 0.05)
	require.Greater(t, w.number(t.Context(), t,
		`histogram_fraction(0.273, Inf, sum(increase(http_request_duration_seconds{service="slow"}[4s])))`, now), 0.4)

	res, err := http.Get(w.Shops["errors"].URL() + "/healthz")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "a faulty release is healthy in its own eyes")
	require.NoError(t, res.Body.Close())
}
