package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/prometheus/common/version"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

const (
	// Timeout bounds one attempt, from dialling to the answer's last byte.
	Timeout = 20 * time.Second
	// minSecret is the least number of bytes of a signing secret; Standard
	// Webhooks asks for 24 to 64, and 16 is where guessing ends.
	minSecret    = 16
	secretPrefix = "whsec_"
)

// Receiver posts deliveries to one URL. It makes one attempt a Send, over a
// connection of its own, and follows no redirect.
type Receiver struct {
	name   string
	url    string
	signer *standardwebhooks.Webhook // nil signs nothing
	client *resty.Client
	hide   *strings.Replacer
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
	if transport == nil {
		transport = http.DefaultTransport
	}
	client := resty.NewWithClient(&http.Client{Transport: transport, Timeout: Timeout}).
		SetRedirectPolicy(resty.RedirectPolicyFunc(func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse })).
		SetDisableWarn(true).
		SetDoNotParseResponse(true).
		SetCloseConnection(true).
		SetPreRequestHook(onlyOnce).
		SetHeader("Content-Type", "application/json").
		SetHeader("User-Agent", userAgent())
	return &Receiver{name: name, url: rawURL, signer: signer, client: client, hide: hiding(u, secret, key)}, nil
}

// onlyOnce keeps net/http from sending a request again by itself when a reused
// connection breaks, which it would for one with an Idempotency-Key: every
// call that leaves here is an attempt that the guards were asked about.
func onlyOnce(_ *resty.Client, r *http.Request) error {
	r.GetBody = nil
	return nil
}

// WithTimeout bounds each attempt at d instead of Timeout, and returns r. The
// dispatcher's own bound, alerting.SendTimeout, holds whatever d is.
func (r *Receiver) WithTimeout(d time.Duration) *Receiver {
	r.client.SetTimeout(d)
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
	request := r.client.R().SetContext(ctx).
		SetHeader(standardwebhooks.HeaderWebhookID, d.ID).
		SetHeader(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10)).
		SetBody(d.Body)
	if r.signer != nil {
		signature, err := r.signer.Sign(d.ID, now, d.Body)
		if err != nil {
			return alerting.Result{Outcome: alerting.Rejected, Err: fmt.Errorf("sign delivery %s: %w", d.ID, err)}
		}
		request.SetHeader(standardwebhooks.HeaderWebhookSignature, signature)
	}
	if d.Key != "" {
		request.SetHeader("Idempotency-Key", d.Key)
	}
	answer, err := request.Post(r.url)
	if err != nil {
		return alerting.Result{Outcome: alerting.Retry, Err: fmt.Errorf("webhook %q gave no answer: %s", r.name, r.cause(err))}
	}
	defer func() { _ = answer.RawBody().Close() }() // what was said is read; the connection ends anyway
	return r.classify(answer.RawResponse, now)
}

func userAgent() string {
	if version.Version == "" {
		return "postflight/devel"
	}
	return version.ComponentUserAgent("postflight")
}
