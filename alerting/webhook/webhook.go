package webhook

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/verifier"
)

const (
	// minSecret is the least number of bytes of a signing secret; Standard
	// Webhooks asks for 24 to 64, and 16 is where guessing ends.
	minSecret    = 16
	secretPrefix = "whsec_"
)

// Receiver posts deliveries to one URL. It makes one attempt a Send, over a
// connection of its own, and follows no redirect.
type Receiver struct {
	url    string
	signer *standardwebhooks.Webhook // nil signs nothing
	call   *call.Caller
}

var _ alerting.Receiver = (*Receiver)(nil)

// New makes the receiver of that name. secret signs every attempt: "whsec_"
// and base64 as Standard Webhooks writes it, or else the bytes as they are, 16
// at least either way; without one nothing is signed. transport carries the calls and decides which addresses
// may be reached; nil is http.DefaultTransport. Errors are of kind Invalid and
// never hold the URL's credentials or the secret.
func New(name, rawURL, secret string, transport http.RoundTripper) (*Receiver, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, verifier.Errorf(verifier.Invalid, "webhook %q: url must be an absolute http or https URL, such as https://ci.example/hook", name)
	}
	signer, key, err := newSigner(secret)
	if err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "webhook %q: %w", name, err)
	}
	hidden := append(call.OfURL(u), secret, strings.TrimPrefix(secret, secretPrefix), string(key), base64.StdEncoding.EncodeToString(key))
	return &Receiver{url: rawURL, signer: signer, call: call.New(fmt.Sprintf("webhook %q", name), transport, hidden...)}, nil
}

// WithTimeout bounds each attempt at d instead of call.Timeout, and returns r.
// The dispatcher's own bound, alerting.SendTimeout, holds whatever d is.
func (r *Receiver) WithTimeout(d time.Duration) *Receiver {
	r.call.WithTimeout(d)
	return r
}

func newSigner(secret string) (*standardwebhooks.Webhook, []byte, error) {
	if secret == "" {
		return nil, nil, nil
	}
	if encoded, ok := strings.CutPrefix(secret, secretPrefix); ok {
		key, err := decodeKey(encoded)
		if err != nil || len(key) < minSecret {
			return nil, nil, fmt.Errorf("secret must be base64 of at least %d bytes after %q", minSecret, secretPrefix)
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		return signer, key, err
	}
	if len(secret) < minSecret {
		return nil, nil, fmt.Errorf("secret must have at least %d bytes, or be %q and base64 (got %d bytes)", minSecret, secretPrefix, len(secret))
	}
	signer, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	return signer, []byte(secret), err
}

// Send makes one attempt. The key of the delivery goes as Idempotency-Key, its
// id as webhook-id, and its body as it was stored.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	now := time.Now()
	header := map[string]string{
		standardwebhooks.HeaderWebhookID:        d.ID,
		standardwebhooks.HeaderWebhookTimestamp: strconv.FormatInt(now.Unix(), 10),
	}
	if r.signer != nil {
		signature, err := r.signer.Sign(d.ID, now, d.Body)
		if err != nil {
			return alerting.Result{Outcome: alerting.Rejected, Err: fmt.Errorf("sign delivery %s: %w", d.ID, err)}
		}
		header["webhook-signature"] = signature
	}
	if d.Key != "" {
		header["Idempotency-Key"] = d.Key
	}
	result, _ := r.call.Post(ctx, r.url, header, d.Body)
	return result
}

// decodeKey reads base64 with or without padding: secrets are copied by hand.
func decodeKey(encoded string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
}
