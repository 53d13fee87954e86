package world

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

func TestConfigurationLoads(t *testing.T) {
	name, err := writeConfig(t.TempDir(), 30*time.Second, settings{
		Prometheus: "http://127.0.0.1:9090", Desk: "http://127.0.0.1:9200", Pipeline: "http://127.0.0.1:9300", Brake: 3, Independent: true,
		Services: []serviceSettings{{"checkout", "http://127.0.0.1:8080"}, {"search", "http://127.0.0.1:8081"}},
	})
	require.NoError(t, err)
	config, err := configs.Load(name, func(string) (string, bool) { return "", false })
	require.NoError(t, err)

	require.Len(t, config.Policies, 2)
	policy, ok := verifier.PolicyFor(config.Policies, "search", Environment)
	require.True(t, ok)
	require.Equal(t, verifier.Enforce, policy.Mode)
	require.Equal(t, 30*time.Second, policy.Window.D())
	require.Equal(t, History, policy.History.D())
	require.Equal(t, time.Second, policy.Step.D())
	require.Equal(t, "http://127.0.0.1:8081/healthz", policy.Signals[3].ProbeSource.Steps[0].URL)
	require.Len(t, policy.Decisive(), 3)
	require.Equal(t, verifier.AmbiguousIndependent, policy.OnAmbiguous)
	require.Equal(t, 3, config.Safety.Brake.Reverts)
	require.Equal(t, `http_requests_total{service!="{{ .Service }}"}`, policy.Signals[5].TrafficSource.Control, "the other shops")
	require.NotNil(t, policy.Signals[6].RatioSource.Control)
}

func TestAShopAloneHasNoControlGroup(t *testing.T) {
	name, err := writeConfig(t.TempDir(), 30*time.Second, settings{
		Prometheus: "http://127.0.0.1:9090", Desk: "http://127.0.0.1:9200", Pipeline: "http://127.0.0.1:9300", Brake: 50,
		Services: []serviceSettings{{"checkout", "http://127.0.0.1:8080"}},
	})
	require.NoError(t, err)
	config, err := configs.Load(name, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	require.NotEmpty(t, config.Policies[0].Signals)
	for _, s := range config.Policies[0].Signals {
		require.False(t, s.HasControl(), s.Name)
	}
}
