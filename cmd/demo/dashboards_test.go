package main

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/dashboards"
)

// shown is the time that dashboards show in these tests: what is told of a deploy
// under watch is gone once that has its verdict.
const shown = 4 * time.Minute

// dashboardsHaveData asks Prometheus, which scrapes postflight as well, every
// query of the dashboards as Grafana asks it: panels and annotations over the
// time shown, variables for the values of their label. An alert has data only
// while it fires, so of its query every metric must have some. On a machine that
// is busy scrapes fail, and then the next may bring what is missing.
func dashboardsHaveData(t *testing.T, w *world.World) {
	expressions, err := dashboards.Expressions()
	require.NoError(t, err)
	p := prometheusOf(t, w)
	deadline := time.Now().Add(limit)
	counts := map[dashboards.Kind]int{}
	for _, e := range expressions {
		query := e.Query(time.Minute)
		counts[e.Kind]++
		t.Run(e.File+" "+e.Where, func(t *testing.T) {
			switch {
			case e.Kind == dashboards.OfVariable:
				until(t, deadline, query, func() int { return len(p.values(t, e.Label, query)) })
			case e.Kind == dashboards.OfAlert:
				p.now(t, query)
				for _, metric := range dashboards.Metrics(e.Expr) {
					until(t, deadline, metric, func() int { return len(p.now(t, metric)) })
				}
			case e.Instant:
				until(t, deadline, query, func() int { return len(p.now(t, query)) })
			default:
				until(t, deadline, query, func() int { return p.over(t, query) })
			}
		})
	}
	for _, kind := range []dashboards.Kind{dashboards.OfPanel, dashboards.OfAnnotation, dashboards.OfVariable, dashboards.OfAlert} {
		require.Positive(t, counts[kind], kind)
	}
	t.Logf("have data: %v", counts)
}

// until asks again and again until a query has data.
func until(t *testing.T, deadline time.Time, query string, ask func() int) {
	t.Helper()
	for ask() == 0 {
		require.True(t, time.Now().Before(deadline), "%s has no data", query)
		time.Sleep(250 * time.Millisecond)
	}
}

// asked is a Prometheus that is asked as Grafana does it.
type asked struct{ v1.API }

func prometheusOf(t *testing.T, w *world.World) asked {
	t.Helper()
	client, err := api.NewClient(api.Config{Address: w.Prometheus.URL()})
	require.NoError(t, err)
	return asked{v1.NewAPI(client)}
}

func (a asked) now(t *testing.T, query string) model.Vector {
	t.Helper()
	value, _, _, err := a.Query(t.Context(), query, time.Now())
	require.NoError(t, err, query)
	vector, ok := value.(model.Vector)
	require.True(t, ok, "%s gives a %s", query, value.Type())
	return vector
}

// over returns how many points of a query over the time shown are numbers.
func (a asked) over(t *testing.T, query string) (points int) {
	t.Helper()
	now := time.Now()
	value, _, _, err := a.QueryRange(t.Context(), query, v1.Range{Start: now.Add(-shown), End: now, Step: time.Second})
	require.NoError(t, err, query)
	matrix, ok := value.(model.Matrix)
	require.True(t, ok, "%s gives a %s", query, value.Type())
	for _, series := range matrix {
		for _, point := range series.Values {
			if !math.IsNaN(float64(point.Value)) {
				points++
			}
		}
	}
	return points
}

func (a asked) values(t *testing.T, label, series string) model.LabelValues {
	t.Helper()
	now := time.Now()
	values, _, _, err := a.LabelValues(t.Context(), label, []string{series}, now.Add(-shown), now)
	require.NoError(t, err, series)
	return values
}
