package app

import (
	"os"
	"path/filepath"
	"testing"

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
	require.NoError(t, os.WriteFile(file, []byte("basic_auth_users:\n  dana: $2a$10$EYUh5Bl1BQ6QQWwFLxZDVOmVaLNpcWzpvNRIrpWAhQ7ZXoIWN8RYC\n"), 0o600))
	require.ErrorContains(t, checkWebConfig(file), "lock the intake")
	require.NoError(t, os.WriteFile(file, []byte("http_server_config:\n  http2: true\n"), 0o600))
	require.NoError(t, checkWebConfig(file))
	require.Error(t, checkWebConfig(filepath.Join(t.TempDir(), "absent.yml")))
	require.NoError(t, checkWebConfig(""))
}

func TestExternalURLIsAnAddress(t *testing.T) {
	for _, bad := range []string{"postflight.example", "ftp://x", "https://", "https://u:p@x", "https://x/?a=b"} {
		require.ErrorContains(t, Options{ExternalURL: bad}.check(), bad)
	}
	require.NoError(t, Options{ExternalURL: "https://x/postflight/"}.check())
}
