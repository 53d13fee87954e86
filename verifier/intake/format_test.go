package intake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const announced = `{"service":"checkout","environment":"production","version":"1.42.0","previous_version":"1.41.3","deployment_id":"ci-918273",
 "status":"finished","actor":"dana","started_at":"2026-11-23T02:38:40Z","url":"https://ci.example/918273","finished_at":"2026-11-23T02:41:07Z",
 "reversible":true,"rollback":false,"revert_id":"","release_id":"","changed_paths":[],"labels":{"team":"pay"},
 "approval":{"by":["release manager"],"conditions":["off-peak only"],"url":""}}`

func recorded(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return string(b)
}

func signGitHub(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func signWebhook(t testing.TB, secret, id string, at time.Time, body string) http.Header {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	signature, err := hook.Sign(id, at, []byte(body))
	require.NoError(t, err)
	return headers("Content-Type", "application/json", "webhook-id", id, "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", signature)
}

func githubHeaders(event, delivery, body string) http.Header {
	return headers("Content-Type", "application/json", "X-GitHub-Event", event, "X-GitHub-Delivery", delivery, "X-Hub-Signature-256", signGitHub(githubSecret, body))
}

// conformance is what every format must show.
type conformance struct {
	source  string
	path    string
	sign    func(t *testing.T, id, body string) http.Header
	valid   string // opens a verification
	minimal string // without any optional field
	hostile string // names that no page should show
	wrong   []string
	want    verifier.Deployment
	// delivery is the id of the delivery; "" is the one that it was signed
	// with, as in formats whose senders give one.
	delivery string
}

func conformances(t *testing.T) map[string]conformance {
	bearer := func(_ *testing.T, id, _ string) http.Header { return bearerHeaders("Idempotency-Key", id) }
	signed := func(t *testing.T, id, body string) http.Header {
		return signWebhook(t, webhookKey, id, time.Now(), body)
	}
	event := recorded(t, "github_deployment_status.json")
	nativeWant := verifier.Deployment{
		DeploymentID: "ci-918273", Service: "checkout", Environment: "production", Version: "1.42.0", Previous: "1.41.3",
		Status: verifier.DeployFinished, Actor: "dana", URL: "https://ci.example/918273",
		StartedAt:    time.Date(2026, 11, 23, 2, 38, 40, 0, time.UTC),
		FinishedAt:   time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC),
		ChangedPaths: []string{}, Labels: map[string]string{"team": "pay"},
		Approval: &verifier.Approval{By: []string{"release manager"}, Conditions: []string{"off-peak only"}},
	}
	minimal := `{"service":"checkout","environment":"production","version":"1.42.0"}`
	hostile := `{"service":"check\u202eout","environment":"pro\nduction","version":"1.42.0\u0000","actor":"<b>\u0007</b>","url":"javascript:alert(1)"}`
	wrong := []string{"actor", "environment", "service", "url", "version"}
	all := map[string]conformance{
		"native bearer": {source: "pipeline", path: "/api/v1/deployments", sign: bearer, valid: announced, minimal: minimal, hostile: hostile, wrong: wrong, want: nativeWant},
		"native signed": {source: "signed", path: "/api/v1/deployments", sign: signed, valid: announced, minimal: minimal, hostile: hostile, wrong: wrong, want: nativeWant},
		"native hook":   {source: "signed", path: "/api/v1/hooks/signed", sign: signed, valid: announced, minimal: minimal, hostile: hostile, wrong: wrong, want: nativeWant},
		"github": {
			source: "github", path: "/api/v1/hooks/github",
			sign:    func(_ *testing.T, id, body string) http.Header { return githubHeaders("deployment_status", id, body) },
			valid:   event,
			minimal: `{"deployment_status":{"state":"success","environment":"production"},"deployment":{"id":7,"sha":"f95f852b"},"repository":{"full_name":"a/b"}}`,
			hostile: `{"deployment_status":{"state":"success","environment":"pro\nd","target_url":"javascript:alert(1)"},"deployment":{"id":7,"sha":"\u202ef95f852b","creator":{"login":"\u0007"}},"repository":{"full_name":"a/\u0000b"}}`,
			wrong:   []string{"deployment.sha", "deployment_status.environment", "repository.full_name"},
			want: verifier.Deployment{
				DeploymentID: "145988746", Service: "Codertocat/Hello-World", Environment: "production",
				Version: "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", Status: verifier.DeployFinished, Actor: "Codertocat",
				StartedAt:  time.Date(2019, 5, 15, 15, 20, 53, 0, time.UTC),
				FinishedAt: time.Date(2019, 5, 15, 15, 20, 55, 0, time.UTC),
				Labels:     map[string]string{"ref": "master", "task": "deploy", "repository": "Codertocat/Hello-World"},
			},
		},
	}
	maps.Copy(all, cdeventsConformances(t))
	maps.Copy(all, fluxConformances(t))
	maps.Copy(all, argocdConformances(t))
	return all
}

func TestFormats(t *testing.T) {
	for name, c := range conformances(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("valid, duplicate and replay", c.testDuplicates)
			t.Run("the same delivery at once", c.testConcurrent)
			t.Run("refused", c.testRefused)
			t.Run("absent optional fields", func(t *testing.T) {
				d := start(t)
				r := d.post(c.path, c.minimal, c.sign(t, "d-1", c.minimal))
				require.Equal(t, 202, r.status, r.body)
			})
			t.Run("hostile text", func(t *testing.T) {
				d := start(t)
				r := d.post(c.path, c.hostile, c.sign(t, "d-1", c.hostile))
				require.Equal(t, 422, r.status, r.body)
				require.Equal(t, c.wrong, r.fields())
				require.Zero(t, d.memory.rows())
				require.Equal(t, map[string]int{c.source + " invalid": 1}, d.counts.all())
			})
		})
	}
}

func (c conformance) testDuplicates(t *testing.T) {
	d := start(t)
	opened := d.post(c.path, c.valid, c.sign(t, "d-1", c.valid))
	require.Equal(t, 202, opened.status, opened.body)
	require.Regexp(t, `^vf_[a-z0-9]{26}$`, opened.VerificationID)
	require.Equal(t, "https://postflight.example/verifications/"+opened.VerificationID, opened.URL)
	require.Equal(t, "shadow", opened.Mode)
	require.NotNil(t, opened.ClosesAt)
	n := d.memory.notifications[0]
	delivery := c.delivery
	if delivery == "" {
		delivery = "d-1"
	}
	require.Equal(t, delivery, n.DeliveryID)
	require.Equal(t, c.source, n.Source)
	want := c.want
	want.Source = c.source
	require.Equal(t, want, n.Deployment)

	for _, id := range []string{"d-1", "d-2"} { // the delivery again, and the deploy again
		again := d.post(c.path, c.valid, c.sign(t, id, c.valid))
		require.Equal(t, 200, again.status, again.body)
		require.Equal(t, opened.Receipt, again.Receipt)
	}
	require.Len(t, d.memory.verifications, 1)
	require.Equal(t, map[string]int{c.source + " accepted": 1, c.source + " duplicate": 2}, d.counts.all())
}

func (c conformance) testConcurrent(t *testing.T) {
	d := start(t)
	header := c.sign(t, "d-1", c.valid)
	replies := make([]reply, 100)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = d.post(c.path, c.valid, header) })
	}
	wg.Wait()
	opened := 0
	for _, r := range replies {
		require.Equal(t, replies[0].VerificationID, r.VerificationID)
		if r.status == 202 {
			opened++
		}
	}
	require.Equal(t, 1, opened)
	require.Len(t, d.memory.verifications, 1)
}

func (c conformance) testRefused(t *testing.T) {
	big := strings.TrimSuffix(strings.TrimSpace(c.minimal), "}") + `,"padding":"` + strings.Repeat("x", 1<<20) + `"}`
	tests := map[string]struct {
		body   string
		header func(http.Header)
		status int
		result string
		detail string
	}{
		"oversize":          {body: big, status: 413, result: "too_large", detail: "1048576 bytes"},
		"cut off":           {body: c.valid[:len(c.valid)/2], status: 400, result: "invalid", detail: "no JSON"},
		"empty":             {body: "", status: 400, result: "invalid", detail: "exactly one JSON object"},
		"list":              {body: "[]", status: 400, result: "invalid", detail: "JSON object"},
		"null":              {body: "null", status: 400, result: "invalid", detail: "not null"},
		"two objects":       {body: "{}{}", status: 400, result: "invalid", detail: "exactly one"},
		"duplicate key":     {body: `{"a":1,"a":2}`, status: 400, result: "invalid", detail: `"a" is there twice`},
		"too deep":          {body: `{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", status: 400, result: "invalid", detail: "deeper than 32"},
		"a million lists":   {body: strings.Repeat("[", 1e6), status: 400, result: "invalid", detail: "deeper than 32"},
		"byte order mark":   {body: "\xef\xbb\xbf" + c.valid, status: 400, result: "invalid", detail: "byte order mark"},
		"invalid UTF-8":     {body: strings.Replace(c.minimal, "production", "prod\xff", 1), status: 400, result: "invalid", detail: "UTF-8"},
		"form":              {body: c.valid, header: func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }, status: 415, result: "invalid", detail: "application/json"},
		"no content type":   {body: c.valid, header: func(h http.Header) { h.Del("Content-Type") }, status: 415, result: "invalid", detail: "application/json"},
		"gzip":              {body: c.valid, header: func(h http.Header) { h.Set("Content-Encoding", "gzip") }, status: 415, result: "invalid", detail: "compressed"},
		"a charset is fine": {body: c.valid, header: func(h http.Header) { h.Set("Content-Type", "application/json; charset=utf-8") }, status: 202, result: "accepted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			h := c.sign(t, "d-1", tt.body)
			if tt.header != nil {
				tt.header(h)
			}
			r := d.post(c.path, tt.body, h)
			require.Equal(t, tt.status, r.status, r.body)
			require.Contains(t, r.Detail, tt.detail)
			if tt.status != 202 {
				require.Zero(t, d.memory.rows())
			}
			if tt.result != "too_large" || !strings.HasPrefix(c.path, "/api/v1/deployments") || c.source == "pipeline" {
				require.Equal(t, map[string]int{c.source + " " + tt.result: 1}, d.counts.all())
			}
		})
	}
}

func TestFormatsAreListed(t *testing.T) {
	require.Equal(t, []string{"argocd", "cdevents", "flux", "github", "native"}, Formats())
}

func ExampleFormats() {
	fmt.Println(Formats())
	// Output: [argocd cdevents flux github native]
}
