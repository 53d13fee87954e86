package intake

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const (
	argoUID      = "c1f2a7de-8a52-4a43-9a43-2f6ab6d5c0b1"
	argoRevision = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
)

func argocdHeaders() http.Header {
	return headers("Content-Type", "application/json", "Authorization", "Bearer "+argocdToken)
}

func argocdConformances(t *testing.T) map[string]conformance {
	t.Helper()
	return map[string]conformance{"argocd": {
		format: "argocd", source: "argocd", scheme: "bearer", own: argocdToken, sign: byBearer("application/json"),
		valid:    recorded(t, "argocd.json"),
		required: []string{"app", "destination", "destination.namespace", "operation", "operation.phase", "sync", "sync.revision"},
		nothing:  changed(t, recorded(t, "argocd.json"), "operation.phase", `"Running"`),
		echo:     recorded(t, "argocd.json"),
		minimal:  `{"app":"a","destination":{"namespace":"production"},"operation":{"phase":"Succeeded"},"sync":{"revision":"1"}}`,
		hostile:  `{"app":"a\u0000","uid":"\u0000","url":"javascript:alert(1)","destination":{"namespace":"pro\nd"},"operation":{"phase":"Succeeded","startedAt":"soon","finishedAt":"late","operation":{"initiatedBy":{"username":"\u0007"}}},"sync":{"revision":"\u202e1"}}`,
		wrong:    []string{"app", "destination.namespace", "operation.finishedAt", "operation.startedAt", "sync.revision"},
		want: verifier.Deployment{
			DeploymentID: argoUID + " 2026-11-23T02:40:41Z", Service: "checkout", Environment: "production",
			Version: "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", Status: verifier.DeployFinished, Actor: "dana", RevertID: "rv_1",
			URL:        "https://argocd.example/applications/argocd/checkout",
			StartedAt:  time.Date(2026, 11, 23, 2, 40, 41, 0, time.UTC),
			FinishedAt: time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC),
			Labels:     map[string]string{"project": "shop", "health": "Healthy"},
		},
		delivery: argoUID + " 2026-11-23T02:40:41Z Succeeded 2026-11-23T02:41:07Z",
	}}
}

func decodeArgo(t testing.TB, changes ...string) (verifier.Notification, string, error) {
	t.Helper()
	return argocd{}.decode(http.Header{}, []byte(changed(t, recorded(t, "argocd.json"), changes...)), Mapping{})
}

func TestArgoPhases(t *testing.T) {
	for phase, status := range map[string]verifier.DeploymentStatus{
		"Succeeded": verifier.DeployFinished, "Failed": verifier.DeployFailed, "Error": verifier.DeployFailed,
		"Running": "", "Terminating": "", "Dreaming": "",
	} {
		n, ignored, err := decodeArgo(t, "operation.phase", quoted(phase))
		require.NoError(t, err)
		require.Equal(t, status, n.Deployment.Status)
		require.Equal(t, status == "", ignored != "", phase)
	}
	_, _, err := decodeArgo(t, "operation", "null")
	require.Equal(t, "operation.phase", wrongFields(t, err))
	_, _, err = decodeArgo(t, "sync", "null")
	require.Equal(t, "sync.revision", wrongFields(t, err))
	_, _, err = decodeArgo(t, "sync", `{"revision":"","revisions":["`+strings.Repeat("x", 300)+`"]}`)
	require.Equal(t, "sync.revisions", wrongFields(t, err), "too long, whatever its phase")
	_, _, err = decodeArgo(t, "destination", `"production"`)
	require.Equal(t, "destination", wrongFields(t, err))
}

func TestArgoFields(t *testing.T) {
	plain, _, err := decodeArgo(t)
	require.NoError(t, err)
	tests := map[string]struct {
		changes []string
		want    func(*verifier.Deployment)
	}{
		"several sources": {[]string{"sync", `{"revision":"","revisions":["a1","b2"]}`}, func(d *verifier.Deployment) { d.Version = "a1,b2" }},
		"eight sources": {[]string{"sync", `{"revisions":["` + strings.Repeat(argoRevision+`","`, 7) + `1.2.3"]}`},
			func(d *verifier.Deployment) { d.Version = strings.Repeat(argoRevision[:12]+",", 7) + "1.2.3" }},
		"one resource": {[]string{"operation.operation.sync.resources", `[{"group":"","kind":"ConfigMap","name":"checkout"}]`},
			func(d *verifier.Deployment) { d.Labels["only"] = "ConfigMap/checkout" }},
		"many resources": {[]string{"operation.operation.sync.resources", "[" + strings.Repeat(`{"kind":"ConfigMap","name":"checkout"},`, 40) + `{"kind":"Pod","name":"p"}]`},
			func(d *verifier.Deployment) { d.Labels["only"] = "41 resources" }},
		"automated":         {[]string{"operation.operation.initiatedBy", `{"automated":true}`}, func(d *verifier.Deployment) { d.Actor = "automated sync" }},
		"cluster alone":     {[]string{"destination", `{"name":"eu-1"}`}, func(d *verifier.Deployment) { d.Environment, d.Labels["cluster"] = "eu-1", "eu-1" }},
		"no info":           {[]string{"operation.operation.info", "null"}, func(d *verifier.Deployment) { d.RevertID = "" }},
		"no uid":            {[]string{"uid", "null"}, func(d *verifier.Deployment) { d.DeploymentID = "checkout 2026-11-23T02:40:41Z" }},
		"no times":          {[]string{"operation.startedAt", "-", "operation.finishedAt", "-"}, func(d *verifier.Deployment) { d.DeploymentID, d.StartedAt, d.FinishedAt = "", time.Time{}, time.Time{} }},
		"no link, health":   {[]string{"url", "null", "health", "null"}, func(d *verifier.Deployment) { d.URL = ""; delete(d.Labels, "health") }},
		"an info of others": {[]string{"operation.operation.info", `[{"name":"reason","value":"x"}]`}, func(d *verifier.Deployment) { d.RevertID = "" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := plain.Deployment
			want.Labels = map[string]string{"project": "shop", "health": "Healthy"}
			tt.want(&want)
			n, ignored, err := decodeArgo(t, tt.changes...)
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.Equal(t, want, n.Deployment)
		})
	}
}

// What has deployed nothing must neither open a verification nor become what a
// rollback goes back to.
func TestArgoOperationsThatDeployNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		changes []string
		ignored string
	}{
		"a dry run":            {[]string{"operation.operation.sync.dryRun", "true"}, "a dry run"},
		"a dry run that fails": {[]string{"operation.operation.sync.dryRun", "true", "operation.phase", `"Failed"`}, "a dry run"},
		"self-heal": {[]string{"operation.operation.initiatedBy", `{"automated":true}`,
			"operation.operation.sync.resources", `[{"kind":"Deployment","name":"checkout"}]`}, "self-heal"},
		"an error without a revision": {[]string{"operation.phase", `"Error"`, "sync", "null", "operation.operation.sync", "null"}, "before it had a revision"},
		"no dry run":                  {[]string{"operation.operation.sync.dryRun", "false"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, ignored, err := decodeArgo(t, tt.changes...)
			require.NoError(t, err)
			require.Equal(t, tt.ignored == "", ignored == "", ignored)
			require.Contains(t, ignored, tt.ignored)
		})
	}
}

// A sync that failed has no result where it failed early.
func TestArgoFailureWithoutAResult(t *testing.T) {
	for _, phase := range []string{"Error", "Failed"} {
		n, ignored, err := decodeArgo(t, "operation.phase", quoted(phase), "sync", "null")
		require.NoError(t, err)
		require.Empty(t, ignored)
		require.Equal(t, verifier.DeployFailed, n.Deployment.Status)
		require.Equal(t, argoRevision, n.Deployment.Version)
	}
	n, _, err := decodeArgo(t, "operation.phase", `"Error"`, "sync", "null", "operation.operation.sync", `{"revisions":["a1","b2"]}`)
	require.NoError(t, err)
	require.Equal(t, "a1,b2", n.Deployment.Version)
}

// The same revision is deployed again by a later operation, as a rollback is.
func TestArgoOperationsAreToldApart(t *testing.T) {
	d := start(t)
	for _, at := range []string{"02:40:41", "02:40:41", "02:41:30"} {
		body := changed(t, recorded(t, "argocd.json"), "operation.startedAt", quoted("2026-11-23T"+at+"Z"), "operation.finishedAt", quoted("2026-11-23T02:41:45Z"))
		r := d.post("/api/v1/hooks/argocd", body, argocdHeaders())
		require.Contains(t, []int{200, 202}, r.status, r.body)
	}
	require.Len(t, d.memory.deployments, 2)
}

func FuzzArgoCD(f *testing.F) {
	f.Add([]byte(`{"app":"a","uid":"u","destination":{"name":"b"},"operation":{"phase":"Error","startedAt":"2026-11-23T02:40:41Z","operation":{"initiatedBy":{"automated":true},"info":[{"name":"postflight_revert_id","value":"v"}]}},"sync":{"revisions":["1","2"]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := argocd{}.decode(http.Header{}, body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}
