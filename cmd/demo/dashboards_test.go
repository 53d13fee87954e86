package main

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/dashboards"
)

// dashboardsHaveData asks Prometheus, which scrapes postflight as well, every
// query of the dashboard. An alert has data only while it fires, so of its
// query every metric must have some.
func dashboardsHaveData(t *testing.T, w *world.World) {
	expressions, err := dashboards.Expressions()
	require.NoError(t, err)
	panels, alerts := 0, 0
	for _, e := range expressions {
		query := e.Query(time.Minute)
		t.Run(e.Where, func(t *testing.T) {
			if e.File == dashboards.OverviewFile {
				panels++
				require.NotEmpty(t, ask(t, w, query), "%s has no data", query)
				return
			}
			alerts++
			ask(t, w, query)
			for _, metric := range dashboards.Metrics(e.Expr) {
				require.NotEmpty(t, ask(t, w, metric), "%s has no data", metric)
			}
		})
	}
	require.Positive(t, panels)
	require.Positive(t, alerts)
	t.Logf("%d queries of the dashboard have data, and all metrics of %d alerts", panels, alerts)
}

func ask(t *testing.T, w *world.World, query string) model.Vector {
	t.Helper()
	client, err := api.NewClient(api.Config{Address: w.Prometheus.URL()})
	require.NoError(t, err)
	value, _, _, err := v1.NewAPI(client).Query(t.Context(), query, time.Now())
	require.NoError(t, err, query)
	vector, ok := value.(model.Vector)
	require.True(t, ok, "%s gives a %s", query, value.Type())
	return vector
}
