package main

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/prom"
	"github.com/postflight/postflight/cmd/demo/internal/world"
)

// TestInitFindsWhatThereIs asks a real Prometheus that holds two days of every
// kind of server that init knows, and measures each proposed signal.
func TestInitFindsWhatThereIs(t *testing.T) {
	t.Parallel()
	binary := os.Getenv(world.BinaryVariable)
	if binary == "" {
		t.Fatalf("%s is not set: make test sets it", world.BinaryVariable)
	}
	server := pastOf(t, "testdata/expositions.prom", 48*time.Hour)
	dir := t.TempDir()
	file := filepath.Join(dir, "postflight.yml")
	lines := strings.Split(ofPage(t, "start.md", "```console\n./postflight init "), "\n")
	command(t, dir, binary, append([]string{"init"}, strings.Fields(strings.Replace(lines[0], "http://127.0.0.1:9090", server.URL(), 1))...)...)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	token, err := os.ReadFile(filepath.Join(dir, "secrets", "pipeline"))
	require.NoError(t, err)
	require.Regexp(t, "^[0-9a-f]{48}$", string(token), "no newline, for scripts that read it as it is")
	require.Equal(t, "./postflight check config --online postflight.yml", lines[1])
	said := command(t, dir, binary, strings.Fields(lines[1])[1:]...)
	sample := strings.Split(ofPage(t, "start.md", "```text\npolicy shop, "), "\n")
	require.Contains(t, shape(said), strings.Replace(shape(sample[1]), "N days", "N hours", 1), "what docs/start.md shows of it, with two days of history in place of seven")

	kinds := []string{"istio-destination", "linkerd", "envoy", "nginx-ingress", "nginx-plus", "nginx-vts", "traefik@docker", "kong", "kong-2", "haproxy", "otel-http",
		"otel-http-old", "otel-grpc", "micrometer", "client-library", "dotnet", "client-histogram", "flask", "django", "grpc", "targetgroup/aws-alb/73e2d6bc24d8a067"}
	without := []string{"nginx-plus", "nginx-vts", "haproxy"} // no histogram
	for _, service := range kinds {
		require.Contains(t, string(text), "match: { service: '"+service+"' }")
		answers := policyOf(t, said, ", as of "+service+" in production:")
		require.Contains(t, answers, "signal errors: ok: now 0.", "%s", service)
		if !slices.Contains(without, service) {
			require.Contains(t, answers, "signal latency: ok: now ", "%s", service)
		}
	}
	require.Contains(t, policyOf(t, said, "policy istio, as of istio in production:"), "signal errors: ok: now 0.", "for all others")
	require.Contains(t, string(text), "services by the label destination_canonical_service: reviews (", "the busiest first")
	require.NotContains(t, said, "hold nothing", "no gaps at the proposed steps")

	again := exec.Command(binary, "init", "--prometheus", server.URL(), "--config.file", file)
	out, err := again.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "is there already")
	one := command(t, dir, binary, "init", "--prometheus", server.URL(), "--config.file=-", "--service=envoy")
	require.Contains(t, one, "envoy_cluster_upstream_rq_xx")
	require.NotContains(t, one, "kong_http_status")

	require.NoError(t, server.Stop())
	cmd := exec.Command(binary, "check", "config", "--online", file)
	out, err = cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, shape(string(out)), shape(sample[2]), "what docs/start.md shows where Prometheus is down")
}

func command(t *testing.T, dir, binary string, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	require.NoError(t, err, "%v: %s%s", args, out, told.String())
	return string(out)
}

// policyOf returns what was said about one policy.
func policyOf(t *testing.T, said, headline string) string {
	t.Helper()
	_, rest, ok := strings.Cut(said, headline+"\n")
	require.True(t, ok, "%q in\n%s", headline, said)
	if end := strings.Index(rest, "\npolicy "); end >= 0 {
		return rest[:end]
	}
	return rest
}

// pastOf is a Prometheus with a past of the series in a file, whose values are
// what counters gain in a minute.
func pastOf(t *testing.T, file string, long time.Duration) *prom.Server {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(f)
	require.NoError(t, err)
	server := prom.New(t.TempDir(), prom.Options{ScrapeInterval: 15 * time.Second})
	require.NoError(t, server.Start())
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	now := time.Now()
	random := rand.New(rand.NewPCG(1, 2))
	gained := map[*dto.Metric]float64{} // in minutes of the usual
	_, err = server.Backfill(context.Background(), prom.Past{
		Job: "shop", Instance: "10.0.0.1:9090", From: now.Add(-long), To: now,
		Gather: func(time.Time) ([]*dto.MetricFamily, error) {
			var out []*dto.MetricFamily
			for _, family := range families {
				grown := &dto.MetricFamily{Name: family.Name, Type: family.Type}
				for _, m := range family.Metric {
					gained[m] += 0.25 * (0.9 + 0.2*random.Float64())
					grown.Metric = append(grown.Metric, grow(m, gained[m], 0.95+0.1*random.Float64()))
				}
				out = append(out, grown)
			}
			return out, nil
		},
	})
	require.NoError(t, err)
	return server
}

// grow is a metric after so many minutes.
func grow(m *dto.Metric, minutes, noise float64) *dto.Metric {
	out := &dto.Metric{Label: m.Label}
	times := func(v float64) *float64 { v *= minutes; return &v }
	counts := func(v uint64) *uint64 { n := uint64(float64(v) * minutes); return &n }
	switch {
	case m.Counter != nil:
		out.Counter = &dto.Counter{Value: times(m.Counter.GetValue())}
	case m.Gauge != nil:
		v := m.Gauge.GetValue() * noise
		out.Gauge = &dto.Gauge{Value: &v}
	case m.Histogram != nil:
		out.Histogram = &dto.Histogram{SampleCount: counts(m.Histogram.GetSampleCount()), SampleSum: times(m.Histogram.GetSampleSum())}
		for _, b := range m.Histogram.Bucket {
			out.Histogram.Bucket = append(out.Histogram.Bucket, &dto.Bucket{UpperBound: b.UpperBound, CumulativeCount: counts(b.GetCumulativeCount())})
		}
	}
	return out
}
