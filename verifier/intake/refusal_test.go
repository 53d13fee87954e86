package intake

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refusal is a line of the log.
type refusal struct {
	Level     string `json:"level"`
	Msg       string `json:"msg"`
	Source    string `json:"source"`
	Status    int    `json:"status"`
	Reason    string `json:"reason"`
	RequestID string `json:"request_id"`
	LeftOut   int    `json:"left_out"`
}

// listening starts an intake with a log and a clock that stands until it is
// moved.
func listening(t *testing.T) (d *daemon, log *bytes.Buffer, clock *time.Time) {
	log, at := &bytes.Buffer{}, now
	d = start(t, func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(log, nil))
		o.Now = func() time.Time { return at }
	})
	d.around(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "request-1") // as package api does
		d.mux.ServeHTTP(w, r)
	})
	return d, log, &at
}

func lines(t *testing.T, log *bytes.Buffer) (all []refusal) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var r refusal
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		all = append(all, r)
	}
	log.Reset()
	return all
}

func TestRefusalsAreLogged(t *testing.T) {
	d, log, clock := listening(t)
	old := signWebhook(t, gitlabKey, "d-1", time.Now().Add(-6*time.Minute), "{}")
	noID := signWebhook(t, gitlabKey, "d-1", time.Now(), "{}")
	noID.Del("webhook-id")
	tests := map[string]struct {
		path, body string
		header     http.Header
		want       refusal
	}{
		"nothing": {"/api/v1/hooks/github", "{}", headers(), refusal{Source: "github", Status: 401, Reason: "it has no header X-Hub-Signature-256"}},
		"bearer for a signature": {"/api/v1/hooks/github", "{}", headers("Authorization", "Bearer "+githubSecret),
			refusal{Source: "github", Status: 401, Reason: "it has no header X-Hub-Signature-256; it has Authorization, which is not taken here"}},
		"sha1 alone": {"/api/v1/hooks/github", "{}", headers("X-Hub-Signature", "sha1=00"),
			refusal{Source: "github", Status: 401, Reason: "it has no header X-Hub-Signature-256; it has X-Hub-Signature, which is not taken here"}},
		"sha1 in the place of sha256": {"/api/v1/hooks/github", "{}", headers("X-Hub-Signature-256", "sha1=00"),
			refusal{Source: "github", Status: 401, Reason: `X-Hub-Signature-256 does not begin with "sha256=", the one kind that is taken`}},
		"another secret": {"/api/v1/hooks/github", "{}", headers("X-Hub-Signature-256", signGitHub("wrong", "{}")),
			refusal{Source: "github", Status: 401, Reason: "X-Hub-Signature-256 was made with another secret, or of another body"}},
		"a late signature": {"/api/v1/hooks/gitlabsigned", "{}", old,
			refusal{Source: "gitlabsigned", Status: 401, Reason: "webhook-timestamp lies 6m0s from this clock, more than 5m0s: look at both clocks, and at what holds deliveries up"}},
		"a signature without id": {"/api/v1/hooks/gitlabsigned", "{}", noID,
			refusal{Source: "gitlabsigned", Status: 401, Reason: "webhook-signature is signed together with webhook-id, which is missing"}},
		"a signature of another secret": {"/api/v1/hooks/gitlabsigned", "{}", signWebhook(t, webhookKey, "d-1", time.Now(), "{}"),
			refusal{Source: "gitlabsigned", Status: 401, Reason: "webhook-signature was made with another secret, or of another body"}},
		"a token where signatures are wanted": {"/api/v1/hooks/gitlabsigned", "{}", headers("X-Gitlab-Token", gitlabSecretToken),
			refusal{Source: "gitlabsigned", Status: 401, Reason: "it has no header webhook-signature; it has X-Gitlab-Token, which is not taken here"}},
		"a wrong token": {"/api/v1/hooks/gitlab", "{}", headers("X-Gitlab-Token", "wrong"),
			refusal{Source: "gitlab", Status: 401, Reason: "X-Gitlab-Token is none of the source's tokens"}},
		"a token for flux that signs": {"/api/v1/hooks/flux", "{}", headers("Authorization", "Bearer "+fluxToken),
			refusal{Source: "flux", Status: 401, Reason: "it has no header X-Signature; it has Authorization, which is not taken here"}},
		"a password for a bearer": {"/api/v1/hooks/argocd", "{}", headers("Authorization", basic("postflight", argocdToken)),
			refusal{Source: "argocd", Status: 401, Reason: "Authorization is no Bearer"}},
		"neither of two": {"/api/v1/hooks/jenkins", "{}", headers("Authorization", "Digest "+jenkinsToken),
			refusal{Source: "jenkins", Status: 401, Reason: "Authorization is no Bearer or Basic"}},
		"a wrong password": {"/api/v1/hooks/jenkins", "{}", headers("Authorization", basic("postflight", "wrong")),
			refusal{Source: "jenkins", Status: 401, Reason: "the token in Authorization is none that is known here"}},
		"a misspelled source": {"/api/v1/hooks/githib%0Alevel=ERROR", "{}", headers("X-Hub-Signature-256", "sha256=00"),
			refusal{Source: "unknown", Status: 401, Reason: "no configured source has this address"}},
		"no native source": {"/api/v1/deployments", announced, headers("X-Gitlab-Token", token),
			refusal{Source: "unknown", Status: 401, Reason: "it has no header Authorization or webhook-signature; it has X-Gitlab-Token, which is not taken here"}},
		"a wrong field": {"/api/v1/deployments", `{"service":"checkout","environment":"","version":"C4nary"}`, bearerHeaders(),
			refusal{Source: "pipeline", Status: 422, Reason: "the notification has wrong fields: correct them and send it again; environment is required and must not be empty"}},
		"no JSON": {"/api/v1/deployments", `C4nary`, bearerHeaders(),
			refusal{Source: "pipeline", Status: 400, Reason: "the body is no JSON"}},
		"a form": {"/api/v1/deployments", announced, bearerHeaders("Content-Type", "application/x-www-form-urlencoded"),
			refusal{Source: "pipeline", Status: 415, Reason: "notifications are taken as application/json: set the webhook's content type to that"}},
		"too large": {"/api/v1/deployments", strings.Repeat(" ", int(DefaultMaxBody)+1), bearerHeaders(),
			refusal{Source: "pipeline", Status: 413, Reason: "the body is larger than the source's limit of 1048576 bytes: send less, or raise the source's max_body"}},
	}
	for name, tt := range tests {
		*clock = clock.Add(time.Minute)
		r := d.post(tt.path, tt.body, tt.header)
		require.Equal(t, tt.want.Status, r.status, name)
		text := log.String()
		got := lines(t, log)
		require.Len(t, got, 1, name)
		tt.want.Level, tt.want.Msg, tt.want.RequestID = "WARN", "notification refused", "request-1"
		if name == "no JSON" {
			require.Contains(t, got[0].Reason, tt.want.Reason, name)
			got[0].Reason = tt.want.Reason
		}
		got[0].Reason = strings.Replace(got[0].Reason, " 6m1s ", " 6m0s ", 1) // the second may have turned
		require.Equal(t, tt.want, got[0], name)
		for _, secret := range []string{token, githubSecret, gitlabKey, gitlabSecretToken, jenkinsToken, fluxToken, argocdToken, "C4nary", "wrong\"", "githib"} {
			require.NotContains(t, text, secret, name)
			require.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(secret)), name)
		}
	}
}

// Every way to forge a notification has a reason of one of a few kinds, and the
// reason is nothing that was sent.
func TestReasonsOfForgeriesHoldNothingThatWasSent(t *testing.T) {
	d, log, clock := listening(t)
	for format, c := range conformances(t) {
		for name, f := range forged(t, c) {
			*clock = clock.Add(time.Minute)
			require.Equal(t, 401, d.post(f.path, f.body, f.header).status)
			got := lines(t, log)
			require.Len(t, got, 1, "%s: %s", format, name)
			require.Regexp(t, `^(it has no header [\w-]+( or [\w-]+)?(; it has [\w -]+, which is not taken here)?|no configured source has this address|Authorization is no Bearer( or Basic)?|the token in Authorization is none that is known here|X-Gitlab-Token is none of the source's tokens|webhook-(timestamp|signature) [^"]+|X-(Hub-Signature-256|Signature) (was made with another secret, or of another body|does not begin with "sha256=", the one kind that is taken))$`, got[0].Reason, "%s: %s", format, name)
			require.NotContains(t, got[0].Reason, c.own)
		}
	}
}

func TestRefusalsAreCountedRatherThanLoggedEach(t *testing.T) {
	d, log, clock := listening(t)
	forge := func(path string) { require.Equal(t, 401, d.post(path, "{}", headers()).status) }
	for range 5 {
		forge("/api/v1/hooks/github")
		forge("/api/v1/hooks/gitlab")
	}
	for i := range 5 {
		forge("/api/v1/hooks/unknown-" + strings.Repeat("x", i)) // strangers can't add to the kinds
	}
	require.Equal(t, 422, d.post("/api/v1/deployments", `{"service":1}`, bearerHeaders()).status)
	var sources []string
	for _, l := range lines(t, log) {
		require.Zero(t, l.LeftOut)
		sources = append(sources, l.Source)
	}
	require.Equal(t, []string{"github", "gitlab", "unknown", "pipeline"}, sources)
	require.Len(t, d.server.refusals.last, 4)

	*clock = clock.Add(time.Second)
	forge("/api/v1/hooks/github")
	forge("/api/v1/hooks/github")
	got := lines(t, log)
	require.Len(t, got, 1)
	require.Equal(t, 4, got[0].LeftOut)

	*clock = clock.Add(-time.Hour) // a clock that is set back silences nothing
	forge("/api/v1/hooks/github")
	got = lines(t, log)
	require.Len(t, got, 1)
	require.Equal(t, 1, got[0].LeftOut)
}

// What was sent can't write lines of its own, nor turn those of others around.
func TestRefusalsCantInjectLines(t *testing.T) {
	d, log, _ := listening(t)
	hostile := "versio\n\x1b[31mlevel=ERROR\u202e\u2028"
	body, err := json.Marshal(map[string]any{"service": "a", "environment": "b", hostile: "1"})
	require.NoError(t, err)
	h := bearerHeaders()
	maps.Copy(h, headers("X-Hub-Signature", "x"))
	require.Equal(t, 422, d.post("/api/v1/deployments", string(body), h).status)
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	for _, r := range lines(t, log)[0].Reason {
		require.NotContains(t, "\n\x1b\u202e\u2028", string(r))
	}
	require.Equal(t, "a\ufffdb\ufffdc", plainText("a\nb\u202ec"))
	require.Equal(t, strings.Repeat("x", 200)+"...", plainText(strings.Repeat("x", 5000)))
}
