package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
)

// payload is a notification that the tests of the intake have recorded.
func payload(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "verifier", "intake", "testdata", name))
	require.NoError(t, err)
	return string(b)
}

// document returns the other system's file of that name on a page.
func document(t *testing.T, page, name string, into any) string {
	t.Helper()
	for _, block := range fenced(t, page, "yaml") {
		if strings.HasPrefix(block, "# "+name+"\n") {
			require.NoError(t, yaml.Unmarshal([]byte(block), into))
			return block
		}
	}
	require.Fail(t, "no such file", "%s on %s", name, page)
	return ""
}

func TestGitHubPage(t *testing.T) {
	daemon := integrated(t, "github.md")
	body := payload(t, "github_deployment_status.json")
	status, opened := daemon.post(http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {"deployment_status"}, "X-Hub-Signature-256": {hmacOf(daemon.secret, body)}}, body)
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, opened.VerificationID)
}

// TestGitHubWorkflowsPage: GitHub writes the branch behind a workflow's path or
// leaves it out.
func TestGitHubWorkflowsPage(t *testing.T) {
	var configuration string
	for _, block := range fenced(t, "github.md", "yaml") {
		if strings.Contains(block, "workflow_run.path") {
			configuration = block
		}
	}
	file := written(t, configuration)
	for path, want := range map[string]string{
		".github/workflows/deploy.yml": "opened", ".github/workflows/deploy.yml@refs/heads/main": "opened", ".github/workflows/test.yml@refs/heads/main": "ignored",
	} {
		body := regexp.MustCompile(`"path": "[^"]+"`).ReplaceAllString(payload(t, "github_workflow_run.json"), `"path": "`+path+`"`)
		require.Contains(t, body, path)
		r, err := app.TestRoute(file, os.LookupEnv, "workflows", http.Header{"X-Github-Event": {"workflow_run"}}, []byte(body))
		require.NoError(t, err)
		require.Equal(t, want, r.Events[0].Result, "%s: %s", path, r.Events[0].Why)
	}
}

func TestGitLabPage(t *testing.T) {
	daemon := integrated(t, "gitlab.md")
	body := strings.Replace(payload(t, "gitlab_deployment.json"), `"environment_tier": "staging"`, `"environment_tier": "production"`, 1)
	status, opened := daemon.post(http.Header{"Content-Type": {"application/json"}, "X-Gitlab-Event": {"Deployment Hook"}, "X-Gitlab-Token": {daemon.secret}}, body)
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, opened.VerificationID)
}

// TestJenkinsPage authenticates as the page's address of the endpoint does.
func TestJenkinsPage(t *testing.T) {
	daemon := integrated(t, "jenkins.md")
	endpoint := regexp.MustCompile("`(https://\\w+:TOKEN@[^`]+)`").FindStringSubmatch(pages(t)["docs/integrations/jenkins.md"])
	require.NotNil(t, endpoint)
	status, opened := daemon.post(basicOf(t, strings.Replace(endpoint[1], "TOKEN", daemon.secret, 1)), payload(t, "jenkins.json"))
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, opened.VerificationID)
}

func basicOf(t *testing.T, address string) http.Header {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(u.Path, "/api/v1/hooks/"))
	password, _ := u.User.Password()
	r := http.Request{Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}}}
	r.SetBasicAuth(u.User.Username(), password)
	return r.Header
}

func TestSpinnakerPage(t *testing.T) {
	daemon := integrated(t, "spinnaker.md")
	var echo struct {
		Rest struct {
			Enabled   bool
			Endpoints []struct {
				URL     string
				Wrap    bool
				Headers map[string]string
			}
		}
	}
	document(t, "spinnaker.md", "echo-local.yml", &echo)
	require.True(t, echo.Rest.Enabled)
	endpoint := echo.Rest.Endpoints[0]
	require.Equal(t, "https://postflight.example/api/v1/hooks/spinnaker", endpoint.URL)
	header := http.Header{"Content-Type": {"application/json"}}
	for name, value := range endpoint.Headers {
		header.Set(name, strings.Replace(value, "TOKEN", daemon.secret, 1))
	}
	status, opened := daemon.post(header, payload(t, "spinnaker.json"))
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, opened.VerificationID)
}

func TestAlertmanagerPage(t *testing.T) {
	daemon := integrated(t, "alertmanager.md")
	var config struct {
		Route     alertRoute
		Receivers []struct {
			Name     string
			Webhooks []struct {
				URL  string
				HTTP struct {
					Authorization *struct{ Type string }
					Basic         *struct{ Username string } `yaml:"basic_auth"`
				} `yaml:"http_config"`
			} `yaml:"webhook_configs"`
		}
	}
	document(t, "alertmanager.md", "alertmanager.yaml", &config)
	receivers := map[string]bool{}
	ways := 0
	for _, r := range config.Receivers {
		receivers[r.Name] = true
		for _, hook := range r.Webhooks {
			require.Equal(t, "https://postflight.example/api/v1/hooks/alertmanager", hook.URL)
			header := http.Header{"Content-Type": {"application/json"}}
			if hook.HTTP.Authorization != nil {
				header.Set("Authorization", hook.HTTP.Authorization.Type+" "+daemon.secret)
			} else {
				header = basicOf(t, strings.Replace(hook.URL, "://", "://"+hook.HTTP.Basic.Username+":"+daemon.secret+"@", 1))
			}
			status, answer := daemon.post(header, payload(t, "alertmanager.json"))
			require.Equal(t, http.StatusOK, status)
			require.Contains(t, answer.Ignored, "1 firing and 1 resolved noted")
			ways++
		}
	}
	require.Equal(t, 2, ways)
	require.True(t, receivers[config.Route.Receiver])
	for _, route := range config.Route.Routes {
		require.True(t, receivers[route.Receiver], route.Receiver)
	}
	for want, labels := range map[string]map[string]string{
		"postflight oncall":           {"alertname": "HighErrorRate", "severity": "critical"},
		"oncall":                      {"alertname": "DiskFills", "severity": "warning"},
		"postflight-heartbeat oncall": {"alertname": "Watchdog", "severity": "none"},
	} {
		require.Equal(t, want, strings.Join(config.Route.receivers(t, labels), " "), "nobody on call loses an alert")
	}
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + daemon.secret}}
	status, answer := daemon.post(header, `{"version":"4","groupKey":"{}","status":"firing","alerts":[
		{"status":"firing","labels":{"alertname":"Watchdog","job":"prometheus"},"startsAt":"2026-11-23T02:40:41Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"c1f2"}]}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, strings.TrimSpace(fenced(t, "alertmanager.md", "text")[0]), answer.Ignored)
}

// alertRoute is a route of Alertmanager's configuration.
type alertRoute struct {
	Receiver string
	Matchers []string
	Continue bool
	Routes   []alertRoute
}

// receivers are those that get an alert, as Alertmanager's Route.Match finds
// them: of the routes below, the first that matches and, while they say
// continue, the next; the route's own receiver only where none does.
func (r alertRoute) receivers(t *testing.T, labels map[string]string) (out []string) {
	t.Helper()
	for _, matcher := range r.Matchers {
		m := regexp.MustCompile(`^(\w+)="([^"]*)"$`).FindStringSubmatch(matcher)
		require.NotNil(t, m, matcher)
		if labels[m[1]] != m[2] {
			return nil
		}
	}
	for _, below := range r.Routes {
		found := below.receivers(t, labels)
		out = append(out, found...)
		if len(found) > 0 && !below.Continue {
			break
		}
	}
	if len(out) == 0 {
		return []string{r.Receiver}
	}
	return out
}
