package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A token stands beside the address that it is for: whoever names another one,
// by a flag or in the environment, does not get it.
func TestTheConfiguredTokenGoesToItsOwnDaemonOnly(t *testing.T) {
	dir := t.TempDir()
	sent := "nobody was asked"
	handler := func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		answer(t, w, verificationPage{})
	}
	own := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(own.Close)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("of-my-own\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "client.yml"), []byte("url: "+own.URL+"\ntoken_file: token\ncontexts: [{ name: bare, url: \""+own.URL+"\" }]\n"), 0o600))
	t.Setenv(clientConfigVariable, filepath.Join(dir, "client.yml"))

	ask := func(args ...string) string {
		t.Helper()
		s, out, errs := buffers()
		require.Equal(t, 0, run(t.Context(), append([]string{"list"}, args...), s), "%s%s", out, errs)
		return sent
	}
	require.Equal(t, "Bearer of-my-own", ask())
	require.Equal(t, "Bearer of-my-own", ask("--url="+own.URL+"/"))
	require.Empty(t, ask("--context=bare"))
	code, _, _ := command(t, t.Context(), handler, "list") // by --url, at another port
	require.Equal(t, 0, code)
	require.Empty(t, sent)
	t.Setenv("POSTFLIGHT_TOKEN", "of-the-environment")
	require.Equal(t, "Bearer of-the-environment", ask())
	t.Setenv("POSTFLIGHT_TOKEN", "")
	other := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(other.Close)
	t.Setenv("POSTFLIGHT_URL", other.URL)
	require.Empty(t, ask())
}
