package webhook

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
)

// spaces is an endless answer.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

func TestAnswersThatNeverEndEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.Copy(w, spaces{}) // the receiver hangs up
	}))
	defer server.Close()
	for path, want := range map[string]alerting.Outcome{"/good": alerting.Delivered, "/bad": alerting.Retry} {
		r, err := New("ci", server.URL+path, rawSecret, nil)
		require.NoError(t, err)
		require.Equal(t, want, r.Send(t.Context(), delivery).Outcome)
	}
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAnAttemptTakesTwentySecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New("ci", "http://ci.example/", rawSecret, silent{})
		require.NoError(t, err)
		began := time.Now()
		require.Equal(t, alerting.Retry, r.Send(t.Context(), delivery).Outcome)
		require.Equal(t, 20*time.Second, time.Since(began))
	})
}
