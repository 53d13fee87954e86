package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// queues is a configuration with one of each kind of call, all to one host.
const queues = `
sources:
  - { name: pipeline, format: native, token_file: secret }
prometheus:
  - { name: main, url: "%[1]s/prometheus", timeout: 1s }
receivers:
  - { name: ci, webhook: { url: "%[1]s/verdicts", secret_file: secret } }
rollbacks:
  - { name: back, webhook: { url: "%[1]s/rollback", secret_file: secret } }
policies:
  - name: all
    mode: enforce
    window: 1m
    interval: 1s
    step: 1s
    rollback: back
    receivers: [ci]
    signals:
      - name: smoke
        probe: { steps: [{ get: "%[1]s/healthz", timeout: 400ms, expect: { within: 400ms } }] }
`

// queued loads queues for a host that answers after a time.
func queued(t *testing.T, delay time.Duration) (cur *current, l limiters, host string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(delay) }))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("a-secret-of-the-tests\n"), 0o600))
	file := filepath.Join(dir, "postflight.yml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, queues, s.URL), 0o600))
	l = newLimiters()
	cur, err := load(Options{ConfigFile: file, Env: os.LookupEnv}, l, nil, &App{metrics: newMetrics()})
	require.NoError(t, err)
	t.Cleanup(cur.close)
	return cur, l, s.Listener.Addr().String()
}

// fill takes every place for calls to a host.
func fill(t *testing.T, l *limiter, host string) {
	t.Helper()
	for range outboundPerHost {
		release, err := l.acquire(t.Context(), host)
		require.NoError(t, err)
		t.Cleanup(release)
	}
}

func (cur *current) look(ctx context.Context) verifier.Observation {
	s := cur.config.Policies[0].Signals[0]
	return cur.measurers[verifier.FromProbe].Measure(ctx, s, verifier.Target{Service: "a"}, verifier.Plan{}, time.Second, time.Now(), time.Now())[0]
}

// TestBusyLimiterFailsNoProbe looks at more services than one host may be
// asked about at once; each answer comes well within its limits.
func TestBusyLimiterFailsNoProbe(t *testing.T) {
	cur, l, host := queued(t, 100*time.Millisecond)
	fill(t, l.measure, host) // slow queries to the same host hold no probe up
	const services = 8 * outboundPerHost
	seen := make([]verifier.Observation, services)
	var wg sync.WaitGroup
	for i := range seen {
		wg.Go(func() { seen[i] = cur.look(t.Context()) })
	}
	wg.Wait()
	for _, o := range seen {
		require.Equal(t, verifier.Measured, o.Outcome, o.Message)
		require.Zero(t, o.Bad, o.Message)
	}
}

func TestProbeThatWaitsInVainIsNotBad(t *testing.T) {
	cur, l, host := queued(t, 0)
	fill(t, l.probe, host)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	o := cur.look(ctx)
	require.Equal(t, verifier.Failed, o.Outcome)
	require.Contains(t, o.Message, ": not sent: waited ")
	require.Contains(t, o.Message, " for one of 4 calls to "+host)
}

// TestRollbackWaitsInNoQueue: between the guards' check and the call nothing
// may pass, or a newer deploy is undone.
func TestRollbackWaitsInNoQueue(t *testing.T) {
	cur, l, host := queued(t, 0)
	for _, busy := range []*limiter{l.probe, l.measure, l.tell} {
		fill(t, busy, host)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	sent := cur.rollbacks["back"].Send(ctx, verifier.Delivery{ID: "rv_1", Body: []byte(`{}`)})
	require.Equal(t, alerting.Delivered, sent.Outcome, sent.Err)

	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	told := cur.receivers["ci"].Send(ctx, verifier.Delivery{ID: "dl_1", Body: []byte(`{}`)})
	require.Equal(t, alerting.Retry, told.Outcome, "messages have a queue of their own")
	require.ErrorContains(t, told.Err, "waited")
}
