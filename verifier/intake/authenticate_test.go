package intake

import (
	"crypto/hmac"
	"crypto/sha1" // GitHub's old signature, to be refused
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	gh "github.com/google/go-github/v84/github"
	"github.com/stretchr/testify/require"
)

// The vector is published in GitHub's "Validating webhook deliveries".
func TestPublishedGitHubVector(t *testing.T) {
	h := headers(gh.SHA256SignatureHeader, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	require.True(t, githubSignature(h, []byte("Hello, World!"), []string{githubSecret}))
	require.False(t, githubSignature(h, []byte("Hello, World"), []string{githubSecret}))
}

type forgery struct {
	path   string // default: the source's own
	header http.Header
	body   string
}

func githubForgeries(t *testing.T) map[string]forgery {
	body := recorded(t, "github_deployment_status.json")
	right := signGitHub(githubSecret, body)
	mac := hmac.New(sha1.New, []byte(githubSecret))
	mac.Write([]byte(body))
	old := "sha1=" + hex.EncodeToString(mac.Sum(nil))
	signed := func(signature string, pairs ...string) forgery {
		return forgery{path: "/api/v1/hooks/github", body: body, header: headers(append([]string{"Content-Type", "application/json",
			"X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "d-1", "X-Hub-Signature-256", signature}, pairs...)...)}
	}
	other := signed(right)
	other.body = strings.Replace(body, "success", "failure", 1)
	padded := signed(right)
	padded.body += " "
	unknown := signed(right)
	unknown.path = "/api/v1/hooks/nobody"
	elsewhere := signed(right)
	elsewhere.path = "/api/v1/hooks/pipeline"
	native := signed(right)
	native.path = "/api/v1/deployments"
	noType := signed(signGitHub("wrong", body))
	noType.header.Del("Content-Type")
	return map[string]forgery{
		"no signature":           {path: "/api/v1/hooks/github", body: body, header: headers("Content-Type", "application/json", "X-GitHub-Event", "deployment_status")},
		"empty signature":        signed(""),
		"prefix only":            signed("sha256="),
		"wrong secret":           signed(signGitHub("wrong", body)),
		"empty secret":           signed(signGitHub("", body)),
		"another source's token": signed(signGitHub(token, body)),
		"truncated signature":    signed(right[:len(right)-2]),
		"longer signature":       signed(right + "00"),
		"odd digits":             signed(right[:len(right)-1]),
		"no hex":                 signed("sha256=" + strings.Repeat("zz", 32)),
		"no prefix":              signed(strings.TrimPrefix(right, "sha256=")),
		"sha1":                   signed(old),
		"sha1 in its own header": {path: "/api/v1/hooks/github", body: body, header: headers("Content-Type", "application/json", "X-GitHub-Event", "deployment_status", "X-Hub-Signature", old)},
		"sha512 prefix":          signed("sha512=" + strings.TrimPrefix(right, "sha256=")),
		"upper-case prefix":      signed("SHA256=" + strings.TrimPrefix(right, "sha256=")),
		"space inside":           signed("sha256= " + strings.TrimPrefix(right, "sha256=")),
		"unicode digits":         signed("sha256=" + strings.Replace(strings.TrimPrefix(right, "sha256="), "5", "\u0665", 1)),
		"two signatures":         signed(signGitHub("wrong", body) + "," + right),
		"huge signature":         signed("sha256=" + strings.Repeat("0", 20000)),
		"another body":           other,
		"one space more":         padded,
		"unknown source":         unknown,
		"another source":         elsewhere,
		"the native address":     native,
		"bearer instead":         signed("", "Authorization", "Bearer "+githubSecret),
		"no content type":        noType,
	}
}

func nativeForgeries(t *testing.T) map[string]forgery {
	signed := func(change func(http.Header)) forgery {
		h := signWebhook(t, webhookKey, "d-1", time.Now(), announced)
		change(h)
		return forgery{path: "/api/v1/deployments", body: announced, header: h}
	}
	at := func(ago time.Duration) forgery {
		return forgery{path: "/api/v1/deployments", body: announced, header: signWebhook(t, webhookKey, "d-1", time.Now().Add(-ago), announced)}
	}
	drop := func(name string) forgery { return signed(func(h http.Header) { h.Del(name) }) }
	set := func(name, value string) forgery { return signed(func(h http.Header) { h.Set(name, value) }) }
	authorised := func(value string) forgery {
		return forgery{path: "/api/v1/deployments", body: announced, header: headers("Content-Type", "application/json", "Authorization", value)}
	}
	otherSecret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another secret that is long enough"))
	return map[string]forgery{
		"nothing at all":       {path: "/api/v1/deployments", body: announced, header: headers("Content-Type", "application/json")},
		"empty bearer":         authorised("Bearer "),
		"wrong bearer":         authorised("Bearer wrong"),
		"token cut short":      authorised("Bearer " + token[:len(token)-1]),
		"token and more":       authorised("Bearer " + token + "x"),
		"basic":                authorised("Basic " + base64.StdEncoding.EncodeToString([]byte("pipeline:"+token))),
		"token without scheme": authorised(token),
		"a secret as token":    authorised("Bearer " + webhookKey),
		"GitHub's secret":      authorised("Bearer " + githubSecret),
		"token in the query":   {path: "/api/v1/deployments?token=" + token, body: announced, header: headers("Content-Type", "application/json")},
		"no id":                drop("webhook-id"),
		"another id":           set("webhook-id", "d-2"),
		"no timestamp":         drop("webhook-timestamp"),
		"another timestamp":    set("webhook-timestamp", strconv.FormatInt(time.Now().Unix()+2, 10)),
		"no number":            set("webhook-timestamp", "soon"),
		"six minutes old":      at(6 * time.Minute),
		"a month old":          at(31 * 24 * time.Hour),
		"six minutes ahead":    at(-6 * time.Minute),
		"no signature":         drop("webhook-signature"),
		"partial signature":    signed(func(h http.Header) { h.Set("webhook-signature", h.Get("webhook-signature")[:10]) }),
		"no version":           signed(func(h http.Header) { h.Set("webhook-signature", strings.TrimPrefix(h.Get("webhook-signature"), "v1,")) }),
		"version 2": signed(func(h http.Header) {
			h.Set("webhook-signature", "v2"+strings.TrimPrefix(h.Get("webhook-signature"), "v1"))
		}),
		"thousands of wrong":    set("webhook-signature", strings.Repeat("v1,AAAA ", 2000)),
		"another secret":        {path: "/api/v1/deployments", body: announced, header: signWebhook(t, otherSecret, "d-1", time.Now(), announced)},
		"another body":          {path: "/api/v1/deployments", body: announced + " ", header: signWebhook(t, webhookKey, "d-1", time.Now(), announced)},
		"another source's hook": {path: "/api/v1/hooks/pipeline", body: announced, header: signWebhook(t, webhookKey, "d-1", time.Now(), announced)},
		"token at GitHub's":     {path: "/api/v1/hooks/github", body: announced, header: bearerHeaders()},
		"unknown source":        {path: "/api/v1/hooks/nobody", body: announced, header: bearerHeaders()},
	}
}

func TestForgeries(t *testing.T) {
	for provider, forgeries := range map[string]map[string]forgery{"github": githubForgeries(t), "native": nativeForgeries(t)} {
		for name, f := range forgeries {
			t.Run(provider+" "+name, func(t *testing.T) {
				d := start(t)
				r := d.post(f.path, f.body, f.header)
				require.Equal(t, 401, r.status, r.body)
				require.Equal(t, "no source is known by this token or signature", r.Detail)
				require.Empty(t, r.Errors)
				require.NotEmpty(t, r.header.Get("WWW-Authenticate"))
				require.Zero(t, d.memory.rows())
				for key := range d.counts.all() {
					require.Regexp(t, `^(unknown|github|pipeline) unauthorized$`, key)
				}
			})
		}
	}
}

func TestOnlyPostIsServed(t *testing.T) {
	d := start(t)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		r := d.do(method, "/api/v1/deployments", strings.NewReader(announced), bearerHeaders())
		require.Equal(t, 405, r.status, method)
	}
	require.Zero(t, d.memory.rows())
}

func TestSecretsRotate(t *testing.T) {
	d := start(t)
	d.settings.Sources = []Source{
		{Name: "pipeline", Format: "native", Tokens: []string{"old", "new"}},
		{Name: "github", Format: "github", Secrets: []string{"old", "new"}},
		{Name: "plain", Format: "native", Secrets: []string{"not base64!", "", "whsec_"}},
	}
	event := recorded(t, "github_deployment_status.json")
	try := func(secret string) (native, github int) {
		h := bearerHeaders()
		h.Set("Authorization", "Bearer "+secret)
		g := githubHeaders("ping", "d-1", event)
		g.Set("X-Hub-Signature-256", signGitHub(secret, event))
		return d.post("/api/v1/deployments", announced, h).status, d.post("/api/v1/hooks/github", event, g).status
	}
	native, github := try("old")
	require.Equal(t, []int{202, 200}, []int{native, github})
	native, github = try("new")
	require.Equal(t, []int{200, 200}, []int{native, github})

	d.settings.Sources = []Source{
		{Name: "pipeline", Format: "native", Tokens: []string{"new"}},
		{Name: "github", Format: "github", Secrets: []string{"new"}},
	}
	native, github = try("old")
	require.Equal(t, []int{401, 401}, []int{native, github})
	native, github = try("new")
	require.Equal(t, []int{200, 200}, []int{native, github})
}

func TestEmptySecretsLetNobodyIn(t *testing.T) {
	body := []byte(announced)
	require.False(t, bearer(headers("Authorization", "Bearer "), []string{""}))
	require.False(t, githubSignature(headers("X-Hub-Signature-256", signGitHub("", announced)), body, []string{""}))
	require.Empty(t, signingKeys(""))
	require.Empty(t, signingKeys("whsec_"))
	require.Empty(t, signingKeys("whsec_not base64!"))
	require.Len(t, signingKeys("not base64!"), 1)
	require.Len(t, signingKeys("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 2)
}
