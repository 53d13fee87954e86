package intake

import (
	"net/http"
	"strings"
	"testing"

	gh "github.com/google/go-github/v84/github"
	"github.com/stretchr/testify/require"
)

// The vector is published in GitHub's "Validating webhook deliveries".
func TestPublishedGitHubVector(t *testing.T) {
	h := headers(gh.SHA256SignatureHeader, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	require.True(t, bodySignature(h.Get(gh.SHA256SignatureHeader), []byte("Hello, World!"), []string{githubSecret}))
	require.False(t, bodySignature(h.Get(gh.SHA256SignatureHeader), []byte("Hello, World"), []string{githubSecret}))
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
