package intake

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func decodeJenkins(t testing.TB, changes ...string) (verifier.Notification, string, error) {
	t.Helper()
	return jenkins{}.decode(http.Header{}, []byte(changed(t, recorded(t, "jenkins.json"), changes...)), Mapping{})
}

func TestJenkinsPhases(t *testing.T) {
	for name, tt := range map[string]struct {
		phase, status string
		want          verifier.DeploymentStatus
		ignored       string
	}{
		"completed":                    {"COMPLETED", "SUCCESS", verifier.DeployFinished, ""},
		"finalized":                    {"FINALIZED", "SUCCESS", verifier.DeployFinished, ""},
		"unstable":                     {"COMPLETED", "UNSTABLE", verifier.DeployFinished, ""},
		"failed":                       {"COMPLETED", "FAILURE", verifier.DeployFailed, ""},
		"aborted":                      {"FINALIZED", "ABORTED", verifier.DeployFailed, ""},
		"not built":                    {"COMPLETED", "NOT_BUILT", verifier.DeployFailed, ""},
		"a new result":                 {"COMPLETED", "NEW_RESULT", "", `a build with status "NEW_RESULT" starts nothing`},
		"started, of another's status": {"STARTED", "FAILURE", verifier.DeployStarted, ""},
		"queued":                       {"QUEUED", "SUCCESS", "", `a build in phase "QUEUED" starts nothing`},
		"none":                         {"NONE", "SUCCESS", "", `a build in phase "NONE" starts nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			n, ignored, err := decodeJenkins(t, "build.phase", quoted(tt.phase), "build.status", quoted(tt.status))
			require.NoError(t, err)
			require.Equal(t, tt.ignored, ignored)
			require.Equal(t, tt.want, n.Deployment.Status)
		})
	}
	_, _, err := decodeJenkins(t, "build", "{}")
	require.Equal(t, "build.phase", wrongFields(t, err))
}

func TestJenkinsFields(t *testing.T) {
	plain, _, err := decodeJenkins(t)
	require.NoError(t, err)
	const commit = "c6d86dc654b12425e706bcf951adfe5a8627a517"
	end := time.UnixMilli(1795401667000).UTC()
	for name, tt := range map[string]struct {
		changes []string
		want    func(*verifier.Deployment)
	}{
		"no parameter of a version": {[]string{"build.parameters.VERSION", "-"}, func(d *verifier.Deployment) { d.Version = commit }},
		"no parameter of a service": {[]string{"build.parameters.SERVICE", "-"}, func(d *verifier.Deployment) { d.Service = "checkout-deploy" }},
		"parameters in small letters": {[]string{"build.parameters", `{"service":"cart","env":"eu","version":7}`},
			func(d *verifier.Deployment) { d.Service, d.Environment, d.Version = "cart", "eu", "7" }},
		"a rollback":   {[]string{"build.parameters.ROLLBACK", `"true"`, "build.parameters.REVERSIBLE", "false"}, func(d *verifier.Deployment) { d.Rollback, d.Irreversible = true, true }},
		"our rollback": {[]string{"build.parameters.POSTFLIGHT_REVERT_ID", `"rv_1"`}, func(d *verifier.Deployment) { d.RevertID = "rv_1" }},
		"time as text": {[]string{"build.timestamp", `"1795401667000"`}, func(*verifier.Deployment) {}},
		"time of older plugins": {[]string{"build.timestamp", `"2026-11-23T02:41:07.5+00:00"`, "build.duration", "0"},
			func(d *verifier.Deployment) {
				d.StartedAt, d.FinishedAt = time.Time{}, time.Date(2026, 11, 23, 2, 41, 7, 5e8, time.UTC)
			}},
		"finalized comes later": {[]string{"build.phase", `"FINALIZED"`}, func(d *verifier.Deployment) { d.StartedAt, d.FinishedAt = end.Add(-147*time.Second), time.Time{} }},
		"paths that can't be":   {[]string{"build.scm.changes", `["a\u0000","b"]`}, func(d *verifier.Deployment) { d.ChangedPaths = []string{"b"} }},
	} {
		t.Run(name, func(t *testing.T) {
			want := plain.Deployment
			tt.want(&want)
			n, ignored, err := decodeJenkins(t, tt.changes...)
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.True(t, want.FinishedAt.Equal(n.Deployment.FinishedAt))
			want.FinishedAt = n.Deployment.FinishedAt
			require.Equal(t, want, n.Deployment)
		})
	}
}

// What a build that begins says of its commit may be the build before's.
func TestJenkinsStartWithoutAVersion(t *testing.T) {
	_, ignored, err := decodeJenkins(t, "build.phase", `"STARTED"`, "build.parameters.VERSION", "-")
	require.NoError(t, err)
	require.Contains(t, ignored, "its version isn't known yet")
	m, err := NewMapping("", "", "$.build.scm.branch")
	require.NoError(t, err)
	n, ignored, err := jenkins{}.decode(http.Header{}, []byte(changed(t, recorded(t, "jenkins.json"), "build.phase", `"STARTED"`, "build.parameters.VERSION", "-")), m)
	require.NoError(t, err)
	require.Empty(t, ignored)
	require.Equal(t, "origin/main", n.Deployment.Version)
}

// A job that was made anew counts its builds from 1 again.
func TestJenkinsJobMadeAnew(t *testing.T) {
	d := start(t)
	for i, queue := range []string{"9173", "9200"} {
		body := changed(t, recorded(t, "jenkins.json"), "build.queue_id", queue, "build.parameters.VERSION", quoted(queue), "build.timestamp", []string{"1795401667000", "1795401677000"}[i])
		r := d.post("/api/v1/hooks/jenkins", body, byPassword(t, jenkinsToken, "", ""))
		require.Equal(t, 202, r.status, r.body)
	}
}

// Both tell of one build, whatever came in between.
func TestJenkinsCompletedThenFinalized(t *testing.T) {
	d := start(t)
	send := func(want int, changes ...string) {
		t.Helper()
		body := changed(t, recorded(t, "jenkins.json"), changes...)
		r := d.post("/api/v1/hooks/jenkins", body, byPassword(t, jenkinsToken, "", ""))
		require.Equal(t, want, r.status, r.body)
	}
	send(202)
	send(202, "build.full_url", `"https://jenkins.example/job/shop/job/checkout-deploy/419/"`, "build.number", "419", "build.parameters.VERSION", `"1.43.0"`, "build.timestamp", "1795401670000")
	send(200, "build.phase", `"FINALIZED"`, "build.timestamp", "1795401680000")
	require.Len(t, d.memory.verifications, 2)
}

// A build that has started and then built nothing deploys no longer: nothing
// may wait for it.
func TestJenkinsStartedThenNotBuilt(t *testing.T) {
	d := start(t)
	for _, changes := range [][]string{
		{"build.phase", `"STARTED"`, "build.timestamp", "1795401520000", "build.duration", "0"},
		{"build.status", `"NOT_BUILT"`}, {"build.status", `"NOT_BUILT"`, "build.phase", `"FINALIZED"`},
	} {
		r := d.post("/api/v1/hooks/jenkins", changed(t, recorded(t, "jenkins.json"), changes...), byPassword(t, jenkinsToken, "", ""))
		require.Equal(t, 200, r.status, r.body)
	}
	require.Empty(t, d.memory.verifications)
	last := d.memory.deployments[len(d.memory.deployments)-1]
	require.Equal(t, verifier.DeployFailed, last.Status)
	require.Equal(t, d.memory.deployments[0].ID, last.ID, "it is the one that has started")
	n, ignored, err := decodeJenkins(t, "build.status", `"NOT_BUILT"`, "build.parameters", "null")
	require.NoError(t, err)
	require.NotEmpty(t, ignored)
	require.Equal(t, verifier.Notification{}, n)
}

func FuzzJenkins(f *testing.F) {
	f.Add([]byte(`{"name":"a","build":{"phase":"COMPLETED","status":"SUCCESS","timestamp":1795401667000,"duration":1,"parameters":{"ENV":"e","VERSION":"1"},"scm":{"commit":"c","changes":["a"]}}}`))
	f.Add([]byte(`{"name":"a","build":{"phase":"STARTED","timestamp":"2026-11-23T02:41:07.5+00:00","parameters":{"env":"e","version":2,"rollback":true}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := jenkins{}.decode(http.Header{}, body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}
