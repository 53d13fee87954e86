package intake

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func fluxHeaders(body string) http.Header {
	return headers("Content-Type", "application/json", "Gotk-Component", "helm-controller", "X-Signature", signGitHub(fluxSecret, body))
}

func fluxConformances(t *testing.T) map[string]conformance {
	t.Helper()
	const release, kustomization = "7d0cdc51-ddcf-4743-b223-83ca5c699632", "0f2bd5c0-98a4-4fe2-b9b6-5e2b6a4a0c11"
	finished := time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC)
	minimal := `{"involvedObject":{"kind":"HelmRelease","name":"a","namespace":"production"},"reason":"InstallSucceeded","metadata":{"revision":"1"}}`
	hostile := `{"involvedObject":{"kind":"HelmRelease","name":"a\u0000","namespace":"pro\nd"},"reason":"InstallSucceeded","timestamp":"soon","metadata":{"revision":"\u202e1","summary":"\u0007","url":"javascript:alert(1)"}}`
	wrong := []string{"involvedObject.name", "involvedObject.namespace", "metadata.revision", "timestamp"}
	valid := recorded(t, "flux_helmrelease.json")
	helm := conformance{
		format: "flux", source: "flux", scheme: "hmac", own: fluxSecret, sign: byHMAC("X-Signature", "Gotk-Component", "helm-controller"),
		required: []string{"involvedObject", "involvedObject.kind", "involvedObject.name", "reason", "metadata.revision", "metadata"},
		nothing:  changed(t, valid, "reason", `"ArtifactUpToDate"`),
		echo:     changed(t, valid, "reason", `"RollbackSucceeded"`),
		valid:    valid, minimal: minimal, hostile: hostile, wrong: wrong,
		delivery: digestOf(release, "UpgradeSucceeded", "Helm upgrade succeeded for release shop/checkout.v7 with chart checkout@6.5.4", "6.5.4", "sha256:5f8a", "2026-11-23T02:41:07Z"),
		want: verifier.Deployment{
			DeploymentID: digestOf(release, "production", "6.5.4", "sha256:5f8a"), Service: "checkout", Environment: "production", Version: "6.5.4",
			Status: verifier.DeployFinished, FinishedAt: finished,
			Labels: map[string]string{"kind": "HelmRelease", "namespace": "shop", "app_version": "1.42.0", "summary": "shop in eu-west"},
		},
	}
	generic := helm
	generic.source, generic.scheme, generic.own, generic.sign = "fluxtoken", "bearer", fluxToken, byBearer("application/json")
	kustomize := helm
	kustomize.valid = recorded(t, "flux_kustomization.json")
	kustomize.required = []string{"involvedObject", "involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "metadata", "metadata.kustomize~toolkit~fluxcd~io/revision"}
	kustomize.started = changed(t, kustomize.valid, "message", `"Deployment/apps/webapp configured"`, "timestamp", `"2026-11-23T02:40:00Z"`)
	kustomize.nothing = changed(t, kustomize.valid, "involvedObject.kind", `"GitRepository"`)
	kustomize.echo = changed(t, kustomize.valid, "metadata.postflight_revert_id", `"rv_1"`)
	revision := "main@sha1:731f7eaddfb6af01cb2173e18f0f75b0ba780ef1"
	kustomize.delivery = digestOf(kustomization, "Progressing", "Health check passed in 35.048s", revision, "", "2026-11-23T02:41:07Z")
	kustomize.want = verifier.Deployment{
		DeploymentID: digestOf(kustomization, "apps", revision, ""), Service: "webapp", Environment: "apps", Version: revision,
		Status: verifier.DeployFinished, FinishedAt: finished, Labels: map[string]string{"kind": "Kustomization", "namespace": "apps"},
	}
	return map[string]conformance{"flux, HelmRelease": helm, "flux, Kustomization": kustomize, "flux, generic provider": generic}
}

func decodeFlux(t testing.TB, file string, changes ...string) (verifier.Notification, string, error) {
	t.Helper()
	return flux{}.decode(http.Header{}, []byte(changed(t, recorded(t, file), changes...)), Mapping{})
}

func TestFluxReasons(t *testing.T) {
	const helm, kustomize = "flux_helmrelease.json", "flux_kustomization.json"
	const applied, passed = "Deployment/apps/webapp configured", "Health check passed in 5s"
	tests := map[string]struct {
		file, reason, severity, message string
		status                          verifier.DeploymentStatus
		rollback                        bool
	}{
		"installed":                  {helm, "InstallSucceeded", "info", "", verifier.DeployFinished, false},
		"upgraded":                   {helm, "UpgradeSucceeded", "info", "", verifier.DeployFinished, false},
		"rolled back":                {helm, "RollbackSucceeded", "info", "", verifier.DeployFinished, true},
		"install failed":             {helm, "InstallFailed", "error", "", verifier.DeployFailed, false},
		"upgrade failed":             {helm, "UpgradeFailed", "error", "", verifier.DeployFailed, false},
		"rollback failed":            {helm, "RollbackFailed", "error", "", verifier.DeployFailed, false},
		"uninstalled":                {helm, "UninstallSucceeded", "info", "", "", false},
		"tested":                     {helm, "TestSucceeded", "info", "", "", false},
		"test failed":                {helm, "TestFailed", "error", "", "", false},
		"chart missing":              {helm, "ArtifactFailed", "error", "", "", false},
		"a reason of tomorrow":       {helm, "Teleported", "info", "", "", false},
		"succeeded, says an error":   {helm, "UpgradeSucceeded", "error", "", "", false},
		"installed, older":           {helm, "info", "info", "Helm install succeeded", verifier.DeployFinished, false},
		"upgraded, older":            {helm, "info", "info", "Helm upgrade succeeded", verifier.DeployFinished, false},
		"install failed, older":      {helm, "error", "error", "Helm install failed: timed out\n\nLast Helm logs:\n\nx", verifier.DeployFailed, false},
		"upgrade failed, older":      {helm, "error", "error", "Helm upgrade failed: timed out", verifier.DeployFailed, false},
		"rollback failed, older":     {helm, "error", "error", "Helm rollback failed: timed out", verifier.DeployFailed, false},
		"rolled back, older":         {helm, "info", "info", "Helm rollback succeeded", "", false}, // names the version before
		"upgrade began, older":       {helm, "info", "info", "Helm upgrade has started", "", false},
		"tested, older":              {helm, "info", "info", "Helm test succeeded", "", false},
		"chart missing, older":       {helm, "error", "error", "reconciliation failed: Helm upgrade failed: x", "", false},
		"older, about the other":     {kustomize, "info", "info", "Helm upgrade succeeded", "", false},
		"applied":                    {kustomize, "Progressing", "info", applied, verifier.DeployStarted, false},
		"healthy":                    {kustomize, "Progressing", "info", passed, verifier.DeployFinished, false},
		"healthy, older":             {kustomize, "info", "info", passed, verifier.DeployFinished, false},
		"finished, for Git":          {kustomize, "ReconciliationSucceeded", "info", "Reconciliation finished in 1s", verifier.DeployFinished, false},
		"not healthy":                {kustomize, "HealthCheckFailed", "error", "health check failed after 5m", verifier.DeployFailed, false},
		"not applied":                {kustomize, "ReconciliationFailed", "error", "Deployment/a dry-run failed", verifier.DeployFailed, false},
		"pruning failed":             {kustomize, "PruneFailed", "error", "denied", verifier.DeployFailed, false},
		"pruned":                     {kustomize, "Progressing", "info", "Service/apps/old deleted\nDeployment/apps/old deleted", "", false},
		"deleted":                    {kustomize, "ReconciliationSucceeded", "info", "Deployment/apps/webapp deleted", "", false},
		"waits for a dependency":     {kustomize, "DependencyNotReady", "info", "", "", false},
		"cancelled by a newer one":   {kustomize, "HealthCheckCanceled", "info", "Health checks canceled", "", false},
		"can't be built":             {kustomize, "BuildFailed", "error", "", "", false},
		"helm's reason on the other": {kustomize, "UpgradeSucceeded", "info", "", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, ignored, err := decodeFlux(t, tt.file, "reason", quoted(tt.reason), "severity", quoted(tt.severity), "message", quoted(tt.message))
			require.NoError(t, err)
			require.Equal(t, tt.status == "", ignored != "", ignored)
			require.Equal(t, tt.status, n.Deployment.Status)
			require.Equal(t, tt.rollback, n.Deployment.Rollback)
			if tt.status == verifier.DeployStarted {
				require.False(t, n.Deployment.StartedAt.IsZero())
				require.True(t, n.Deployment.FinishedAt.IsZero())
			}
		})
	}
	_, ignored, err := decodeFlux(t, helm, "involvedObject.kind", `"GitRepository"`)
	require.NoError(t, err)
	require.Equal(t, `an event about a "GitRepository" starts nothing: only a HelmRelease's and a Kustomization's do`, ignored)
}

func TestFluxFields(t *testing.T) {
	plain, _, err := decodeFlux(t, "flux_helmrelease.json")
	require.NoError(t, err)
	tests := map[string]struct {
		changes []string
		want    func(*verifier.Deployment)
	}{
		"no environment told":    {[]string{"metadata.environment", "-"}, func(d *verifier.Deployment) { d.Environment = "shop" }},
		"keys with their group":  {[]string{"metadata.revision", "-", "metadata.helm~toolkit~fluxcd~io/revision", `"7.0.0"`}, func(d *verifier.Deployment) { d.Version = "7.0.0" }},
		"annotated object":       {[]string{"metadata.event~toolkit~fluxcd~io/service", `"cart"`}, func(d *verifier.Deployment) { d.Service = "cart" }},
		"revision of before 2.0": {[]string{"metadata.revision", `"main/731f7eaddfb6af01cb2173e18f0f75b0ba780ef1"`}, func(d *verifier.Deployment) { d.Version = "main@sha1:731f7eaddfb6af01cb2173e18f0f75b0ba780ef1" }},
		"origin of an artifact":  {[]string{"metadata.originRevision", `"main@sha1:abc"`}, func(d *verifier.Deployment) { d.Version = "main@sha1:abc" }},
		"revert id and address":  {[]string{"metadata.postflight_revert_id", `"rv_1"`, "metadata.url", `"https://ci/1"`}, func(d *verifier.Deployment) { d.RevertID, d.URL = "rv_1", "https://ci/1" }},
		"no time":                {[]string{"timestamp", "-"}, func(d *verifier.Deployment) { d.FinishedAt = time.Time{} }},
		"no message":             {[]string{"message", "null"}, func(*verifier.Deployment) {}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := plain.Deployment
			tt.want(&want)
			n, ignored, err := decodeFlux(t, "flux_helmrelease.json", tt.changes...)
			require.NoError(t, err)
			require.Empty(t, ignored)
			want.DeploymentID = digestOf("7d0cdc51-ddcf-4743-b223-83ca5c699632", want.Environment, want.Version, "sha256:5f8a")
			require.Equal(t, want, n.Deployment)
		})
	}
	for change, field := range map[string]string{"involvedObject.name": "involvedObject.name", "metadata": "metadata.revision"} {
		_, _, err := decodeFlux(t, "flux_helmrelease.json", change, "-")
		require.Equal(t, field, wrongFields(t, err))
	}
	_, _, err = decodeFlux(t, "flux_helmrelease.json", "metadata", "[]")
	require.Equal(t, "metadata", wrongFields(t, err))
}

// Helm's remediation: the upgrade fails, and the release goes back. Then the
// next upgrade of the same chart with other values is a deploy of its own.
func TestFluxRollsBack(t *testing.T) {
	d := start(t)
	send := func(want int, changes ...string) {
		body := changed(t, recorded(t, "flux_helmrelease.json"), changes...)
		r := d.post("/api/v1/hooks/flux", body, fluxHeaders(body))
		require.Equal(t, want, r.status, r.body)
	}
	send(202)
	send(200, "reason", `"UpgradeFailed"`, "severity", `"error"`, "metadata.revision", `"6.6.0"`, "metadata.token", `"new"`, "timestamp", `"2026-11-23T02:41:20Z"`)
	send(202, "reason", `"RollbackSucceeded"`, "metadata.token", `"new"`, "timestamp", `"2026-11-23T02:41:30Z"`)
	send(202, "metadata.token", `"newer"`, "timestamp", `"2026-11-23T02:41:40Z"`)
	require.Len(t, d.memory.deployments, 4)
	require.True(t, d.memory.deployments[2].Rollback)
	require.Equal(t, "6.5.4", d.memory.deployments[2].Version)
}

// Whatever the order of a Kustomization's events, one verification is opened.
func TestFluxEventsInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		d := start(t)
		for _, i := range order {
			changes := [][]string{{"message", `"Deployment/apps/webapp configured"`, "timestamp", `"2026-11-23T02:40:00Z"`}, {}}[i]
			body := changed(t, recorded(t, "flux_kustomization.json"), changes...)
			r := d.post("/api/v1/hooks/flux", body, fluxHeaders(body))
			require.Contains(t, []int{200, 202}, r.status, r.body)
		}
		require.Len(t, d.memory.verifications, 1, "%v", order)
	}
}

func FuzzFlux(f *testing.F) {
	f.Add([]byte(`{"involvedObject":{"kind":"HelmRelease","name":"a","namespace":"b","uid":"u"},"reason":"UpgradeSucceeded","severity":"info","timestamp":"2026-11-23T02:41:07Z","metadata":{"revision":"1","token":"t","url":"https://a/"}}`))
	f.Add([]byte(`{"involvedObject":{"kind":"Kustomization","name":"a","namespace":"b"},"reason":"Progressing","message":"a deleted\nb","metadata":{"kustomize.toolkit.fluxcd.io/revision":"m"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := flux{}.decode(http.Header{}, body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}
