package httpprobe_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/httpprobe"
	"github.com/postflight/postflight/verifier"
)

// spaces is an endless answer.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

// TestOfAnAnswerOnlyTheBeginningIsRead has answers that never end, plain and
// packed.
func TestOfAnAnswerOnlyTheBeginningIsRead(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.CopyN(z, spaces{}, 64<<20)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	mux := http.NewServeMux()
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, spaces{}) }) // the reader hangs up
	mux.HandleFunc("/packed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes()) // the reader hangs up
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, path := range []string{"/endless", "/packed"} {
		o := once(t, measurer(t, nil), probe(get(s.URL+path, verifier.Expect{})))
		require.Zero(t, o.Bad, "%s: %s", path, o.Message)
		o = once(t, measurer(t, nil), probe(get(s.URL+path, verifier.Expect{JSON: map[string]any{"$.a": 1}})))
		require.Contains(t, o.Message, "body is longer than 64 KiB", path)
	}
	require.Less(t, packed.Len(), 1<<20, "a bomb")
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAStepTakesTenSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := httpprobe.New(httpprobe.Transports{Written: silent{}}, nil)
		require.NoError(t, err)
		began := time.Now()
		o := once(t, m, probe(get("http://shop.example/", verifier.Expect{})))
		require.Equal(t, 1.0, o.Bad)
		require.Contains(t, o.Message, "no answer within 10s")
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}
