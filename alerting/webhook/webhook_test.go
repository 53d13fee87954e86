package webhook

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rawSecret = "a-secret-of-some-length"

var delivery = verifier.Delivery{
	ID: "dl_1", Kind: verifier.RollbackDelivery, Receiver: "ci", Event: verifier.EventRevert,
	Key: "rv_1", Body: []byte(`{"type":"revert.requested",  "revert_id":"rv_1"}`),
}

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Delivery: delivery,
		Secrets:  []string{rawSecret, "T0KEN-IN-PATH", "t0ken-in-query", "passw0rd", "hook-user"},
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			withSecrets := strings.Replace(address, "http://", "http://hook-user:passw0rd@", 1) + "/T0KEN-IN-PATH?key=t0ken-in-query"
			r, err := New("ci", withSecrets, rawSecret, transport)
			require.NoError(t, err)
			return r
		},
	})
}

func TestSendSignsTheStoredBytes(t *testing.T) {
	key := bytes.Repeat([]byte{0xfe}, 24)
	for name, c := range map[string]struct {
		secret string
		key    []byte
	}{
		"raw":             {rawSecret, []byte(rawSecret)},
		"whsec":           {"whsec_" + base64.StdEncoding.EncodeToString(key), key},
		"whsec unpadded":  {"whsec_" + base64.RawStdEncoding.EncodeToString(key[:20]), key[:20]},
		"raw like base64": {base64.StdEncoding.EncodeToString(key), []byte(base64.StdEncoding.EncodeToString(key))},
	} {
		t.Run(name, func(t *testing.T) {
			verify, err := standardwebhooks.NewWebhookRaw(c.key)
			require.NoError(t, err)
			var got *http.Request
			var body []byte
			var verified error
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ = io.ReadAll(r.Body)
				verified = verify.Verify(body, r.Header)
				got = r
				w.WriteHeader(http.StatusAccepted)
			}))
			defer server.Close()
			r, err := New("ci", server.URL+"/hook?key=1", c.secret, nil)
			require.NoError(t, err)

			result := r.Send(t.Context(), delivery)
			require.NoError(t, result.Err)
			require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: http.StatusAccepted}, result)
			require.NoError(t, verified)
			require.Equal(t, delivery.Body, body)
			require.Equal(t, http.MethodPost, got.Method)
			require.Equal(t, "/hook?key=1", got.RequestURI)
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
			require.Regexp(t, `^postflight/.+`, got.Header.Get("User-Agent"))
			require.True(t, got.Close, "attempts are rare: an idle connection would be stale by the next")
			require.Equal(t, "dl_1", got.Header.Get("webhook-id"))
			require.Equal(t, "rv_1", got.Header.Get("Idempotency-Key"))
		})
	}
}

func TestSendWithoutKeySendsNoIdempotencyKey(t *testing.T) {
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header }))
	defer server.Close()
	r, err := New("ci", server.URL, rawSecret, nil)
	require.NoError(t, err)
	message := delivery
	message.Key = ""
	require.Equal(t, alerting.Delivered, r.Send(t.Context(), message).Outcome)
	require.NotContains(t, header, "Idempotency-Key")
}

func TestSendWithoutSecretSignsNothing(t *testing.T) {
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header }))
	defer server.Close()
	r, err := New("ci", server.URL, "", nil)
	require.NoError(t, err)
	require.Equal(t, alerting.Delivered, r.Send(t.Context(), delivery).Outcome)
	require.Equal(t, "dl_1", header.Get("webhook-id"))
	require.NotContains(t, header, http.CanonicalHeaderKey("webhook-signature"))
}

func TestWithTimeout(t *testing.T) {
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	defer server.Close()
	defer close(hangs)
	r, err := New("ci", server.URL, rawSecret, nil)
	require.NoError(t, err)
	got := r.WithTimeout(50*time.Millisecond).Send(t.Context(), delivery)
	require.Equal(t, alerting.Retry, got.Outcome)
	require.EqualError(t, got.Err, `webhook "ci" gave no answer: timed out`)
}

func TestErrorTellsStatusAndExcerpt(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"text":  {"the queue\n\tis  full", `webhook "ci" answered 503 Service Unavailable: "the queue is full"`},
		"empty": {"", `webhook "ci" answered 503 Service Unavailable`},
		"long":  {strings.Repeat("ä", 300), `webhook "ci" answered 503 Service Unavailable: "` + strings.Repeat("ä", 199) + `…"`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, c.answer)
			}))
			defer server.Close()
			r, err := New("ci", server.URL, rawSecret, nil)
			require.NoError(t, err)
			require.EqualError(t, r.Send(t.Context(), delivery).Err, c.want)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct{ url, secret, want string }{
		"relative url":    {"/hook?key=s3cret-query", rawSecret, `webhook "ci": url must be an absolute http or https URL`},
		"other scheme":    {"ftp://u:passw0rd@host/", rawSecret, `webhook "ci": url must be an absolute http or https URL`},
		"unreadable url":  {"http://u:passw0rd@host:port/", rawSecret, `webhook "ci": url must be an absolute http or https URL`},
		"short secret":    {"http://host/", "fifteen-bytes-x", `webhook "ci": secret must have at least 16 bytes`},
		"short whsec":     {"http://host/", "whsec_c2hvcnQ=", `webhook "ci": secret must be base64 of at least 16 bytes after "whsec_"`},
		"whsec no base64": {"http://host/", "whsec_***************************", `webhook "ci": secret must be base64 of at least 16 bytes after "whsec_"`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New("ci", c.url, c.secret, nil)
			require.Nil(t, r)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
			for _, secret := range []string{"passw0rd", "s3cret-query", "fifteen-bytes-x", "c2hvcnQ", "***"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}
