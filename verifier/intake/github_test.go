package intake

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// event is the recorded event with some of its fields replaced: by the path
// of each, with JSON for its value, or "-" to leave it out.
func event(t testing.TB, changes ...string) string {
	t.Helper()
	return changed(t, recorded(t, "github_deployment_status.json"), changes...)
}

// quoted is a text as JSON writes it.
func quoted(s string) string {
	b, _ := json.Marshal(s) // no text can't be written
	return string(b)
}

// changed is a JSON object with some of its fields replaced; ~ in a path is a
// dot within a key.
func changed(t testing.TB, object string, changes ...string) string {
	t.Helper()
	var top map[string]any
	require.NoError(t, json.Unmarshal([]byte(object), &top))
	for i := 0; i < len(changes); i += 2 {
		path := strings.Split(changes[i], ".")
		at := top
		for _, key := range path[:len(path)-1] {
			at = at[strings.ReplaceAll(key, "~", ".")].(map[string]any)
		}
		last := strings.ReplaceAll(path[len(path)-1], "~", ".")
		if changes[i+1] == "-" {
			delete(at, last)
			continue
		}
		at[last] = json.RawMessage(changes[i+1])
	}
	b, err := json.Marshal(top)
	require.NoError(t, err)
	return string(b)
}

func decodeGitHub(t testing.TB, changes ...string) (verifier.Notification, string, error) {
	t.Helper()
	return github{}.decode(headers("X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "d-1"), []byte(event(t, changes...)), Mapping{})
}

func TestGitHubStates(t *testing.T) {
	created := time.Date(2019, 5, 15, 15, 20, 53, 0, time.UTC)
	reported := created.Add(2 * time.Second)
	tests := map[string]struct {
		status            verifier.DeploymentStatus
		started, finished time.Time
		ignored           string
	}{
		"success":     {verifier.DeployFinished, created, reported, ""},
		"in_progress": {verifier.DeployStarted, reported, time.Time{}, ""},
		"queued":      {verifier.DeployStarted, reported, time.Time{}, ""},
		"pending":     {verifier.DeployStarted, reported, time.Time{}, ""},
		"failure":     {verifier.DeployFailed, created, reported, ""},
		"error":       {verifier.DeployFailed, created, reported, ""},
		"inactive":    {verifier.DeployFailed, created, reported, ""},
		"waiting":     {ignored: `deployment status "waiting" starts nothing`},
		"":            {ignored: `deployment status "" starts nothing`},
	}
	for state, tt := range tests {
		t.Run(state, func(t *testing.T) {
			n, ignored, err := decodeGitHub(t, "deployment_status.state", `"`+state+`"`)
			require.NoError(t, err)
			require.Equal(t, tt.ignored, ignored)
			require.Equal(t, tt.status, n.Deployment.Status)
			require.True(t, tt.started.Equal(n.Deployment.StartedAt))
			require.True(t, tt.finished.Equal(n.Deployment.FinishedAt))
		})
	}
}

// A deploy that was taken back before its end is under way no longer; one that
// had succeeded, and that another has followed, stays a finished one.
func TestGitHubInactive(t *testing.T) {
	for before, want := range map[string]verifier.DeploymentStatus{"in_progress": verifier.DeployFailed, "success": verifier.DeployFinished} {
		d := start(t)
		for i, state := range []string{before, "inactive"} {
			body := event(t, "deployment_status.state", quoted(state), "deployment_status.created_at", quoted(fmt.Sprintf("2019-05-15T15:20:5%dZ", 5+i)))
			r := d.post("/api/v1/hooks/github", body, githubHeaders("deployment_status", fmt.Sprint("d-", i), body))
			require.Contains(t, []int{200, 202}, r.status, r.body)
		}
		last := d.memory.deployments[len(d.memory.deployments)-1]
		require.Equal(t, want, last.Status, before)
		require.Equal(t, d.memory.deployments[0].ID, last.ID)
	}
}

func TestGitHubFields(t *testing.T) {
	plain, _, err := decodeGitHub(t)
	require.NoError(t, err)
	tests := map[string]struct {
		changes []string
		want    func(*verifier.Deployment)
	}{
		"service in the payload":       {[]string{"deployment.payload", `{"service":"checkout"}`}, func(d *verifier.Deployment) { d.Service = "checkout" }},
		"service of another type":      {[]string{"deployment.payload", `{"service":{"name":"checkout"},"rollback":1}`}, func(*verifier.Deployment) {}},
		"payload as text":              {[]string{"deployment.payload", `"{\"service\":\"checkout\"}"`}, func(d *verifier.Deployment) { d.Service = "checkout" }},
		"payload is some text":         {[]string{"deployment.payload", `"release"`}, func(*verifier.Deployment) {}},
		"payload null":                 {[]string{"deployment.payload", "null"}, func(*verifier.Deployment) {}},
		"no payload":                   {[]string{"deployment.payload", "-"}, func(*verifier.Deployment) {}},
		"payload list":                 {[]string{"deployment.payload", "[1]"}, func(*verifier.Deployment) {}},
		"revert id":                    {[]string{"deployment.payload", `{"postflight_revert_id":"rv_1"}`}, func(d *verifier.Deployment) { d.RevertID = "rv_1" }},
		"rollback":                     {[]string{"deployment.payload", `{"rollback":true}`}, func(d *verifier.Deployment) { d.Rollback = true }},
		"rollback as workflows say it": {[]string{"deployment.payload", `{"rollback":"true"}`}, func(d *verifier.Deployment) { d.Rollback = true }},
		"irreversible":                 {[]string{"deployment.payload", `{"reversible":false}`}, func(d *verifier.Deployment) { d.Irreversible = true }},
		"environment of the deployment": {[]string{"deployment_status.environment", `""`, "deployment.environment", `"staging"`},
			func(d *verifier.Deployment) { d.Environment = "staging" }},
		"environment of the status":  {[]string{"deployment_status.environment", `"eu"`}, func(d *verifier.Deployment) { d.Environment = "eu" }},
		"ref without a commit":       {[]string{"deployment.sha", "-", "deployment.ref", `"v7"`}, func(d *verifier.Deployment) { d.Version, d.Labels["ref"] = "v7", "v7"; delete(d.Labels, "commit") }},
		"log address":                {[]string{"deployment_status.log_url", `"https://log/1"`, "deployment_status.target_url", `"https://t/1"`}, func(d *verifier.Deployment) { d.URL = "https://log/1" }},
		"target address":             {[]string{"deployment_status.target_url", `"https://t/1"`}, func(d *verifier.Deployment) { d.URL = "https://t/1" }},
		"environment address":        {[]string{"deployment_status.environment_url", `"https://shop/"`}, func(d *verifier.Deployment) { d.Labels["environment_url"] = "https://shop/" }},
		"script instead of address":  {[]string{"deployment_status.log_url", `"javascript:alert(1)"`}, func(*verifier.Deployment) {}},
		"sender without a creator":   {[]string{"deployment.creator", "null", "sender.login", `"robot"`}, func(d *verifier.Deployment) { d.Actor = "robot" }},
		"odd texts that only inform": {[]string{"deployment.creator.login", `"a\u0007"`, "deployment.ref", `"x\ny"`}, func(d *verifier.Deployment) { d.Actor = ""; delete(d.Labels, "ref") }},
		"waited for an approval":     {[]string{"deployment.created_at", `"2019-05-15T10:00:00Z"`}, func(d *verifier.Deployment) { d.StartedAt = time.Time{} }},
		"no times": {[]string{"deployment.created_at", "-", "deployment_status.created_at", "-"},
			func(d *verifier.Deployment) { d.StartedAt, d.FinishedAt = time.Time{}, time.Time{} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := plain.Deployment
			want.Labels = map[string]string{"ref": "master", "task": "deploy", "repository": "Codertocat/Hello-World",
				"commit": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "deployment": "145988746"}
			tt.want(&want)
			n, ignored, err := decodeGitHub(t, tt.changes...)
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.Equal(t, want, n.Deployment)
		})
	}
}

func TestGitHubWrongFields(t *testing.T) {
	tests := map[string]struct {
		changes []string
		field   string
	}{
		"no id":                {[]string{"deployment.id", "-"}, "deployment.id"},
		"no commit and no ref": {[]string{"deployment.sha", "-", "deployment.ref", "-"}, "deployment.sha"},
		"no environment":       {[]string{"deployment_status.environment", "-", "deployment.environment", "-"}, "deployment_status.environment"},
		"no deployment":        {[]string{"deployment", "-"}, "deployment.sha,deployment.id"},
		"no repository":        {[]string{"repository", "-"}, "repository.full_name"},
		"another type":         {[]string{"deployment.id", `"seven"`}, "deployment.id"},
		"a long name":          {[]string{"repository.full_name", `"` + strings.Repeat("x", 254) + `"`}, "repository.full_name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeGitHub(t, tt.changes...)
			require.Equal(t, tt.field, wrongFields(t, err))
		})
	}
}

func TestGitHubOtherEvents(t *testing.T) {
	d := start(t)
	deployment := recorded(t, "github_deployment.json")
	for name, want := range map[string]string{
		"ping":         "the webhook works: deployment_status events will start verifications",
		"push":         `event "push" starts nothing: only deployment_status, deployment and workflow_run do`,
		"no_such":      `event "no_such" starts nothing: only deployment_status, deployment and workflow_run do`,
		"workflow_run": `workflow_run starts nothing: the source's only must name the workflows that deploy, such as only: { "$.workflow_run.path": .github/workflows/deploy.yml }`,
	} {
		r := d.post("/api/v1/hooks/github", deployment, githubHeaders(name, "d-1", deployment))
		require.Equal(t, 200, r.status, r.body)
		require.Equal(t, want, r.Ignored)
	}
	require.Zero(t, d.memory.rows())
	require.Equal(t, map[string]int{"github ignored": 4}, d.counts.all())

	h := githubHeaders("", "d-1", deployment)
	h.Del("X-GitHub-Event")
	r := d.post("/api/v1/hooks/github", deployment, h)
	require.Equal(t, 422, r.status)
	require.Equal(t, []string{"X-GitHub-Event"}, r.fields())
}

// A deployment that waits for an approval has not started: it holds rollbacks
// back, and when it begins is when it is told to.
func TestGitHubDeploymentThatWaits(t *testing.T) {
	created := time.Date(2026, 11, 23, 0, 30, 0, 0, time.UTC)
	at := func(ago time.Duration) string { return quoted(created.Add(ago).Format(time.RFC3339)) }
	d := start(t)
	asked := changed(t, recorded(t, "github_deployment.json"), "deployment.created_at", at(0))
	r := d.post("/api/v1/hooks/github", asked, githubHeaders("deployment", "d-1", asked))
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.Ignored, "only started")
	require.Equal(t, verifier.DeployStarted, d.memory.deployments[0].Status)
	require.True(t, d.memory.deployments[0].Queued)
	for i, state := range []string{"waiting", "queued", "in_progress", "success"} {
		body := event(t, "deployment_status.state", quoted(state), "deployment.created_at", at(0), "deployment_status.created_at", at(127*time.Minute+time.Duration(i)*time.Minute),
			"deployment.id", "145988746")
		r = d.post("/api/v1/hooks/github", body, githubHeaders("deployment_status", state, body))
	}
	require.Equal(t, 202, r.status, r.body)
	last := d.memory.deployments[len(d.memory.deployments)-1]
	require.Equal(t, verifier.DeployFinished, last.Status)
	require.Equal(t, created.Add(130*time.Minute), last.FinishedAt.UTC())
	require.Equal(t, created.Add(129*time.Minute), last.StartedAt.UTC(), "when it was told to be in progress")
}

func TestGitHubWithoutADeliveryID(t *testing.T) {
	n, _, err := github{}.decode(headers("X-GitHub-Event", "deployment_status"), []byte(event(t)), Mapping{})
	require.NoError(t, err)
	require.Equal(t, "deployment/145988746/status/209916254", n.DeliveryID)
}

// Whatever the order of a deploy's events, one verification is opened.
func TestGitHubEventsInAnyOrder(t *testing.T) {
	states := []string{"queued", "in_progress", "success"}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		d := start(t)
		opened := 0
		for _, i := range order {
			body := event(t, "deployment_status.state", `"`+states[i]+`"`)
			r := d.post("/api/v1/hooks/github", body, githubHeaders("deployment_status", states[i], body))
			require.Contains(t, []int{200, 202}, r.status, r.body)
			if r.status == 202 {
				opened++
			}
		}
		require.Equal(t, 1, opened, "%v", order)
		require.Len(t, d.memory.verifications, 1)
	}
}

func FuzzGitHub(f *testing.F) {
	// Small seeds: the recorded event would keep the fuzzer busy with making it
	// smaller.
	f.Add([]byte(`{"deployment_status":{"id":1,"state":"success","environment":"e","log_url":"https://a/","created_at":"2019-05-15T15:20:55Z"},"deployment":{"id":7,"sha":"f9","ref":"m","task":"d","creator":{"login":"c"},"created_at":1557933653},"repository":{"full_name":"a/b"}}`))
	f.Add([]byte(`{"deployment_status":{"state":"failure"},"deployment":{"id":7,"ref":"m","environment":"e","payload":"{\"rollback\":\"true\"}"},"repository":{"full_name":"a/b"},"sender":{"login":"s"}}`))
	f.Add([]byte(`{"deployment_status":{"state":"queued","environment":"e"},"deployment":{"id":7,"sha":"f","payload":{"service":"s","postflight_revert_id":"rv","reversible":false}}}`))
	f.Add([]byte("{}"))
	h := headers("X-GitHub-Event", "deployment_status", "X-GitHub-Delivery", "d-1")
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := github{}.decode(h, body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}
