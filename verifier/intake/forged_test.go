package intake

import (
	"crypto/hmac"
	"crypto/sha1" // GitHub's old signature, to be refused
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

func signGitHub(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func signWebhook(t testing.TB, secret, id string, at time.Time, body string) http.Header {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		hook, err = standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	require.NoError(t, err)
	signature, err := hook.Sign(id, at, []byte(body))
	require.NoError(t, err)
	return headers("Content-Type", "application/json", "webhook-id", id, "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", signature)
}

func githubHeaders(event, delivery, body string) http.Header {
	return headers("Content-Type", "application/json", "X-GitHub-Event", event, "X-GitHub-Delivery", delivery, "X-Hub-Signature-256", signGitHub(githubSecret, body))
}

type forgery struct {
	path   string
	header http.Header
	body   string
}

// forged are requests that the source of a format did not make, each named by
// what is wrong with it.
func forged(t *testing.T, c conformance) map[string]forgery {
	all := map[string]forgery{}
	add := func(kind string, made map[string]http.Header) {
		for name, h := range made {
			all[kind+": "+name] = forgery{c.address(), h, c.valid}
		}
	}
	add("authorization", forgedAuthorizations(c))
	add("elsewhere", misplaced(c))
	for _, header := range []string{"X-Hub-Signature-256", "X-Signature"} {
		add(header, forgedHMACs(c, header))
	}
	add("standard webhooks", forgedWebhooks(t, c))
	if c.scheme == "gitlab" {
		add("X-Gitlab-Token", forgedTokens(c))
	}
	right := c.sign(t, c.own, "d-1", c.valid)
	for path, name := range map[string]string{"/api/v1/hooks/nobody": "an unknown source", "/api/v1/hooks/large": "another source", "/api/v1/deployments": "the native address"} {
		if path != c.address() && c.format != "native" || name == "an unknown source" {
			all["right, at "+name] = forgery{path, right, c.valid}
		}
	}
	if c.scheme == "hmac" || c.scheme == "webhook" || c.scheme == "gitlab signed" {
		all["right, over another body"] = forgery{c.address(), right, strings.Replace(c.valid, "e", "E", 1)}
		all["right, over a space more"] = forgery{c.address(), right, c.valid + " "}
	}
	return all
}

// bare are the headers of the format without any that authenticate, and more.
func (c conformance) bare(pairs ...string) http.Header {
	h := headers("Content-Type", "application/json", "X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "d-1", "X-Gitlab-Event", "Deployment Hook")
	maps.Copy(h, headers(pairs...))
	return h
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func forgedAuthorizations(c conformance) map[string]http.Header {
	own := c.own
	digest := sha256.Sum256([]byte(own))
	out := map[string]http.Header{"none": c.bare()}
	for name, value := range map[string]string{
		"empty": "", "scheme alone": "Bearer ", "wrong": "Bearer wrong", "cut short": "Bearer " + own[:len(own)-1],
		"and more": "Bearer " + own + "x", "upper case": "Bearer " + strings.ToUpper(own) + "X", "two": "Bearer wrong, Bearer " + own,
		"twice": "Bearer Bearer " + own, "no scheme": own, "another scheme": "Token " + own, "negotiate": "Negotiate " + own, "digest scheme": "Digest " + own,
		"another source's token": "Bearer " + argocdToken + fluxToken, "another source's secret": "Bearer " + webhookKey + "x", "null": "Bearer null", "undefined": "Bearer undefined",
		"star": "Bearer *", "base64 of it": "Bearer " + base64.StdEncoding.EncodeToString([]byte(own)), "digest of it": "Bearer " + hex.EncodeToString(digest[:]),
		"as the name": basic(own, ""), "no password": basic("postflight", ""), "wrong password": basic("postflight", "wrong"),
		"basic that is no base64": "Basic !!!", "basic without a colon": "Basic " + base64.StdEncoding.EncodeToString([]byte(own)), "huge": "Bearer " + strings.Repeat("x", 20000),
	} {
		out[name] = c.bare("Authorization", value)
	}
	if c.scheme != "password" {
		out["as the password"] = c.bare("Authorization", basic("postflight", own))
	}
	if c.scheme != "bearer" && c.scheme != "password" {
		out["a secret as token"] = c.bare("Authorization", "Bearer "+own)
	}
	return out
}

// misplaced sends the right secret where nobody looks for it.
func misplaced(c conformance) map[string]http.Header {
	out := map[string]http.Header{}
	for _, name := range []string{"X-Auth-Token", "X-Token", "X-Api-Key", "Cookie", "X-Hub-Signature-256", "X-Hub-Signature", "X-Signature", "Proxy-Authorization", "webhook-signature", "X-Gitlab-Token"} {
		if name != "X-Gitlab-Token" || c.scheme != "gitlab" {
			out[name] = c.bare(name, c.own)
		}
	}
	return out
}

// forgedHMACs are signatures of the body that are none, in either header that
// has one.
func forgedHMACs(c conformance, header string) map[string]http.Header {
	right := signGitHub(c.own, c.valid)
	digits := strings.TrimPrefix(right, "sha256=")
	mac := hmac.New(sha1.New, []byte(c.own))
	mac.Write([]byte(c.valid))
	old := "sha1=" + hex.EncodeToString(mac.Sum(nil))
	out := map[string]http.Header{"sha1 in its own header": c.bare("X-Hub-Signature", old)}
	for name, value := range map[string]string{
		"empty": "", "prefix alone": "sha256=", "wrong secret": signGitHub("wrong", c.valid), "empty secret": signGitHub("", c.valid),
		"another source's token": signGitHub(token+"x", c.valid), "cut short": right[:len(right)-2], "longer": right + "00", "odd digits": right[:len(right)-1],
		"no hex": "sha256=" + strings.Repeat("zz", 32), "no prefix": digits, "sha1": old, "sha512 prefix": "sha512=" + digits, "upper-case prefix": "SHA256=" + digits,
		"space inside": "sha256= " + digits, "unicode digits": "sha256=" + strings.Replace(digits, digits[10:11], "\u0665", 1),
		"two signatures": signGitHub("wrong", c.valid) + "," + right, "huge": "sha256=" + strings.Repeat("0", 20000), "of nothing": signGitHub(c.own, ""), "zeros": "sha256=" + strings.Repeat("0", 64),
	} {
		out[name] = c.bare(header, value)
	}
	if c.scheme != "hmac" {
		out["signed with the token"] = c.bare(header, right)
	}
	return out
}

// forgedWebhooks are Standard Webhooks signatures that are none.
func forgedWebhooks(t *testing.T, c conformance) map[string]http.Header {
	secret := c.own
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another secret that is long enough"))
	signed := func(secret string, ago time.Duration, change func(http.Header)) http.Header {
		h := c.bare()
		maps.Copy(h, signWebhook(t, secret, "d-1", time.Now().Add(-ago), c.valid))
		change(h)
		return h
	}
	as := func(change func(http.Header)) http.Header { return signed(secret, 0, change) }
	nothing := func(http.Header) {}
	out := map[string]http.Header{
		"no id":             as(func(h http.Header) { h.Del("webhook-id") }),
		"another id":        as(func(h http.Header) { h.Set("webhook-id", "d-2") }),
		"no timestamp":      as(func(h http.Header) { h.Del("webhook-timestamp") }),
		"another timestamp": as(func(h http.Header) { h.Set("webhook-timestamp", strconv.FormatInt(time.Now().Unix()+2, 10)) }),
		"no number":         as(func(h http.Header) { h.Set("webhook-timestamp", "soon") }),
		"six minutes old":   signed(secret, 6*time.Minute, nothing),
		"a month old":       signed(secret, 31*24*time.Hour, nothing),
		"six minutes ahead": signed(secret, -6*time.Minute, nothing),
		"no signature":      as(func(h http.Header) { h.Del("webhook-signature") }),
		"part of one":       as(func(h http.Header) { h.Set("webhook-signature", h.Get("webhook-signature")[:10]) }),
		"no version":        as(func(h http.Header) { h.Set("webhook-signature", strings.TrimPrefix(h.Get("webhook-signature"), "v1,")) }),
		"version 2": as(func(h http.Header) {
			h.Set("webhook-signature", "v2"+strings.TrimPrefix(h.Get("webhook-signature"), "v1"))
		}),
		"thousands of wrong": as(func(h http.Header) { h.Set("webhook-signature", strings.Repeat("v1,AAAA ", 2000)) }),
		"another secret":     signed(other, 0, nothing),
	}
	if c.scheme != "webhook" && c.scheme != "gitlab signed" {
		out["signed with the token"] = as(nothing)
	}
	return out
}

// forgedTokens are GitLab's header with what is not the token.
func forgedTokens(c conformance) map[string]http.Header {
	out := map[string]http.Header{}
	for name, value := range map[string]string{
		"empty": "", "wrong": "wrong", "cut short": c.own[:len(c.own)-1], "and more": c.own + "x", "upper case": strings.ToUpper(c.own) + "X",
		"bearer": "Bearer " + c.own, "two": "wrong," + c.own, "star": "*", "another source's": token + "x", "a signing token": webhookKey,
	} {
		out[name] = c.bare("X-Gitlab-Token", value)
	}
	return out
}
