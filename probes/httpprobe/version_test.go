package httpprobe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/httpprobe"
	"github.com/postflight/postflight/verifier"
)

func TestLiveVersions(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		body, json string
		want, err  string
	}{
		"by path":         {200, `{"build":{"version":"1.41.3"}}`, "$.build.version", "1.41.3", ""},
		"whole answer":    {200, "1.41.3\n", "", "1.41.3", ""},
		"not there":       {200, `{"build":{}}`, "$.build.version", "", "live_version: $.build.version selects 0 values of the answer, and one is wanted"},
		"not a text":      {200, `{"version":7}`, "$.version", "", "live_version: $.version is 7, which is no version"},
		"a web page":      {200, "<html>login</html>", "", "", `live_version: the answer is no version but "\u003chtml\u003elogin\u003c/html\u003e"`},
		"no JSON":         {200, "1.41.3", "$.version", "", "live_version: the answer is no JSON: invalid character '.' after top-level value"},
		"nothing":         {200, "", "", "", `live_version: the answer is no version but ""`},
		"an error answer": {503, "1.41.3", "", "", "live_version: status 503, want 2xx"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/checkout/version" {
					c.status = 404
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			t.Cleanup(server.Close)
			m, err := httpprobe.New(httpprobe.Transports{Written: server.Client().Transport}, nil)
			require.NoError(t, err)
			got, err := m.LiveVersions(t.Context(), verifier.VersionSource{URL: server.URL + "/{{ .Service }}/version", JSON: c.json}, shop)
			if c.err != "" {
				require.EqualError(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{c.want}, got)
		})
	}
}
