package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestAServersQueriesAtOnce: a Prometheus is asked as many at once as its
// configuration says, more than another host or fewer.
func TestAServersQueriesAtOnce(t *testing.T) {
	for _, most := range []int{2, 7} {
		var now, highest atomic.Int32
		full := make(chan struct{})
		var once sync.Once
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n := now.Add(1)
			defer now.Add(-1)
			for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
			}
			if int(n) == most {
				once.Do(func() { close(full) })
			}
			<-full // nobody goes before as many as may are there
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
			time.Sleep(time.Millisecond)
		}))
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("a-secret-of-the-tests\n"), 0o600))
		file := filepath.Join(dir, "postflight.yml")
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
sources: [{ name: pipeline, format: native, token_file: secret }]
prometheus: [{ name: main, url: "%s", max_concurrent: %d }]
policies: [{ name: all, signals: [{ name: queue, value: { query: up } }] }]
`, s.URL, most), 0o600))
		cur, err := load(Options{ConfigFile: file, Env: os.LookupEnv}, newLimiters(), nil, &App{metrics: newMetrics()})
		require.NoError(t, err)
		signal, to := cur.config.Policies[0].Signals[0], time.Unix(1_700_000_040, 0)
		var wg sync.WaitGroup
		for i := range most {
			wg.Go(func() {
				plan := verifier.Plan{Value: fmt.Sprintf("up + %d", i)}
				got := cur.prometheus.Measure(t.Context(), signal, verifier.Target{Service: "a"}, plan, time.Minute, to.Add(-time.Minute), to)
				require.Equal(t, "no samples", got[0].Message)
			})
		}
		wg.Wait()
		for i := range 40 {
			wg.Go(func() {
				plan := verifier.Plan{Value: fmt.Sprintf("up - %d", i)}
				cur.prometheus.Measure(t.Context(), signal, verifier.Target{Service: "a"}, plan, time.Minute, to.Add(-time.Minute), to)
			})
		}
		wg.Wait()
		require.Equal(t, int32(most), highest.Load())
		cur.close()
		s.Close()
	}
}

// A server that no configuration was written of yet, as init asks it, is asked
// all the same.
func TestAServerWithoutSettingsIsAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	release, err := newLimiter().upTo(0)(ctx, "prometheus.example")
	require.NoError(t, err)
	release()
}
