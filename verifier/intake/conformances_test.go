package intake

import (
	"maps"
	"net/http"
	"os"
	"testing"
	"time"

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

// conformances are the formats, each with every way in which it authenticates.
func conformances(t *testing.T) map[string]conformance {
	all := map[string]conformance{}
	for _, rows := range []map[string]conformance{
		nativeConformances(), githubConformances(t), gitlabConformances(t), cdeventsConformances(t), fluxConformances(t), argocdConformances(t),
		jenkinsConformances(t), spinnakerConformances(t), alertmanagerConformances(t),
	} {
		maps.Copy(all, rows)
	}
	return all
}

// byBearer signs with a bearer token, bySecret as Standard Webhooks.
func byBearer(media string) func(*testing.T, string, string, string) http.Header {
	return func(_ *testing.T, secret, _, _ string) http.Header {
		return headers("Content-Type", media, "Authorization", "Bearer "+secret)
	}
}

func bySecret(media string) func(*testing.T, string, string, string) http.Header {
	return func(t *testing.T, secret, id, body string) http.Header {
		h := signWebhook(t, secret, id, time.Now(), body)
		h.Set("Content-Type", media)
		return h
	}
}

func byPassword(_ *testing.T, secret, _, _ string) http.Header {
	r := http.Request{Header: headers("Content-Type", "application/json;charset=UTF-8")}
	r.SetBasicAuth("postflight", secret)
	return r.Header
}

// byHMAC signs the body in a header.
func byHMAC(header string, others ...string) func(*testing.T, string, string, string) http.Header {
	return func(_ *testing.T, secret, id, body string) http.Header {
		h := headers("Content-Type", "application/json", header, signGitHub(secret, body))
		for i := 0; i < len(others); i += 2 {
			h.Set(others[i], others[i+1])
		}
		if h.Get("X-GitHub-Event") != "" {
			h.Set("X-GitHub-Delivery", id)
		}
		return h
	}
}

func nativeConformances() map[string]conformance {
	bearer := func(_ *testing.T, secret, id, _ string) http.Header {
		return headers("Content-Type", "application/json", "Authorization", "Bearer "+secret, "Idempotency-Key", id)
	}
	c := conformance{
		format: "native", source: "pipeline", path: "/api/v1/deployments", scheme: "bearer", own: token, sign: bearer,
		valid:    announced,
		minimal:  `{"service":"checkout","environment":"production","version":"1.42.0"}`,
		required: []string{"service", "environment", "version"},
		hostile:  `{"service":"check\u202eout","environment":"pro\nduction","version":"1.42.0\u0000","actor":"<b>\u0007</b>","url":"javascript:alert(1)"}`,
		wrong:    []string{"actor", "environment", "service", "url", "version"},
		started:  `{"service":"checkout","environment":"production","version":"1.42.0","deployment_id":"ci-918273","status":"started","started_at":"2026-11-23T02:38:40Z"}`,
		nothing:  `{"service":"checkout","environment":"production","version":"1.42.0","deployment_id":"ci-1","status":"failed"}`,
		echo:     `{"service":"checkout","environment":"production","version":"1.41.3","revert_id":"rv_1"}`,
		want: verifier.Deployment{
			DeploymentID: "ci-918273", Service: "checkout", Environment: "production", Version: "1.42.0", Previous: "1.41.3",
			Status: verifier.DeployFinished, Actor: "dana", URL: "https://ci.example/918273",
			StartedAt:    time.Date(2026, 11, 23, 2, 38, 40, 0, time.UTC),
			FinishedAt:   time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC),
			ChangedPaths: []string{}, Labels: map[string]string{"team": "pay"},
			Approval: &verifier.Approval{By: []string{"release manager"}, Conditions: []string{"off-peak only"}},
		},
	}
	signed := c
	signed.source, signed.scheme, signed.own, signed.sign, signed.timed = "signed", "webhook", webhookKey, bySecret("application/json"), true
	hook := signed
	hook.path = ""
	return map[string]conformance{"native, bearer": c, "native, signed": signed, "native, signed, own hook": hook}
}

func githubConformances(t *testing.T) map[string]conformance {
	status := conformance{
		format: "github", source: "github", scheme: "hmac", own: githubSecret,
		sign:     byHMAC("X-Hub-Signature-256", "X-GitHub-Event", "deployment_status"),
		valid:    recorded(t, "github_deployment_status.json"),
		minimal:  `{"deployment_status":{"state":"success","environment":"production"},"deployment":{"id":7,"sha":"f95f852b"},"repository":{"full_name":"a/b"}}`,
		required: []string{"deployment_status.state", "deployment.id", "repository.full_name", "deployment_status", "deployment", "repository"},
		hostile:  `{"deployment_status":{"state":"success","environment":"pro\nd","target_url":"javascript:alert(1)"},"deployment":{"id":7,"sha":"\u202ef95f852b","creator":{"login":"\u0007"}},"repository":{"full_name":"a/\u0000b"}}`,
		wrong:    []string{"deployment.sha", "deployment_status.environment", "repository.full_name"},
		started:  event(t, "deployment_status.state", `"in_progress"`, "deployment_status.created_at", `"2019-05-15T15:20:54Z"`),
		nothing:  event(t, "deployment_status.state", `"inactive"`),
		echo:     event(t, "deployment.payload", `{"postflight_revert_id":"rv_1"}`),
		want: verifier.Deployment{
			DeploymentID: "145988746", Service: "Codertocat/Hello-World", Environment: "production",
			Version: "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", Status: verifier.DeployFinished, Actor: "Codertocat",
			StartedAt:  time.Date(2019, 5, 15, 15, 20, 53, 0, time.UTC),
			FinishedAt: time.Date(2019, 5, 15, 15, 20, 55, 0, time.UTC),
			Labels: map[string]string{"ref": "master", "task": "deploy", "repository": "Codertocat/Hello-World",
				"commit": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "deployment": "145988746"},
		},
	}
	run := status
	valid := recorded(t, "github_workflow_run.json")
	run.source, run.sign = "workflows", byHMAC("X-Hub-Signature-256", "X-GitHub-Event", "workflow_run")
	run.valid = valid
	run.minimal = `{"action":"completed","workflow_run":{"id":7,"head_sha":"f95f852b","conclusion":"success","path":".github/workflows/deploy.yml"},"repository":{"full_name":"a/b"}}`
	run.required = []string{"action", "workflow_run.id", "workflow_run.conclusion", "workflow_run.head_sha", "workflow_run.path", "repository.full_name", "workflow_run", "repository"}
	run.hostile = `{"action":"completed","workflow_run":{"id":7,"head_sha":"\u202e1","conclusion":"success","path":".github/workflows/deploy.yml","html_url":"javascript:alert(1)"},"repository":{"full_name":"a/\u0000b"}}`
	run.wrong = []string{"repository.full_name", "workflow_run.head_sha"}
	run.started = changed(t, valid, "action", `"in_progress"`, "workflow_run.conclusion", "null")
	run.nothing = changed(t, valid, "workflow_run.path", `".github/workflows/test.yml"`)
	run.echo = valid
	run.before = []string{
		changed(t, valid, "workflow_run.id", "1", "workflow_run.updated_at", `"2026-11-23T02:39:00Z"`),
		changed(t, valid, "workflow_run.id", "2", "workflow_run.head_sha", `"b2"`, "workflow_run.updated_at", `"2026-11-23T02:40:00Z"`),
	}
	run.want = verifier.Deployment{
		DeploymentID: "run/30433642/attempt/1", Service: "acme/shop", Environment: "production",
		Version: "acb5820ced9479c074f688cc328bf03f341a511d", Status: verifier.DeployFinished, Actor: "dana",
		URL:        "https://github.com/acme/shop/actions/runs/30433642",
		StartedAt:  time.Date(2026, 11, 23, 2, 38, 40, 0, time.UTC),
		FinishedAt: time.Date(2026, 11, 23, 2, 41, 7, 0, time.UTC),
		Labels:     map[string]string{"ref": "main", "workflow": "Deploy", "repository": "acme/shop"},
	}
	return map[string]conformance{"github, deployment_status": status, "github, workflow_run": run}
}

func gitlabConformances(t *testing.T) map[string]conformance {
	valid := recorded(t, "gitlab_deployment.json")
	byToken := func(_ *testing.T, secret, id, _ string) http.Header {
		return headers("Content-Type", "application/json", "X-Gitlab-Event", "Deployment Hook", "X-Gitlab-Token", secret, "Idempotency-Key", id)
	}
	bySignature := func(t *testing.T, secret, id, body string) http.Header {
		h := signWebhook(t, secret, id, time.Now(), body)
		h.Set("X-Gitlab-Event", "Deployment Hook")
		h.Set("Idempotency-Key", id)
		return h
	}
	c := conformance{
		format: "gitlab", source: "gitlab", scheme: "gitlab", own: gitlabSecretToken, sign: byToken, touchy: true,
		valid:    valid,
		minimal:  `{"object_kind":"deployment","status":"success","environment":"production","short_sha":"279484c0","project":{"path_with_namespace":"a/b"}}`,
		required: []string{"object_kind", "status", "environment", "project.path_with_namespace", "project"},
		hostile:  `{"object_kind":"deployment","status":"success","status_changed_at":"yesterday","environment":"pro\nd","short_sha":"\u202e1","deployable_url":"javascript:alert(1)","project":{"path_with_namespace":"a/\u0000b"},"user":{"username":"\u0007"}}`,
		wrong:    []string{"environment", "project.path_with_namespace", "short_sha", "status_changed_at"},
		started:  changed(t, valid, "status", `"running"`, "status_changed_at", `"2021-04-28 21:49:00 +0200"`),
		nothing:  changed(t, valid, "object_kind", `"push"`),
		echo:     valid,
		before: []string{
			changed(t, valid, "deployment_id", "13", "status_changed_at", `"2021-04-28 21:30:00 +0200"`),
			changed(t, valid, "deployment_id", "14", "short_sha", `"b2"`, "status_changed_at", `"2021-04-28 21:40:00 +0200"`),
		},
		want: verifier.Deployment{
			DeploymentID: "15", Service: "root/test-deployment-webhooks", Environment: "staging", Version: "279484c0",
			Status: verifier.DeployFinished, Actor: "root", URL: "http://10.126.0.2:3000/root/test-deployment-webhooks/-/jobs/796",
			FinishedAt: time.Date(2021, 4, 28, 21, 50, 0, 0, time.FixedZone("", 2*60*60)),
			Labels: map[string]string{"ref": "1.0.0", "tier": "staging", "project": "root/test-deployment-webhooks",
				"commit": "279484c09fbe69ededfced8c1bb6e6d24616b468"},
		},
	}
	signed := c
	signed.source, signed.scheme, signed.own, signed.sign, signed.timed = "gitlabsigned", "gitlab signed", gitlabKey, bySignature, true
	return map[string]conformance{"gitlab, secret token": c, "gitlab, signing token": signed}
}

func jenkinsConformances(t *testing.T) map[string]conformance {
	valid := recorded(t, "jenkins.json")
	id := "https://jenkins.example/job/shop/job/checkout-deploy/418/ 418 9173"
	c := conformance{
		format: "jenkins", source: "jenkins", scheme: "password", own: jenkinsToken, sign: byPassword,
		valid:    valid,
		minimal:  `{"name":"checkout","build":{"phase":"FINALIZED","status":"SUCCESS","parameters":{"ENVIRONMENT":"production","VERSION":"1"}}}`,
		required: []string{"build", "build.phase", "build.status", "build.parameters", "build.parameters.ENVIRONMENT"},
		hostile:  `{"name":"a\u0000","build":{"phase":"COMPLETED","status":"SUCCESS","timestamp":"soon","full_url":"javascript:alert(1)","parameters":{"ENVIRONMENT":"pro\nd","VERSION":"\u202e1"},"scm":{"culprits":["\u0007"],"changes":["a\nb"]}}}`,
		wrong:    []string{"build.parameters.ENVIRONMENT", "build.parameters.VERSION", "build.timestamp", "name"},
		started:  changed(t, valid, "build.phase", `"STARTED"`, "build.status", `"FAILURE"`, "build.timestamp", "1795401520000", "build.duration", "0"),
		nothing:  changed(t, valid, "build.phase", `"QUEUED"`),
		echo:     changed(t, valid, "build.parameters", `{"SERVICE":"checkout","ENVIRONMENT":"production","VERSION":"1.41.3","POSTFLIGHT_REVERT_ID":"rv_1"}`),
		delivery: id + " COMPLETED",
		want: verifier.Deployment{
			DeploymentID: id, Service: "checkout", Environment: "production", Version: "1.42.0", Status: verifier.DeployFinished,
			Actor: "dana", URL: "https://jenkins.example/job/shop/job/checkout-deploy/418/",
			StartedAt: time.UnixMilli(1795401520000).UTC(), FinishedAt: time.UnixMilli(1795401667000).UTC(),
			ChangedPaths: []string{"src/cart.go", "db/migrations/0042.sql"},
			Labels:       map[string]string{"job": "checkout-deploy", "branch": "origin/main", "commit": "c6d86dc654b12425e706bcf951adfe5a8627a517"},
		},
	}
	bearer := c
	bearer.sign = byBearer("application/json")
	return map[string]conformance{"jenkins, password": c, "jenkins, bearer": bearer}
}

func spinnakerConformances(t *testing.T) map[string]conformance {
	valid := recorded(t, "spinnaker.json")
	c := conformance{
		format: "spinnaker", source: "spinnaker", scheme: "password", own: spinnakerToken, sign: byPassword,
		valid:   valid,
		minimal: `{"details":{"type":"orca:pipeline:complete","application":"a"},"content":{"execution":{"id":"1","status":"SUCCEEDED","trigger":{"hash":"c6d86dc","parameters":{"env":"production"}}}}}`,
		required: []string{"details", "details.type", "content", "content.execution", "content.execution.status", "content.execution.trigger",
			"content.execution.trigger.artifacts"},
		hostile: `{"details":{"type":"orca:pipeline:complete","application":"a\u0000"},"content":{"execution":{"id":"1\n","name":"\u0007","status":"SUCCEEDED","trigger":{"user":"\u0007","hash":"\u202e1","parameters":{"env":"pro\nd"}}}}}`,
		wrong:   []string{"content.execution.id", "content.execution.trigger.hash", "content.execution.trigger.parameters.env", "details.application"},
		started: changed(t, valid, "details.type", `"orca:pipeline:starting"`, "content.execution.status", `"RUNNING"`, "content.execution.endTime", "null"),
		nothing: changed(t, valid, "details.type", `"orca:stage:complete"`),
		echo: changed(t, valid, "content.execution.trigger", `{"type":"webhook","payload":{"revert_id":"rv_1","target_version":"1.41.3"},
			"parameters":{"environment":"production","version":"1.41.3"}}`),
		delivery: "01KB7ZW5V2D7KEE6FV9D5J6S7A orca:pipeline:complete SUCCEEDED 1795401667000",
		want: verifier.Deployment{
			DeploymentID: "01KB7ZW5V2D7KEE6FV9D5J6S7A", Service: "checkout", Environment: "production", Version: "1.42.0",
			Status: verifier.DeployFinished, Actor: "dana",
			StartedAt: time.UnixMilli(1795401520000).UTC(), FinishedAt: time.UnixMilli(1795401667000).UTC(),
			Labels: map[string]string{"pipeline": "deploy to production", "trigger": "docker"},
		},
	}
	bearer := c
	bearer.sign = byBearer("application/json")
	return map[string]conformance{"spinnaker, password": c, "spinnaker, bearer": bearer}
}

func alertmanagerConformances(t *testing.T) map[string]conformance {
	c := conformance{
		format: "alertmanager", source: "alertmanager", scheme: "password", own: alertmanagerToken, sign: byPassword, alerts: true,
		valid:    recorded(t, "alertmanager.json"),
		minimal:  `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","service":"a","env":"production"},"startsAt":"2026-11-23T02:44:10Z"}]}`,
		required: []string{},
		hostile:  `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"\u0007","service":"a\u0000","environment":"pro\nd"},"startsAt":"2026-11-23T02:44:10Z"}]}`,
		nothing:  `{"version":"4","alerts":[]}`,
	}
	bearer := c
	bearer.sign = byBearer("application/json")
	return map[string]conformance{"alertmanager, password": c, "alertmanager, bearer": bearer}
}

// wantAlerts are the alerts of the recorded group.
func wantAlerts(source string) []verifier.Alert {
	labels := func(name, severity string) map[string]string {
		return map[string]string{"alertname": name, "service": "checkout", "environment": "production", "severity": severity}
	}
	return []verifier.Alert{
		{Source: source, Fingerprint: "fb1d8dd27a1ccf8f", Name: "HighErrorRate", Service: "checkout", Environment: "production",
			Labels: labels("HighErrorRate", "critical"), StartsAt: time.Date(2026, 11, 23, 2, 44, 10, 113e6, time.UTC)},
		{Source: source, Fingerprint: "0a2c1d8dd27a1cc1", Name: "QueueGrows", Service: "checkout", Environment: "production",
			Labels:   labels("QueueGrows", "warning"),
			StartsAt: time.Date(2026, 11, 23, 2, 10, 0, 0, time.UTC), EndsAt: time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)},
	}
}
