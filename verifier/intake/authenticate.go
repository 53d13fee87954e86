package intake

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	gh "github.com/google/go-github/v84/github"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postflight/postflight/verifier"
)

// bearer reports whether the request carries one of the tokens.
func bearer(h http.Header, tokens []string) bool {
	scheme, sent, _ := strings.Cut(h.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && oneOfTokens(strings.TrimSpace(sent), tokens)
}

// standardWebhook reports whether one of the secrets signed the request, no
// longer than five minutes ago and no further ahead (Standard Webhooks).
func standardWebhook(h http.Header, body []byte, secrets []string) bool {
	ok := false
	for _, secret := range secrets {
		for _, key := range signingKeys(secret) {
			hook, err := standardwebhooks.NewWebhookRaw(key)
			if err == nil && hook.Verify(body, h) == nil {
				ok = true
			}
		}
	}
	return ok
}

// signingKeys returns the keys that a secret may stand for: base64 behind
// whsec_; without that prefix senders differ, and the text itself counts as
// well.
func signingKeys(secret string) [][]byte {
	encoded, prefixed := strings.CutPrefix(secret, "whsec_")
	var keys [][]byte
	if key, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(key) > 0 {
		keys = append(keys, key)
	}
	if !prefixed && secret != "" {
		keys = append(keys, []byte(secret))
	}
	return keys
}

// bodySignature reports whether one of the secrets made the signature of the
// body, "sha256=" and the HMAC in hexadecimal. Only SHA-256 counts: GitHub
// still sends SHA-1 beside it.
func bodySignature(signature string, body []byte, secrets []string) bool {
	if !strings.HasPrefix(signature, "sha256=") {
		return false
	}
	ok := false
	for _, secret := range secrets {
		if secret != "" && gh.ValidateSignature(signature, body, []byte(secret)) == nil {
			ok = true
		}
	}
	return ok
}

// nobody is the format of an address without a source: it reads as much as
// any other and lets nothing through.
type nobody struct{}

func (nobody) authentic(http.Header, []byte, Source) bool { return false }

func (nobody) signed(h http.Header) bool {
	return native{}.signed(h) || github{}.signed(h) || flux{}.signed(h)
}

func (nobody) decode(http.Header, []byte, Mapping) (verifier.Notification, string, error) {
	return verifier.Notification{}, "", unauthorized()
}

// oneOfTokens reports whether a token was sent that is one of those. Digests
// are compared, all of them and in constant time, so that neither a token's
// length nor its place tells.
func oneOfTokens(sent string, tokens []string) bool {
	digest := sha256.Sum256([]byte(sent))
	ok := false
	for _, token := range tokens {
		want := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(digest[:], want[:]) == 1 && token != "" {
			ok = true
		}
	}
	return ok
}

// passwords authenticates senders that sign nothing and know two ways to show
// a token: as a bearer token, or as the password of any name.
type passwords struct{}

func (passwords) authentic(h http.Header, _ []byte, s Source) bool {
	byToken := bearer(h, s.Tokens)
	_, password, _ := (&http.Request{Header: h}).BasicAuth()
	byPassword := oneOfTokens(password, s.Tokens)
	return byToken || byPassword
}

func (passwords) signed(http.Header) bool { return false }

func (passwords) takesPasswords() {}
