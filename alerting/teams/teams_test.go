package teams

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hook = "/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-06-01&sig=signature-0123456789"

// workflow answers as a workflow's trigger does: 202 to a message with one
// Adaptive Card that Teams would show.
func workflow(t *testing.T, bodies *[][]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		*bodies = append(*bodies, body)
		var m message
		switch {
		case r.Method != http.MethodPost || r.URL.RequestURI() != hook:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &m) != nil:
			w.WriteHeader(http.StatusBadRequest)
		case m.Type != "message" || len(m.Attachments) != 1 || m.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" ||
			m.Attachments[0].Content.Type != "AdaptiveCard" || len(m.Attachments[0].Content.Body) == 0:
			w.WriteHeader(http.StatusBadRequest)
		case len(body) > 28<<10:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}
}

func open(t *testing.T) (*Receiver, *[][]byte) {
	t.Helper()
	var bodies [][]byte
	server := httptest.NewServer(workflow(t, &bodies))
	t.Cleanup(server.Close)
	r, err := New("oncall", Options{Webhook: server.URL + hook})
	require.NoError(t, err)
	return r, &bodies
}

func TestGolden(t *testing.T) {
	r, bodies := open(t)
	for _, s := range receivertest.Samples() {
		t.Run(s.Name, func(t *testing.T) {
			got := r.Send(t.Context(), s.Delivery)
			require.NoError(t, got.Err)
			body := (*bodies)[len(*bodies)-1]
			receivertest.Golden(t, s.Name, body, *update)
			for _, never := range []string{"@here", "@channel", "@everyone", "javascript:", "](http://evil", "{{DATE"} {
				require.NotContains(t, string(body), never)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	r, bodies := open(t)
	var all []verifier.Delivery
	for range 4 {
		for _, s := range receivertest.Samples() {
			all = append(all, s.Delivery)
		}
	}
	require.NoError(t, r.SendDigest(t.Context(), all[:15]).Err)
	receivertest.Golden(t, "digest", (*bodies)[0], *update)
	require.NoError(t, r.SendDigest(t.Context(), all).Err, "within 28 KB")
}

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			r, err := New("oncall", Options{Webhook: address + hook, Transport: transport})
			require.NoError(t, err)
			return r
		},
		Delivery: receivertest.Sampled("revert"), Secrets: []string{"signature-0123456789", "0123456789abcdef0123456789abcdef"},
	})
}

func TestNewRefuses(t *testing.T) {
	_, err := New("oncall", Options{Webhook: "secret"})
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	require.False(t, strings.Contains(err.Error(), "secret"))
}
