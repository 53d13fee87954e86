package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/prom"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier/backtest"
)

// backtestConfig is what the past is judged by; tolerated is how many times the
// usual failures do no harm.
const backtestConfig = `
sources: [{ name: pipeline, format: native, token_file: token }]
prometheus: [{ name: main, url: %q }]
policies:
  - name: checkout
    match: { service: checkout, environment: production }
    window: 30m
    warmup: 2m
    history: 2d
    live_version: { query: 'shop_build_info{service="{{ .Service }}"}', label: version }
    signals:
      - name: errors
        tolerance: { relative: %s }
        ratio:
          bad: 'http_requests_total{service="{{ .Service }}",code="500"}'
          total: 'http_requests_total{service="{{ .Service }}"}'
      - name: latency
        latency: { histogram: 'http_request_duration_seconds{service="{{ .Service }}"}', slower_than: p95 }
      - name: smoke
        probe: { steps: [{ get: "http://127.0.0.1:1/healthz" }] }
`

// scrape is how often checkout was scraped: what a scrape finds happened before
// it.
const scrape = 30 * time.Second

// release is a version of checkout since a moment, with its share of failures.
type release struct {
	version string
	since   time.Time
	failing float64
}

// pastOfCheckout writes a week of checkout into a Prometheus: 300 requests a
// scrape, of which 1 in 200 fails and 1 in 25 is slow, but for what a release
// changes.
func pastOfCheckout(t *testing.T, now time.Time, releases []release) string {
	t.Helper()
	server := prom.New(t.TempDir(), prom.Options{ScrapeInterval: scrape})
	require.NoError(t, server.Start())
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"service", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Buckets: []float64{0.1, 0.25, 0.5}}, []string{"service"})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "shop_build_info"}, []string{"service", "version"})
	registry.MustRegister(requests, duration, build)
	n := 0
	_, err := server.Backfill(t.Context(), prom.Past{Job: "shop", Instance: "checkout:80", From: now.Add(-7 * 24 * time.Hour).Truncate(scrape), To: now, Gather: func(at time.Time) ([]*dto.MetricFamily, error) {
		runs := releases[0]
		for _, r := range releases {
			if !r.since.After(at) {
				runs = r
			}
		}
		build.Reset()
		build.WithLabelValues("checkout", runs.version).Set(1)
		for range 300 {
			n++
			// A sequence that spreads evenly and never repeats within the week.
			u := float64(n) * 0.6180339887498949
			code := "200"
			if u-float64(int(u)) < runs.failing {
				code = "500"
			}
			requests.WithLabelValues("checkout", code).Inc()
			if n%10 == 0 {
				took := 0.05
				if n%250 == 0 {
					took = 0.3
				}
				duration.WithLabelValues("checkout").Observe(took)
			}
		}
		return registry.Gather()
	}})
	require.NoError(t, err)
	return server.URL()
}

// backtested is as much of the report as the test looks at.
type backtested struct {
	Tallies []backtest.Tally `json:"tallies"`
	Deploys []struct {
		Version    string                      `json:"version"`
		DeployedAt time.Time                   `json:"deployed_at"`
		Verdicts   map[string]backtest.Outcome `json:"verdicts"`
	} `json:"deploys"`
	Queries int      `json:"queries"`
	Notes   []string `json:"notes"`
}

// TestBacktest judges a week that a real Prometheus holds, by deploys from a
// file and by those that the version's label tells of.
func TestBacktest(t *testing.T) {
	now := time.Now().Truncate(time.Minute)
	ago := func(days, hours int) time.Time { return now.Add(-time.Duration(24*days+hours) * time.Hour) }
	releases := []release{{"1.0", ago(9, 0), 0.005}, {"1.1", ago(3, 0), 0.005}, {"1.2", ago(2, 0), 0.04}, {"1.1", ago(2, -1), 0.005}, {"1.3", ago(1, 0), 0.005}}
	url := pastOfCheckout(t, now, releases)
	dir := t.TempDir()
	binary, err := world.Binary(t.Context(), dir)
	require.NoError(t, err)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("token", "secret-of-the-pipeline\n")
	write("postflight.yml", fmt.Sprintf(backtestConfig, url, "25%"))
	write("proposed.yml", fmt.Sprintf(backtestConfig, url, "1000%"))
	lines := "service,environment,version,deployed_at,label\n"
	for _, r := range releases[1:] {
		label := map[bool]string{true: "bad", false: "good"}[r.failing > 0.01]
		lines += fmt.Sprintf("checkout,production,%s,%s,%s\n", r.version, r.since.Add(-scrape).UTC().Format(time.RFC3339), label)
	}
	write("deploys.csv", lines)
	run := func(args ...string) (backtested, string) {
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"backtest", "--from=-4d", "--history=false", "--query-rate=100", "--placebos=20", "--output=json"}, args...)...) // #nosec G204 -- our own binary
		var out, errs bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
		require.NoError(t, cmd.Run(), errs.String())
		var r backtested
		require.NoError(t, json.Unmarshal(out.Bytes(), &r), out.String())
		return r, errs.String()
	}

	r, progress := run("--deploys=deploys.csv", "--against=proposed.yml", "--html=report.html")
	require.Len(t, r.Tallies, 2)
	current, proposed := r.Tallies[0], r.Tallies[1]
	require.Equal(t, backtest.Counts{Revert: 1}, current.Bad, "%+v", r.Deploys)
	require.Equal(t, backtest.Counts{Keep: 3}, current.Good, "%+v", r.Deploys)
	require.Equal(t, backtest.Counts{Keep: 20}, current.Placebo)
	require.Equal(t, backtest.Counts{Keep: 1}, proposed.Bad, "ten times as many failures are tolerated")
	require.Less(t, *current.MinutesToRevert, 10.0)
	require.Contains(t, strings.Join(r.Notes, "\n"), `signal "smoke": probes have no past`)
	require.Contains(t, progress, "judge placebos proposed: 20 of 20")
	require.Less(t, r.Queries, 60, "each range is read once")
	page := read(t, filepath.Join(dir, "report.html"))
	require.Contains(t, page, "<svg")
	require.NotContains(t, page, "<script")

	for _, example := range regexp.MustCompile("(?m)^\\./postflight (backtest .*)\n```\n(?:\n```text\n((?s:.*?))```)?").FindAllStringSubmatch(read(t, "../../docs/backtest.md"), -1) {
		cmd := exec.CommandContext(t.Context(), binary, append(strings.Fields(example[1]), "--query-rate=100", "--placebos=20")...) // #nosec G204 -- our own docs
		cmd.Dir = dir
		out, err := cmd.Output()
		require.NoError(t, err, example[1])
		require.Contains(t, string(out), "placebos: false reverts", example[1])
		for line := range strings.Lines(example[2]) {
			if strings.HasPrefix(line, "...") || strings.HasPrefix(line, "      ") { // left out, and the judge's own words
				continue
			}
			require.Contains(t, shape(string(out)), shape(line), "what the page shows of %s", example[1])
		}
		t.Logf("%s\n%s", example[0], out)
	}

	found, _ := run("--version-label=version")
	var versions []string
	for i, d := range found.Deploys {
		versions = append(versions, d.Version)
		require.WithinDuration(t, releases[i+1].since, d.DeployedAt, time.Minute, d.Version)
	}
	require.Equal(t, []string{"1.1", "1.2", "1.1", "1.3"}, versions)
	require.Equal(t, backtest.Counts{Keep: 3, Revert: 1}, found.Tallies[0].Deploys)
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file) // #nosec G304 -- our own files
	require.NoError(t, err)
	return string(b)
}
