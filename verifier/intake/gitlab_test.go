package intake

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func decodeGitLab(t testing.TB, changes ...string) (verifier.Notification, string, error) {
	t.Helper()
	return gitlab{}.decode(headers("X-Gitlab-Event", "Deployment Hook"), []byte(changed(t, recorded(t, "gitlab_deployment.json"), changes...)), Mapping{})
}

func TestGitLabStatuses(t *testing.T) {
	at := time.Date(2021, 4, 28, 19, 50, 0, 0, time.UTC)
	for status, want := range map[string]struct {
		status            verifier.DeploymentStatus
		started, finished time.Time
		ignored           string
	}{
		"running":  {verifier.DeployStarted, at, time.Time{}, ""},
		"success":  {verifier.DeployFinished, time.Time{}, at, ""},
		"failed":   {verifier.DeployFailed, time.Time{}, at, ""},
		"canceled": {verifier.DeployFailed, time.Time{}, at, ""},
		"created":  {ignored: `deployment status "created" starts nothing`},
		"blocked":  {ignored: `deployment status "blocked" starts nothing`},
		"skipped":  {ignored: `deployment status "skipped" starts nothing`},
		"":         {ignored: `deployment status "" starts nothing`},
	} {
		n, ignored, err := decodeGitLab(t, "status", quoted(status))
		require.NoError(t, err)
		require.Equal(t, want.ignored, ignored)
		require.Equal(t, want.status, n.Deployment.Status)
		require.True(t, want.started.Equal(n.Deployment.StartedAt), status)
		require.True(t, want.finished.Equal(n.Deployment.FinishedAt), status)
	}
}

func TestGitLabTimes(t *testing.T) {
	want := time.Date(2021, 4, 28, 19, 50, 0, 0, time.UTC)
	for _, text := range []string{"2021-04-28 21:50:00 +0200", "2021-04-28 19:50:00 UTC", "2021-04-28T19:50:00Z", "2021-04-28T21:50:00.000+02:00"} {
		n, _, err := decodeGitLab(t, "status_changed_at", quoted(text))
		require.NoError(t, err, text)
		require.True(t, want.Equal(n.Deployment.FinishedAt), text)
	}
	for _, text := range []string{"2021-04-28 21:50:00 CEST", "2021-04-28", "28.4.2021", "1619639400"} {
		_, _, err := decodeGitLab(t, "status_changed_at", quoted(text))
		require.Equal(t, "status_changed_at", wrongFields(t, err), text)
	}
}

// Four refusals in a row switch the hook off: what can't be used is told
// otherwise.
func TestGitLabIsNeverRefusedItsEvents(t *testing.T) {
	var log bytes.Buffer
	now := time.Now()
	d := start(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Now = func() time.Time { now = now.Add(time.Minute); return now } // each refusal gets its line
	})
	tier, err := NewMapping("", "$.environment_tier", "")
	require.NoError(t, err)
	byMap := Source{Name: "tier", Format: "gitlab", Tokens: []string{"token-of-the-tier"}, Map: tier}
	d.settings.Sources = append(d.settings.Sources, byMap)
	valid := recorded(t, "gitlab_deployment.json")
	send := func(source, token, body string) reply {
		t.Helper()
		return d.post("/api/v1/hooks/"+source, body, headers("Content-Type", "application/json", "X-Gitlab-Event", "Deployment Hook", "X-Gitlab-Token", token,
			"Idempotency-Key", fmt.Sprint(len(d.memory.acceptances), len(body))))
	}
	require.Equal(t, 202, send("gitlab", gitlabSecretToken, valid).status)
	for name, tt := range map[string]struct{ source, token, body, ignored, result string }{
		"no environment":        {"gitlab", gitlabSecretToken, changed(t, valid, "environment", "null"), "environment must not be empty", "invalid"},
		"started, none":         {"gitlab", gitlabSecretToken, changed(t, valid, "environment", "null", "status", `"running"`), "environment must not be empty", "invalid"},
		"no tier":               {"tier", "token-of-the-tier", changed(t, valid, "environment_tier", "-"), "map.environment points there", "invalid"},
		"a long environment":    {"gitlab", gitlabSecretToken, changed(t, valid, "environment", quoted(strings.Repeat("e", 254))), "longer than 253", "invalid"},
		"no version":            {"gitlab", gitlabSecretToken, changed(t, valid, "short_sha", "null", "ref", "null"), "short_sha must not be empty", "invalid"},
		"another form of time":  {"gitlab", gitlabSecretToken, changed(t, valid, "status_changed_at", `"28.4.2021"`), "status_changed_at must be", "invalid"},
		"another version":       {"gitlab", gitlabSecretToken, changed(t, valid, "short_sha", `"ffff"`), "announced before for version", "conflict"},
		"a large merge request": {"gitlab", gitlabSecretToken, `{"object_kind":"merge_request","x":"` + strings.Repeat("x", 1<<20) + `"}`, "larger than", "too_large"},
		"a key twice":           {"gitlab", gitlabSecretToken, `{"object_kind":"push","object_kind":"push"}`, "twice", "invalid"},
	} {
		log.Reset()
		clear(d.counts.seen)
		r := send(tt.source, tt.token, tt.body)
		require.Equal(t, 200, r.status, "%s: %s", name, r.body)
		require.Contains(t, r.Ignored, tt.ignored, name)
		require.Equal(t, map[string]int{tt.source + " " + tt.result: 1}, d.counts.all(), name)
		require.Contains(t, log.String(), "level=WARN", name)
		require.Contains(t, log.String(), "source="+tt.source, name)
	}
	require.Equal(t, 401, send("gitlab", "wrong", valid).status, "a stranger's")
	d.memory.err = verifier.Errorf(verifier.Unavailable, "store notification: locked")
	require.Equal(t, 503, send("gitlab", gitlabSecretToken, changed(t, valid, "deployment_id", "99")).status, "nothing is lost in silence")
}

func TestGitLabFields(t *testing.T) {
	plain, _, err := decodeGitLab(t)
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		changes []string
		want    func(*verifier.Deployment)
	}{
		"made by the API": {[]string{"deployable_id", "null", "deployable_url", "null"}, func(d *verifier.Deployment) {
			d.URL = d.Labels["commit"]
			d.URL = "http://10.126.0.2:3000/root/test-deployment-webhooks/-/commit/" + d.URL
		}},
		"no id of the deployment": {[]string{"deployment_id", "-"}, func(d *verifier.Deployment) { d.DeploymentID = "job/796" }},
		"no id at all":            {[]string{"deployment_id", "-", "deployable_id", "-"}, func(d *verifier.Deployment) { d.DeploymentID = "" }},
		"no commit":               {[]string{"short_sha", "null"}, func(d *verifier.Deployment) { d.Version = "1.0.0" }},
		"nobody":                  {[]string{"user", "null"}, func(d *verifier.Deployment) { d.Actor = "" }},
		"review app":              {[]string{"environment", `"review/feature-1"`, "environment_tier", `"development"`}, func(d *verifier.Deployment) { d.Environment, d.Labels["tier"] = "review/feature-1", "development" }},
	} {
		t.Run(name, func(t *testing.T) {
			want := plain.Deployment
			want.Labels = map[string]string{"ref": "1.0.0", "tier": "staging", "project": "root/test-deployment-webhooks", "commit": "279484c09fbe69ededfced8c1bb6e6d24616b468"}
			tt.want(&want)
			n, ignored, err := decodeGitLab(t, tt.changes...)
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.Equal(t, want, n.Deployment)
		})
	}
	_, _, err = decodeGitLab(t, "deployment_id", `"fifteen"`)
	require.Equal(t, "deployment_id", wrongFields(t, err))
}

// A 4xx switches a GitLab hook off: whatever isn't a deployment is answered 200.
func TestGitLabOtherEvents(t *testing.T) {
	d := start(t)
	for _, kind := range []string{"push", "tag_push", "issue", "note", "merge_request", "wiki_page", "pipeline", "build", "release", "feature_flag", "access_token", "emoji", "vulnerability", "not_yet_invented"} {
		body := `{"object_kind":` + quoted(kind) + `,"project":{"id":1},"environment":{"name":"production"}}`
		r := d.post("/api/v1/hooks/gitlab", body, headers("Content-Type", "application/json", "X-Gitlab-Token", gitlabSecretToken, "X-Gitlab-Event", "Some Hook"))
		require.Equal(t, 200, r.status, r.body)
		require.Contains(t, r.Ignored, kind)
	}
	// System hooks have other fields.
	r := d.post("/api/v1/hooks/gitlab", `{"event_name":"project_create"}`, headers("Content-Type", "application/json", "X-Gitlab-Token", gitlabSecretToken, "X-Gitlab-Event", "System Hook"))
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, `event "System Hook" starts nothing: only deployment events do`, r.Ignored)
	require.Zero(t, d.memory.rows())
}

// An environment may have no tier: four answers of 422 would switch the hook off.
func TestGitLabNullWhereTheMapLooks(t *testing.T) {
	d := start(t)
	h := headers("Content-Type", "application/json", "X-Gitlab-Token", gitlabSecretToken, "X-Gitlab-Event", "Deployment Hook")
	for rule, where := range map[string]string{"$.environment_tier": "$.environment_tier", "{{ .environment_tier }}": "map.environment"} {
		m, err := NewMapping("", rule, "")
		require.NoError(t, err)
		d.settings.Sources = []Source{{Name: "gitlab", Format: "gitlab", Tokens: []string{gitlabSecretToken}, Map: m}}
		r := d.post("/api/v1/hooks/gitlab", changed(t, recorded(t, "gitlab_deployment.json"), "environment_tier", "null"), h)
		require.Equal(t, 200, r.status, r.body)
		require.Equal(t, "the event has no environment: "+where+" is null, and the source's map.environment points there", r.Ignored)
		r = d.post("/api/v1/hooks/gitlab", changed(t, recorded(t, "gitlab_deployment.json"), "environment_tier", "-"), h)
		require.Equal(t, 200, r.status, "a path that leads nowhere is the configuration's fault, and GitLab no less touchy: %s", r.body)
		require.Contains(t, r.Ignored, "map.environment")
	}
	require.Zero(t, d.memory.rows())
	n, why, err := decodeGitLab(t, "environment_tier", "null")
	require.NoError(t, err)
	require.Empty(t, why, "where the map doesn't look, null is nothing")
	require.NotEmpty(t, n.Deployment.Environment)
}

// GitLab's secret token is a token; a secret only signs, and is never sent.
func TestGitLabTokens(t *testing.T) {
	h := func(token string) http.Header { return headers("X-Gitlab-Token", token) }
	require.False(t, gitlab{}.authentic(h("abcdefgh"), nil, Source{Secrets: []string{"abcdefgh"}}))
	require.True(t, gitlab{}.authentic(h("abcdefgh"), nil, Source{Tokens: []string{"x", "abcdefgh"}}))
	require.False(t, gitlab{}.authentic(h(gitlabKey), nil, Source{Secrets: []string{gitlabKey}}))
	require.False(t, gitlab{}.authentic(h(""), nil, Source{Tokens: []string{""}}))
}

func FuzzGitLab(f *testing.F) {
	f.Add([]byte(`{"object_kind":"deployment","status":"success","status_changed_at":"2021-04-28 21:50:00 +0200","deployment_id":1,"environment":"e","project":{"path_with_namespace":"a/b"},"short_sha":"f"}`))
	f.Add([]byte(`{"object_kind":"deployment","status":"running","deployable_id":2,"deployable_url":"https://a/","environment":"e","ref":"r","user":{"username":"u"},"commit_url":"https://a/-/commit/b"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := gitlab{}.decode(http.Header{}, body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}
