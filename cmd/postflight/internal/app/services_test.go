package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var deployedAt = time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC)

// verification is one of a service, finished at a minute, with one signal.
func verification(service string, minute int, state verifier.State) verifier.Verification {
	at := deployedAt.Add(time.Duration(minute) * time.Minute)
	v := verifier.Verification{
		State: state, ClosesAt: at.Add(time.Hour),
		Deployment: verifier.Deployment{Service: service, Environment: "production", FinishedAt: at},
		Signals: []verifier.Finding{{
			Name: "errors", State: verifier.SignalBad, Before: new(0.25), After: new(0.5), Matters: verifier.Matters{Limit: new(0.3)},
		}},
	}
	if state == verifier.StateDecided {
		v.Verdict = &verifier.Verdict{Decision: verifier.Keep, DecidedAt: at.Add(time.Hour)}
		v.Effective = verifier.Revert // a person's override
	}
	return v
}

// told are metrics as text, one a line, without the number where that is a time.
func told(t *testing.T, metrics []prometheus.Metric) (lines []string) {
	t.Helper()
	for _, m := range metrics {
		var written dto.Metric
		require.NoError(t, m.Write(&written))
		var labels []string
		for _, l := range written.GetLabel() {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		name := described.FindStringSubmatch(m.Desc().String())[1]
		lines = append(lines, fmt.Sprintf("%s %s %g", strings.TrimPrefix(name, "postflight_"), strings.Join(labels, " "), written.GetGauge().GetValue()))
	}
	return lines
}

func TestServiceMetrics(t *testing.T) {
	now := deployedAt.Add(30 * time.Minute)
	got := told(t, serviceMetrics([]verifier.Verification{
		verification("cart", 15, verifier.StateObserving), // the newest first
		verification("cart", -60, verifier.StateSuperseded),
		verification("cart", -90, verifier.StateDecided),
		verification("cart", -180, verifier.StateDecided), // an older verdict
		verification("shop", -120, verifier.StateDecided),
	}, now))
	at := func(minute int) string {
		return fmt.Sprintf("%g", float64(deployedAt.Add(time.Duration(minute)*time.Minute).Unix()))
	}
	require.Equal(t, []string{
		"service_last_deploy_timestamp_seconds environment=production service=cart " + at(15),
		"service_verification_progress_ratio environment=production service=cart 0.25",
		"signal_state environment=production service=cart signal=errors 3",
		"signal_level environment=production level=before service=cart signal=errors 0.25",
		"signal_level environment=production level=after service=cart signal=errors 0.5",
		"signal_level environment=production level=limit service=cart signal=errors 0.3",
		"service_last_verdict_timestamp_seconds decision=revert environment=production service=cart " + at(-30),
		"service_last_deploy_timestamp_seconds environment=production service=shop " + at(-120),
		"service_last_verdict_timestamp_seconds decision=revert environment=production service=shop " + at(-60),
	}, got)
}

// TestServiceMetricsAreBounded: however many services there are, and whatever
// they are called, the registry takes what is told.
func TestServiceMetricsAreBounded(t *testing.T) {
	o := configuration(t)
	b, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.ConfigFile, append(b, "metrics: { services: true, series: 10 }\n"...), 0o600))
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	url := "http://" + a.Address()
	for i := range 8 {
		status, answer := ask(t, http.MethodPost, url+"/api/v1/deployments", fmt.Sprintf(`{"service":"s-%d","environment":"production","version":"1"}`, i))
		require.Equal(t, http.StatusAccepted, status, answer)
	}
	_, text := ask(t, http.MethodGet, url+"/metrics", "")
	series, watched := 0, 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "postflight_service_last") || strings.HasPrefix(line, "postflight_service_verification") || strings.HasPrefix(line, "postflight_signal") {
			series++
		}
		if strings.HasPrefix(line, "postflight_service_verification_progress_ratio{") {
			watched++
		}
	}
	require.Equal(t, 10, series, text)
	require.Positive(t, watched)
	require.Regexp(t, `(?m)^postflight_service_series_left_out [1-9]`, text)
	require.Contains(t, text, `postflight_service_last_deploy_timestamp_seconds{environment="production",service="s-7"}`, "the newest stays")
	require.NotContains(t, text, `service="s-0"`, "what was deployed longest ago is left out")
}

// TestServiceMetricsAreForWhoMayRead: what they tell of services the pages keep
// behind access; the daemon's own metrics stay open to whoever reaches it.
func TestServiceMetricsAreForWhoMayRead(t *testing.T) {
	for _, tt := range []struct {
		services bool
		open     int
	}{{false, http.StatusOK}, {true, http.StatusUnauthorized}} {
		o := configuration(t)
		b, err := os.ReadFile(o.ConfigFile)
		require.NoError(t, err)
		b = fmt.Appendf(b, "metrics: { services: %t }\naccess: [{ name: prometheus, token_file: scrape, may: [read] }]\n", tt.services)
		require.NoError(t, os.WriteFile(o.ConfigFile, b, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(o.ConfigFile), "scrape"), []byte("token-of-prometheus"), 0o600))
		a := started(t, o)
		for token, want := range map[string]int{"": tt.open, "another": tt.open, "token-of-prometheus": http.StatusOK} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Address()+"/metrics", nil)
			require.NoError(t, err)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			answer, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, want, answer.StatusCode, "services %t, token %q", tt.services, token)
		}
		require.NoError(t, a.Stop())
	}
}
