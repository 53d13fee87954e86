package intake

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzAuthenticate sends whatever it likes in the place of a signature: nobody
// comes in who doesn't know the secret.
func FuzzAuthenticate(f *testing.F) {
	now := time.Now()
	right := signWebhook(f, webhookKey, "d-1", now, announced)
	f.Add("Bearer "+token[:8], right.Get("webhook-signature"), "d-2", right.Get("webhook-timestamp"), []byte(announced))
	f.Add("bearer \x00", "v1,", "", "-1", []byte{})
	f.Add("Basic Og==", "v1a,AAAA v1,AAAA v2,", "d-1", "99999999999999999999", []byte("{}"))
	f.Add("sha256=", "sha256=00", "1", "1700000000", []byte("x"))
	f.Fuzz(func(t *testing.T, authorization, signature, id, timestamp string, body []byte) {
		h := http.Header{}
		for _, name := range []string{"X-Hub-Signature-256", "X-Signature", "Webhook-Signature", "X-Gitlab-Token"} {
			h.Set(name, signature)
		}
		h.Set("Authorization", authorization)
		h.Set("Webhook-Id", id)
		h.Set("Webhook-Timestamp", timestamp)
		if authorization == "Bearer "+token || id == "d-1" && string(body) == announced {
			return // what the right sender may send
		}
		for _, s := range sources() {
			s.Tokens = []string{"a token that no test sends 1f2e3d"}
			require.False(t, formats[s.Format].authentic(h, body, s), s.Name)
			s.Tokens, s.Secrets = nil, nil
			require.False(t, formats[s.Format].authentic(h, body, s), "%s without any secret", s.Name)
		}
		_, _ = nativeDelivery(h) // must not panic
	})
}
