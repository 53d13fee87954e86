package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// shared is the configuration of a replica: database, folder, site.
const shared = `
storage: { url: %q }
sources:
  - { name: pipeline, format: native, token_file: token }
receivers:
  - { name: ci, webhook: { url: "%[2]s/verdicts", secret_file: token } }
rollbacks:
  - { name: back, webhook: { url: "%[2]s/rollback", secret_file: token } }
policies:
  - name: all
    mode: enforce
    window: 5s
    interval: 1s
    step: 1s
    warmup: 1s
    rollback: back
    receivers: [ci]
    signals:
      - name: smoke
        probe: { steps: [{ get: "%[2]s/healthz" }] }
`

// deployed is a service that is probed, and what is sent about it.
type deployed struct {
	*httptest.Server
	bad  atomic.Bool
	mu   sync.Mutex
	sent map[string][]string // bodies by path
}

func newDeployed(t *testing.T) *deployed {
	t.Helper()
	d := &deployed{sent: map[string][]string{}}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			if d.bad.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sent[r.URL.Path] = append(d.sent[r.URL.Path], string(body))
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(d.Close)
	return d
}

// got counts the calls of a path whose body contains something.
func (d *deployed) got(path, containing string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, body := range d.sent[path] {
		if strings.Contains(body, containing) {
			n++
		}
	}
	return n
}

// TestReplicas runs two daemons on one database: each deploy gets one verdict
// and one call, whichever of them does it, and both tell the same.
func TestReplicas(t *testing.T) {
	site := newDeployed(t)
	dir, database := t.TempDir(), pgtest.Database(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600))
	o := configuration(t)
	o.ConfigFile = filepath.Join(dir, "postflight.yml")
	require.NoError(t, os.WriteFile(o.ConfigFile, fmt.Appendf(nil, shared, database, site.URL), 0o600))
	replicas := [2]*App{started(t, o), started(t, o)}
	stopped := [2]bool{}
	stop := func(i int) {
		if !stopped[i] {
			stopped[i] = true
			require.NoError(t, replicas[i].Stop())
		}
	}
	defer stop(0)
	defer stop(1)
	ask := func(replica int, method, path, body string) string {
		status, answer := ask(t, method, "http://"+replicas[replica].Address()+path, body)
		require.Less(t, status, 300, answer)
		return answer
	}
	effective := func(replica int, version string, want verifier.Decision) func() bool {
		return func() bool {
			var page struct {
				Verifications []struct {
					Effective verifier.Decision `json:"effective"`
				} `json:"verifications"`
			}
			require.NoError(t, json.Unmarshal([]byte(ask(replica, http.MethodGet, "/api/v1/verifications?version="+version, "")), &page))
			return len(page.Verifications) == 1 && page.Verifications[0].Effective == want
		}
	}
	deploy := func(replica int, version string) {
		ask(replica, http.MethodPost, "/api/v1/deployments",
			`{"service":"checkout","environment":"production","version":"`+version+`","deployment_id":"d-`+version+`"}`)
	}
	deploy(0, "1")
	deploy(1, "1") // the pipeline's retry reaches the other one
	require.Eventually(t, effective(1, "1", verifier.Keep), 20*time.Second, 50*time.Millisecond)

	site.bad.Store(true)
	deploy(1, "2")
	require.Eventually(t, effective(0, "2", verifier.Revert), 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return site.got("/rollback", `"target_version":"1"`) == 1 }, 10*time.Second, 20*time.Millisecond)

	// One of them goes: the other confirms the rollback alone.
	stop(1)
	site.bad.Store(false)
	ask(0, http.MethodPost, "/api/v1/deployments", `{"service":"checkout","environment":"production","version":"1","deployment_id":"d-3","rollback":true}`)
	require.Contains(t, ask(0, http.MethodGet, "/api/v1/verifications?version=2", ""), `"action":{"state":"confirmed"`)
	require.Eventually(t, func() bool { return site.got("/verdicts", `"type":"verification.decided"`) == 2 }, 10*time.Second, 20*time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	require.Equal(t, 2, site.got("/verdicts", `"type":"verification.decided"`), "each verdict is told once")
	require.Equal(t, 1, site.got("/rollback", ""), "one call")
}
