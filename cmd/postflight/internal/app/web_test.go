package app

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestListensBeyondLoopbackOnlyWithAccess(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "localhost:9095", "[::1]:9095"} {
		require.NoError(t, checkListen(address, true, false), address)
	}
	for _, address := range []string{"0.0.0.0:9095", ":9095", "[::]:9095", "10.0.0.1:9095", "example.org:80"} {
		require.ErrorContains(t, checkListen(address, true, false), "--web.allow-insecure", address)
		require.NoError(t, checkListen(address, false, false), "with access")
		require.NoError(t, checkListen(address, true, true), "told to")
	}
	require.ErrorContains(t, checkListen("9095", true, false), "HOST:PORT")
}

func TestWebConfigWithUsersIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(file, []byte(users), 0o600))
	require.ErrorContains(t, checkWebConfig(file), "lock the intake")
	o := configuration(t)
	o.WebConfigFile = file
	_, err := New(t.Context(), o)
	require.ErrorContains(t, err, "let people and tools in by `access`", "the daemon does not start")
	require.NoError(t, os.WriteFile(file, []byte("http_server_config:\n  http2: true\n"), 0o600))
	require.NoError(t, checkWebConfig(file))
	require.Error(t, checkWebConfig(filepath.Join(t.TempDir(), "absent.yml")))
	require.NoError(t, checkWebConfig(""))
	require.Equal(t, "http", scheme(file), "there is no TLS in it")
}

// TestAccessIsNotTakenAwayBeyondLoopback reloads a configuration without
// `access` where that would let everybody in.
func TestAccessIsNotTakenAwayBeyondLoopback(t *testing.T) {
	o := configuration(t)
	b, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	o.ListenAddress = "0.0.0.0:0"
	_, err = New(t.Context(), o)
	require.ErrorContains(t, err, "--web.allow-insecure")
	require.NoError(t, os.WriteFile(o.ConfigFile, append(b, "access: [{ name: dana, token_file: token, may: [read] }]\n"...), 0o600))
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, os.WriteFile(o.ConfigFile, b, 0o600))
	require.ErrorContains(t, a.Reload(t.Context()), "--web.allow-insecure")
	status, _ := ask(t, http.MethodGet, "http://"+a.Address()+"/api/v1/verifications", "")
	require.Equal(t, http.StatusOK, status, "with the token that was in force")
}

func TestReloadIsNotForPagesFromElsewhere(t *testing.T) {
	a := started(t, configuration(t))
	defer func() { require.NoError(t, a.Stop()) }()
	for origin, want := range map[string]int{"https://evil.example": http.StatusForbidden, "": http.StatusOK} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Address()+"/-/reload", nil)
		require.NoError(t, err)
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode)
	}
}

func TestReloadNeedsOperate(t *testing.T) {
	o := configuration(t)
	b, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.ConfigFile, append(b, "access: [{ name: dana, token_file: token, may: [read, decide] }]\n"...), 0o600))
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	reload := func(token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Address()+"/-/reload", nil)
		require.NoError(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	token := a.access()[0].Token
	require.Equal(t, http.StatusUnauthorized, reload(""))
	require.Equal(t, http.StatusForbidden, reload(token))
	// SIGHUP needs no token.
	require.NoError(t, os.WriteFile(o.ConfigFile, append(b, "access: [{ name: dana, token_file: token, may: [operate] }]\n"...), 0o600))
	require.NoError(t, a.Reload(t.Context()))
	require.Equal(t, http.StatusOK, reload(token))
}

func TestExternalURLIsAnAddress(t *testing.T) {
	for _, bad := range []string{"postflight.example", "ftp://x", "https://", "https://u:p@x", "https://x/?a=b"} {
		require.ErrorContains(t, Options{ExternalURL: bad}.check(), bad)
	}
	require.NoError(t, Options{ExternalURL: "https://x/postflight/"}.check())
}

// TestTheServersLimits are those of docs/limits.md; how they hold is tested in
// package api and intake with shorter ones.
func TestTheServersLimits(t *testing.T) {
	s := newServer(Options{Log: slog.New(slog.DiscardHandler)}, nil, nil).http
	require.Equal(t, 5*time.Second, s.ReadHeaderTimeout)
	require.Equal(t, 15*time.Second, s.ReadTimeout)
	require.Equal(t, 30*time.Second, s.WriteTimeout)
	require.Equal(t, 120*time.Second, s.IdleTimeout)
	require.Equal(t, 32<<10, s.MaxHeaderBytes)
}
