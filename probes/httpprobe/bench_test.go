package httpprobe_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/httpprobe"
	"github.com/postflight/postflight/verifier"
)

// answered is a transport without a network: what is left is our own work.
type answered struct{ page http.Handler }

func (a answered) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a.page.ServeHTTP(w, r)
	return w.Result(), nil
}

// BenchmarkMeasure is of a probe with a template, a regular expression and a
// JSON path.
func BenchmarkMeasure(b *testing.B) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"ok"}`)) })
	m, err := httpprobe.New(httpprobe.Transports{Written: answered{page}, Templated: answered{page}}, nil)
	require.NoError(b, err)
	s := probe(get("http://shop.example/{{ .Service }}/healthz", verifier.Expect{Status: []int{200}, Body: []string{`"status":\s*"ok"`}, JSON: map[string]any{"$.status": "ok"}}))
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if o := m.Measure(b.Context(), s, shop, verifier.Plan{}, time.Minute, at, at)[0]; o.Bad > 0 || o.Outcome != verifier.Measured {
			b.Fatal(o.Message)
		}
	}
}
