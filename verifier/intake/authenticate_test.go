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
	require.True(t, bodySignature(h.Get(gh.SHA256SignatureHeader), []byte("Hello, World!"), []string{githubSecret}))
	require.False(t, bodySignature(h.Get(gh.SHA256SignatureHeader), []byte("Hello, World"), []string{githubSecret}))
}

type forgery struct {
	path   string // default: the source's own
	header http.Header
	body   string
}

// signature is how a source signs the body of its notifications.
type signature struct {
	path, header string
	others       []string // headers that come along
	secret, body string
}

// forgeries are requests to a source that signs bodies with HMAC-SHA256, none
// of which it made.
func (s signature) forgeries() map[string]forgery {
	right := signGitHub(s.secret, s.body)
	mac := hmac.New(sha1.New, []byte(s.secret))
	mac.Write([]byte(s.body))
	old := "sha1=" + hex.EncodeToString(mac.Sum(nil))
	with := func(pairs ...string) forgery {
		return forgery{path: s.path, body: s.body, header: headers(append(append([]string{"Content-Type", "application/json"}, s.others...), pairs...)...)}
	}
	signed := func(signature string, pairs ...string) forgery {
		return with(append([]string{s.header, signature}, pairs...)...)
	}
	other := signed(right)
	other.body = strings.Replace(s.body, "e", "E", 1)
	padded := signed(right)
	padded.body += " "
	unknown := signed(right)
	unknown.path = "/api/v1/hooks/nobody"
	elsewhere := signed(right)
	elsewhere.path = "/api/v1/hooks/pipeline"
	native := signed(right)
	native.path = "/api/v1/deployments"
	noType := signed(signGitHub("wrong", s.body))
	noType.header.Del("Content-Type")
	return map[string]forgery{
		"no signature":           with(),
		"empty signature":        signed(""),
		"prefix only":            signed("sha256="),
		"wrong secret":           signed(signGitHub("wrong", s.body)),
		"empty secret":           signed(signGitHub("", s.body)),
		"another source's token": signed(signGitHub(token, s.body)),
		"truncated signature":    signed(right[:len(right)-2]),
		"longer signature":       signed(right + "00"),
		"odd digits":             signed(right[:len(right)-1]),
		"no hex":                 signed("sha256=" + strings.Repeat("zz", 32)),
		"no prefix":              signed(strings.TrimPrefix(right, "sha256=")),
		"sha1":                   signed(old),
		"sha1 in its own header": with("X-Hub-Signature", old),
		"sha512 prefix":          signed("sha512=" + strings.TrimPrefix(right, "sha256=")),
		"upper-case prefix":      signed("SHA256=" + strings.TrimPrefix(right, "sha256=")),
		"space inside":           signed("sha256= " + strings.TrimPrefix(right, "sha256=")),
		"unicode digits":         signed("sha256=" + strings.Replace(strings.TrimPrefix(right, "sha256="), right[10:11], "\u0665", 1)),
		"two signatures":         signed(signGitHub("wrong", s.body) + "," + right),
		"huge signature":         signed("sha256=" + strings.Repeat("0", 20000)),
		"another body":           other,
		"one space more":         padded,
		"unknown source":         unknown,
		"another source":         elsewhere,
		"the native address":     native,
		"bearer instead":         signed("", "Authorization", "Bearer "+s.secret),
		"no content type":        noType,
	}
}

// bearerForgeries are requests to a source that is known by its token, none of
// which carries it.
func bearerForgeries(path, own, body string) map[string]forgery {
	authorised := func(value string) forgery {
		return forgery{path: path, body: body, header: headers("Content-Type", "application/json", "Authorization", value)}
	}
	elsewhere := authorised("Bearer " + own)
	elsewhere.path = "/api/v1/hooks/pipeline"
	native := authorised("Bearer " + own)
	native.path = "/api/v1/deployments"
	unknown := authorised("Bearer " + own)
	unknown.path = "/api/v1/hooks/nobody"
	query := authorised("")
	query.path += "?token=" + own
	other := func(name string) forgery {
		return forgery{path: path, body: body, header: headers("Content-Type", "application/json", name, own)}
	}
	return map[string]forgery{
		"nothing":                authorised(""),
		"empty bearer":           authorised("Bearer "),
		"wrong bearer":           authorised("Bearer wrong"),
		"token cut short":        authorised("Bearer " + own[:len(own)-1]),
		"token and more":         authorised("Bearer " + own + "x"),
		"upper-case token":       authorised("Bearer " + strings.ToUpper(own)),
		"two tokens":             authorised("Bearer wrong, Bearer " + own),
		"basic":                  authorised("Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+own))),
		"token without scheme":   authorised(own),
		"another scheme":         authorised("Token " + own),
		"another source's token": authorised("Bearer " + token),
		"a signing secret":       authorised("Bearer " + webhookKey),
		"an empty signature":     other("webhook-signature"),
		"in X-Gitlab-Token":      other("X-Gitlab-Token"),
		"in X-Auth-Token":        other("X-Auth-Token"),
		"in a cookie":            other("Cookie"),
		"signed with the token":  {path: path, body: body, header: headers("Content-Type", "application/json", "X-Hub-Signature-256", signGitHub(own, body), "X-Signature", signGitHub(own, body))},
		"token in the query":     query,
		"unknown source":         unknown,
		"another source":         elsewhere,
		"the native address":     native,
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
		"five minutes old":     at(5*time.Minute + 5*time.Second),
		"a month old":          at(31 * 24 * time.Hour),
		"five minutes ahead":   at(-5*time.Minute - 10*time.Second),
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
	event := recorded(t, "github_deployment_status.json")
	service := recorded(t, "cdevents_service_deployed.json")
	signed := signWebhook(t, webhookKey, "d-1", time.Now(), service)
	stale := signWebhook(t, webhookKey, "d-1", time.Now().Add(-31*24*time.Hour), service)
	providers := map[string]map[string]forgery{
		"native": nativeForgeries(t),
		"github": signature{path: "/api/v1/hooks/github", header: "X-Hub-Signature-256", secret: githubSecret, body: event,
			others: []string{"X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "d-1"}}.forgeries(),
		"flux":       signature{path: "/api/v1/hooks/flux", header: "X-Signature", secret: fluxSecret, body: recorded(t, "flux_helmrelease.json")}.forgeries(),
		"flux token": bearerForgeries("/api/v1/hooks/fluxtoken", fluxToken, recorded(t, "flux_helmrelease.json")),
		"argocd":     bearerForgeries("/api/v1/hooks/argocd", argocdToken, recorded(t, "argocd.json")),
		"cdevents":   bearerForgeries("/api/v1/hooks/tekton", cdeventsToken, service),
		"cdevents signed": {
			"another body":        {path: "/api/v1/hooks/keptn", body: strings.Replace(service, "deployed", "rolledback", 1), header: signed},
			"a month old":         {path: "/api/v1/hooks/keptn", body: service, header: stale},
			"at a bearer's hook":  {path: "/api/v1/hooks/tekton", body: service, header: signed},
			"at the native hook":  {path: "/api/v1/hooks/pipeline", body: service, header: signed},
			"another's bearer":    {path: "/api/v1/hooks/keptn", body: service, header: headers("Content-Type", "application/json", "Authorization", "Bearer "+cdeventsToken)},
			"its secret as token": {path: "/api/v1/hooks/keptn", body: service, header: headers("Content-Type", "application/json", "Authorization", "Bearer "+webhookKey)},
		},
	}
	for provider, forgeries := range providers {
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
					require.Regexp(t, `^(unknown|github|pipeline|tekton|keptn|flux|fluxtoken|argocd) unauthorized$`, key)
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
	require.False(t, bodySignature(signGitHub("", announced), body, []string{""}))
	require.Empty(t, signingKeys(""))
	require.Empty(t, signingKeys("whsec_"))
	require.Empty(t, signingKeys("whsec_not base64!"))
	require.Len(t, signingKeys("not base64!"), 1)
	require.Len(t, signingKeys("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 2)
}
