package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatPassesForAGo: something that answers in the daemon's place lets nothing
// go, whatever it says.
func TestWhatPassesForAGo(t *testing.T) {
	const release = `{"service":"checkout","environment":"production","version":"1",`
	for name, c := range map[string]struct {
		status int
		body   string
		code   int
	}{
		"go":                  {http.StatusOK, release + `"decision":"go","checks":[{"name":"policy","state":"passed"},{"name":"freeze","state":"waived"}]}`, 0},
		"no-go":               {http.StatusOK, release + `"decision":"no-go","checks":[{"name":"policy","state":"failed"}]}`, exitNoGo},
		"neither":             {http.StatusOK, release + `"decision":"GO","checks":[{"name":"policy","state":"passed"}]}`, 1},
		"of another":          {http.StatusOK, `{"service":"cart","environment":"production","version":"1","decision":"go","checks":[{"name":"policy","state":"passed"}]}`, 1},
		"without checks":      {http.StatusOK, release + `"decision":"go"}`, 1},
		"a check failed":      {http.StatusOK, release + `"decision":"go","checks":[{"name":"policy","state":"passed"},{"name":"freeze","state":"failed"}]}`, 1},
		"a check is unknown":  {http.StatusOK, release + `"decision":"go","checks":[{"name":"policy","state":"unknown"}]}`, 1},
		"a check has no word": {http.StatusOK, release + `"decision":"go","checks":[{"name":"policy"}]}`, 1},
		"only accepted":       {http.StatusAccepted, release + `"decision":"go","checks":[{"name":"policy","state":"passed"}]}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body)) // the client is there
			}))
			t.Cleanup(server.Close)
			var out, problems bytes.Buffer
			code := run(t.Context(), []string{"gate", "--service", "checkout", "--environment", "production", "--version", "1", "--url", server.URL}, streams{out: &out, err: &problems})
			require.Equal(t, c.code, code, out.String()+problems.String())
		})
	}
}
