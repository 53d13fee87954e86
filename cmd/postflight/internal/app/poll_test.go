package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const polled = `storage: { url: "sqlite:%[1]s/postflight.db" }
sources:
  - { name: github, format: github, secret_file: secret, poll: { repositories: [acme/shop], token_file: token, url: "%[2]s", interval: 30s } }
  - { name: alertmanager, format: alertmanager, token_file: alerts }
policies:
  - name: all
    window: 10m
    signals: [{ name: alerts, alerts: { source: alertmanager } }]
`

// deploymentsAPI answers as GitHub does, with one status each.
func deploymentsAPI(t *testing.T, at time.Time, ids ...int) string {
	t.Helper()
	mux := http.NewServeMux()
	var all []string
	for _, id := range ids {
		all = append([]string{deploymentJSON(id, at)}, all...)
		mux.HandleFunc(fmt.Sprintf("GET /repos/acme/shop/deployments/%d/statuses", id), func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "["+statusJSON(id, at)+"]")
		})
	}
	mux.HandleFunc("GET /repos/acme/shop/deployments", func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "Bearer token-of-the-poller", r.Header.Get("Authorization"))
		fmt.Fprint(w, "["+strings.Join(all, ",")+"]")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func deploymentJSON(id int, at time.Time) string {
	return fmt.Sprintf(`{"id":%d,"sha":"%040x","environment":"production","created_at":%q,"updated_at":%q}`, id, id, at.Format(time.RFC3339), at.Format(time.RFC3339))
}

func statusJSON(id int, at time.Time) string {
	return fmt.Sprintf(`{"id":%d,"state":"success","environment":"production","created_at":%q}`, id*10, at.Add(time.Duration(id)*time.Second).Format(time.RFC3339))
}

func polling(t *testing.T, api string) *App {
	t.Helper()
	dir := t.TempDir()
	for name, secret := range map[string]string{"secret": "secret-of-the-webhook", "token": "token-of-the-poller", "alerts": "token-of-alertmanager"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600))
	}
	file := filepath.Join(dir, "postflight.yml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, polled, dir, api), 0o600))
	a, err := New(t.Context(), Options{ConfigFile: file, ListenAddress: "127.0.0.1:0", Version: "test", Env: os.LookupEnv, Log: promslog.NewNopLogger()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Stop()) })
	return a
}

func posted(t *testing.T, a *App, path, body string, h http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Address()+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header = h
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

func opened(t *testing.T, a *App) []verifier.Verification {
	t.Helper()
	all, _, err := a.store.Verifications(t.Context(), verifier.Filter{Limit: 100})
	require.NoError(t, err)
	return all
}

// What the webhook brought and what was asked for is one deploy, in either
// order; what the webhook did not bring is found.
func TestPolledDeploymentsAreNotDoubled(t *testing.T) {
	at := time.Now().Add(-time.Minute).UTC()
	a := polling(t, deploymentsAPI(t, at, 1, 2))
	require.NoError(t, a.Start(t.Context()))
	require.Eventually(t, func() bool { return len(opened(t, a)) == 2 }, 20*time.Second, 20*time.Millisecond)
	for i, id := range []int{1, 2} {
		body := fmt.Sprintf(`{"deployment_status":%s,"deployment":%s,"repository":{"full_name":"acme/shop"}}`, statusJSON(id, at), deploymentJSON(id, at))
		mac := hmac.New(sha256.New, []byte("secret-of-the-webhook"))
		mac.Write([]byte(body))
		status, answer := posted(t, a, "/api/v1/hooks/github", body, http.Header{"X-Github-Event": {"deployment_status"}, "X-Github-Delivery": {fmt.Sprint("d-", i)},
			"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}})
		require.Equal(t, http.StatusOK, status, answer)
	}
	require.NoError(t, a.Reload(t.Context()), "the pollers begin anew, and ask at once")
	require.Len(t, opened(t, a), 2)
	for _, v := range opened(t, a) {
		require.Equal(t, "github", v.Deployment.Source)
	}
}

// An alert that Alertmanager sends is evidence of the verification that runs.
func TestAlertsAreEvidence(t *testing.T) {
	at := time.Now().Add(-4 * time.Minute).UTC()
	a := polling(t, deploymentsAPI(t, at, 1))
	alert := fmt.Sprintf(`{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"HighErrorRate","service":"acme/shop","environment":"production"},"startsAt":%q,"fingerprint":"a"}]}`,
		at.Add(30*time.Second).Format(time.RFC3339))
	require.NoError(t, a.store.NoteAlerts(t.Context(), "alertmanager", nil, at.Add(-time.Hour)))
	require.NoError(t, a.Start(t.Context()))
	status, answer := posted(t, a, "/api/v1/hooks/alertmanager", alert, http.Header{"Authorization": {"Bearer token-of-alertmanager"}})
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, answer, "1 firing and 0 resolved noted")
	require.Eventually(t, func() bool {
		all := opened(t, a)
		if len(all) != 1 {
			return false
		}
		e, err := a.store.Evidence(t.Context(), all[0].ID)
		require.NoError(t, err)
		for _, s := range e.Signals {
			for _, o := range s.Observations {
				if o.Bad == 1 && o.Message == "firing: HighErrorRate" {
					return true
				}
			}
		}
		return false
	}, 40*time.Second, 50*time.Millisecond)
}
