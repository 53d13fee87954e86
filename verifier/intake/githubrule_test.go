package intake

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const ruleCallback = "https://api.github.com/repos/Codertocat/Hello-World/actions/runs/9001/deployment_protection_rule"

// ruleEvent is the event by which a job waits: of the recorded deployment, with the
// fields that this event has beside it.
func ruleEvent(t testing.TB, changes ...string) string {
	t.Helper()
	event := changed(t, recorded(t, "github_deployment.json"), "action", `"requested"`, "environment", `"Production"`, "event", `"push"`,
		"deployment_callback_url", quoted(ruleCallback), "installation", `{"id":77}`, "pull_requests", `[]`)
	return changed(t, event, changes...)
}

// asking is the intake with a source whose rules the gate answers.
func asking(t *testing.T) *daemon {
	t.Helper()
	d := start(t, func(o *Options) { o.Gate = o.Accepter.(*memory) })
	d.settings.Sources = append(sources(), Source{Name: "app", Format: "github", Secrets: []string{githubSecret}, GateURL: "https://api.github.com"})
	return d
}

func (d *daemon) ruled(source, body, secret string) reply {
	d.t.Helper()
	return d.post("/api/v1/hooks/"+source, body, headers("Content-Type", "application/json", "X-GitHub-Event", "deployment_protection_rule",
		"X-GitHub-Delivery", "d-1", "X-Hub-Signature-256", signGitHub(secret, body)))
}

func TestAProtectionRuleAsksTheGate(t *testing.T) {
	d := asking(t)
	r := d.ruled("app", ruleEvent(t), githubSecret)
	require.Equal(t, http.StatusAccepted, r.status, r.body)
	require.Len(t, d.memory.requests, 1)
	require.Equal(t, verifier.GateRequest{
		ID: r.GateRequest, Source: "app", Actor: "Codertocat",
		Release:  verifier.Release{Service: "Codertocat/Hello-World", Environment: "Production", Version: "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"},
		Callback: ruleCallback, Waits: "Production", Installation: 77, ReceivedAt: now, Key: ruleCallback + " Production 145988746",
	}, d.memory.requests[0])
	require.Empty(t, d.memory.notifications, "nothing is deployed yet")
	again := d.ruled("app", ruleEvent(t), githubSecret)
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, r.GateRequest, again.GateRequest, "GitHub lets people send it again")
	require.Equal(t, http.StatusAccepted, d.ruled("app", ruleEvent(t, "deployment.id", "145988747"), githubSecret).status, "a run that is tried again")
	require.Equal(t, map[string]int{"app asked": 2, "app duplicate": 1}, d.counts.all())

	names, err := NewMapping("shop", "production", "$.deployment.ref")
	require.NoError(t, err)
	d.settings.Sources = []Source{{Name: "app", Format: "github", Secrets: []string{githubSecret}, GateURL: "https://api.github.com", Map: names}}
	d.ruled("app", ruleEvent(t, "deployment.id", "3"), githubSecret)
	last := d.memory.requests[len(d.memory.requests)-1]
	require.Equal(t, verifier.Release{Service: "shop", Environment: "production", Version: "master"}, last.Release, "as its deploys are called")
	require.Equal(t, "Production", last.Waits, "as GitHub calls it")
}

func TestProtectionRulesThatAskNothing(t *testing.T) {
	d := asking(t)
	for name, c := range map[string]struct{ source, body, says string }{
		"no gate":        {"github", ruleEvent(t), "nobody answers deployment protection rules: give the source its gate"},
		"another action": {"app", ruleEvent(t, "action", `"completed"`), `action \"completed\" of a deployment protection rule asks nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.ruled(c.source, c.body, githubSecret)
			require.Equal(t, http.StatusOK, r.status)
			require.Contains(t, r.body, c.says)
			require.Empty(t, d.memory.requests)
		})
	}
}

func TestProtectionRulesThatAreRefused(t *testing.T) {
	d := asking(t)
	require.Equal(t, http.StatusUnauthorized, d.ruled("app", ruleEvent(t), "another-secret").status)
	for name, c := range map[string]struct {
		path, value string
		fields      []string
	}{
		"no installation":      {"installation", "-", []string{"installation.id"}},
		"no environment":       {"environment", "-", []string{"environment"}},
		"an environment's tab": {"environment", `"a\tb"`, []string{"environment", "environment"}},
		"no deployment":        {"deployment", "-", []string{"deployment.id", "deployment.sha"}},
		"no address":           {"deployment_callback_url", "-", []string{"deployment_callback_url"}},
		"another host":         {"deployment_callback_url", `"https://evil.example/repos/a/b/actions/runs/1/deployment_protection_rule"`, []string{"deployment_callback_url"}},
		"in clear":             {"deployment_callback_url", `"http://api.github.com/repos/a/b/actions/runs/1/deployment_protection_rule"`, []string{"deployment_callback_url"}},
		"a type":               {"installation", `"77"`, []string{"installation"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.ruled("app", ruleEvent(t, c.path, c.value), githubSecret)
			require.Equal(t, http.StatusUnprocessableEntity, r.status, r.body)
			require.Equal(t, c.fields, r.fields())
		})
	}
	require.Empty(t, d.memory.requests)
	d.memory.err = verifier.Errorf(verifier.Unavailable, "no disk")
	r := d.ruled("app", ruleEvent(t), githubSecret)
	require.Equal(t, http.StatusServiceUnavailable, r.status)
	require.NotEmpty(t, r.header.Get("Retry-After"))
}

// The answer carries a token of ours: it goes to a run at the configured API,
// whatever whoever signed the event wrote.
func TestGitHubRun(t *testing.T) {
	owner, name, run, err := GitHubRun("https://ghe.example/api/v3/", "https://ghe.example/api/v3/repos/acme/shop.js/actions/runs/12/deployment_protection_rule")
	require.NoError(t, err)
	require.Equal(t, "acme/shop.js", owner+"/"+name)
	require.Equal(t, int64(12), run)
	for _, callback := range []string{
		"", "https://ghe.example/api/v3/", "https://ghe.example/repos/a/b/actions/runs/1/deployment_protection_rule",
		"https://ghe.example.evil.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule",
		"https://ghe.example:444/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule",
		"https://ghe.example@evil.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule",
		"https://me:pw@ghe.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule",
		"http://ghe.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule",
		"https://ghe.example/api/v3/repos/a/../actions/runs/1/deployment_protection_rule",
		"https://ghe.example/api/v3/repos/../../actions/runs/1/deployment_protection_rule",
		"https://ghe.example/api/v3/repos/a/b%2F..%2Fc/actions/runs/1/deployment_protection_rule",
		"https://ghe.example/api/v3/repos/a/b/actions/runs/0/deployment_protection_rule",
		"https://ghe.example/api/v3/repos/a/b/actions/runs/9999999999999999999/deployment_protection_rule",
		"https://ghe.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule?x=1",
		"https://ghe.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule?",
		"https://ghe.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule#x",
		"https://ghe.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule/../../../../../../user",
		"//ghe.example/api/v3/repos/a/b/actions/runs/1/deployment_protection_rule", "\x7f://",
	} {
		_, _, _, err := GitHubRun("https://ghe.example/api/v3", callback)
		require.Error(t, err, callback)
		require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	}
}
