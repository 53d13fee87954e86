package configs

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"
)

// TestHTTPClientConfig asks a real TLS server with what the file says.
func TestHTTPClientConfig(t *testing.T) {
	var got string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(ca, block, 0o600))

	ask := func(settings string) error {
		file := "sources: [{ name: a, format: native, token_file: secrets/pipeline }]\n" +
			"policies: [{ name: a, signals: [{ name: a, value: { query: up } }] }]\n" +
			"prometheus: [{ name: a, url: \"" + server.URL + "\", " + settings + " }]\n"
		c, err := Parse("postflight.yml", []byte(file), "testdata", testEnv)
		require.NoError(t, err)
		rt, err := config.NewRoundTripperFromConfig(c.Prometheus[0].HTTPClientConfig(), "a")
		require.NoError(t, err)
		request, err := http.NewRequest(http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		got = ""
		resp, err := rt.RoundTrip(request)
		if err == nil {
			require.NoError(t, resp.Body.Close())
		}
		return err
	}
	trusted := "tls: { ca_file: \"" + ca + "\" }"
	require.NoError(t, ask(trusted+", bearer_token_file: secrets/oncall"))
	require.Equal(t, "Bearer oncall-token-0123456789", got)
	require.NoError(t, ask("tls: { insecure_skip_verify: true }, basic_auth: { username: me, password_file: secrets/zendesk }"))
	require.Equal(t, "Basic bWU6emVuZGVzay1wYXNzd29yZC0wMTIzNDU2Nzg5", got)
	require.NoError(t, ask(trusted))
	require.Empty(t, got)
	require.ErrorContains(t, ask("timeout: 5s"), "certificate")
}
