package app

import (
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// A query that waits is one of those that wait until it is over, and then one
// that has waited.
func TestWaitsAreCounted(t *testing.T) {
	m := newMetrics()
	read := func() (waiting float64, waited uint64) {
		families, err := m.registry.Gather()
		require.NoError(t, err)
		of := map[string]*dto.MetricFamily{}
		for _, f := range families {
			of[f.GetName()] = f
		}
		for _, x := range of["postflight_upstream_wait_seconds"].GetMetric() {
			waited += x.GetHistogram().GetSampleCount()
		}
		return of["postflight_upstream_waiting"].GetMetric()[0].GetGauge().GetValue(), waited
	}
	first, second := m.waits("main"), m.waits("main")
	waiting, waited := read()
	require.Equal(t, 2.0, waiting)
	require.Zero(t, waited)
	first()
	waiting, waited = read()
	require.Equal(t, 1.0, waiting)
	require.EqualValues(t, 1, waited)
	second()
	waiting, waited = read()
	require.Zero(t, waiting)
	require.EqualValues(t, 2, waited)
}
