package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
)

// pipeline is a daemon with short windows, and a machine with the program on
// which recipes run.
type pipeline struct {
	t   *testing.T
	url string
	bin string // a folder that is first on the path
}

const pipelineToken = "a-secret-of-the-docs-a"

// shellImage is the image of a program with a shell that the README makes.
const shellImage = "registry.example/postflight-ci"

// TestShellImage: it takes the program from where the Dockerfile puts it.
func TestShellImage(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "Dockerfile"))
	require.NoError(t, err)
	place := regexp.MustCompile(`(?m)^COPY --from=build /src/postflight (\S+)$`).FindStringSubmatch(string(b))
	require.NotNil(t, place)
	shell := fenced(t, "README.md", "dockerfile")[0]
	require.Contains(t, shell, "COPY --from=registry.example/postflight "+place[1]+" "+place[1]+"\n")
	require.NotContains(t, shell, "ENTRYPOINT", "GitLab runs sh in it")
	require.Contains(t, pages(t)["docs/integrations/README.md"], "`"+shellImage+"`")
}

// accessOf is the access of the README's configuration for pipelines.
func accessOf(t *testing.T) string {
	t.Helper()
	for _, block := range fenced(t, "README.md", "yaml") {
		if access := regexp.MustCompile(`(?m)^access:\n(?:  .*\n)+`).FindString(block); access != "" {
			return strings.ReplaceAll(access, "secrets/pipeline", "token")
		}
	}
	require.Fail(t, "no access")
	return ""
}

func newPipeline(t *testing.T) pipeline {
	t.Helper()
	return newPipelineWith(t, accessOf(t))
}

// newPipelineWith has that text in its configuration as well.
func newPipelineWith(t *testing.T, more string) pipeline {
	t.Helper()
	healthy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(healthy.Close)
	file := written(t, fmt.Sprintf(`# postflight.yml
storage: { url: "sqlite:%s/postflight.db" }
sources: [{ name: pipeline, format: native, token_file: token }]
policies:
  - name: all
    match: { environment: production }
    window: 5s
    interval: 1s
    step: 1s
    warmup: 1s
    soak: 2s
    signals: [{ name: smoke, role: advisory, probe: { steps: [{ get: %q }] } }]
%s`, t.TempDir(), healthy.URL, more))
	daemon, err := app.New(t.Context(), app.Options{ConfigFile: file, ListenAddress: "127.0.0.1:0", Version: "test", Env: os.LookupEnv, Log: promslog.NewNopLogger()})
	require.NoError(t, err)
	require.NoError(t, daemon.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, daemon.Stop()) })
	bin := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	// The tests' binary is the program where it is called by that name.
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "postflight")))
	return pipeline{t: t, url: "http://" + daemon.Address(), bin: bin}
}

// run runs a script of a recipe and returns its exit code and output.
func (p pipeline) run(shell []string, script string, env ...string) (int, string) {
	p.t.Helper()
	script = strings.ReplaceAll(script, "https://postflight.example", p.url)
	cmd := exec.CommandContext(p.t.Context(), shell[0], append(shell[1:], script)...)
	cmd.Env = append([]string{"PATH=" + p.bin + ":" + os.Getenv("PATH"), "HOME=" + p.t.TempDir(), "POSTFLIGHT_URL=" + p.url, "POSTFLIGHT_TOKEN=" + pipelineToken}, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(p.t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// announced returns the deploys of a service that the daemon knows.
func (p pipeline) announced(service string) []map[string]any {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/api/v1/verifications?service="+service, nil)
	require.NoError(p.t, err)
	req.Header.Set("Authorization", "Bearer "+pipelineToken)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	var list struct {
		Verifications []struct {
			Deployment map[string]any `json:"deployment"`
		} `json:"verifications"`
	}
	require.NoError(p.t, json.NewDecoder(resp.Body).Decode(&list))
	var out []map[string]any
	for _, v := range list.Verifications {
		out = append(out, v.Deployment)
	}
	return out
}

var bash = []string{"bash", "-euo", "pipefail", "-c"}

func TestCurlPage(t *testing.T) {
	p := newPipeline(t)
	for range 2 { // again: nothing is opened twice
		code, out := p.run(bash, fenced(t, "curl.md", "sh")[0])
		require.Zero(t, code, out)
		require.Contains(t, out, `"verification_id":"vf_`)
	}
	require.Len(t, p.announced("checkout"), 1)
}

// TestAction runs the composite action as a runner does: the inputs that the
// page's workflow gives, each step's environment filled in, its script in bash.
func TestAction(t *testing.T) {
	var action struct {
		Inputs map[string]struct {
			Required bool
			Default  string
		}
		Outputs map[string]struct{ Value string }
		Runs    struct {
			Using string
			Steps []struct {
				ID, Shell, Run string
				Env            map[string]string
			}
		}
	}
	b, err := os.ReadFile(filepath.Join("..", "..", ".github", "actions", "verify", "action.yml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(b, &action))
	require.Equal(t, "composite", action.Runs.Using)
	require.Equal(t, "${{ steps.verify.outputs.verdict }}", action.Outputs["verdict"].Value)
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string
				With map[string]string
			}
		}
	}
	document(t, "github.md", "deploy.yaml", &workflow)
	steps := workflow.Jobs["deploy"].Steps
	require.Contains(t, steps[0].Uses, "actions/checkout@", "a script of the repository needs the repository")
	step := steps[len(steps)-1]
	require.Equal(t, "postflight/postflight/.github/actions/verify@main", step.Uses)

	p := newPipeline(t)
	context := map[string]string{"github.sha": "f95f852b", "secrets.POSTFLIGHT_TOKEN": pipelineToken}
	fill := func(text string) string {
		return regexp.MustCompile(`\$\{\{ ([\w.-]+) \}\}`).ReplaceAllStringFunc(text, func(expression string) string {
			name := strings.TrimSpace(strings.Trim(expression, "${}"))
			value, known := context[name]
			require.True(t, known, expression)
			return value
		})
	}
	run := func(change map[string]string) (int, string) {
		for name, input := range action.Inputs {
			given, ok := step.With[name]
			if changed, is := change[name]; is {
				given, ok = changed, true
			}
			require.True(t, ok || !input.Required, "the page's workflow leaves %s out", name)
			if !ok {
				given = input.Default
			}
			context["inputs."+name] = strings.ReplaceAll(fill(given), "https://postflight.example", p.url)
		}
		for name := range step.With {
			require.Contains(t, action.Inputs, name)
		}
		output := filepath.Join(t.TempDir(), "output")
		code := 0
		for _, s := range action.Runs.Steps {
			require.Equal(t, "bash", s.Shell)
			require.NotContains(t, s.Run, "${{", "inputs reach scripts by the environment only: a version may hold anything")
			env := []string{"GITHUB_OUTPUT=" + output, "GITHUB_PATH=" + output + ".path", "RUNNER_TEMP=" + t.TempDir(), "GITHUB_ACTOR=dana", "GITHUB_RUN_ID=7",
				"GITHUB_RUN_ATTEMPT=1", "GITHUB_SERVER_URL=https://github.com", "GITHUB_REPOSITORY=acme/shop"}
			for name, value := range s.Env {
				env = append(env, name+"="+fill(value))
			}
			var out string
			if code, out = p.run([]string{"bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"}, s.Run, env...); code != 0 {
				t.Log(out)
			}
		}
		b, err := os.ReadFile(output)
		require.NoError(t, err)
		return code, strings.TrimSpace(string(b))
	}
	code, output := run(nil)
	require.Equal(t, "verdict=keep", output)
	require.Zero(t, code)
	deploy := p.announced("checkout")[0]
	require.Equal(t, "f95f852b", deploy["version"])
	require.Equal(t, "https://github.com/acme/shop/actions/runs/7", deploy["url"])

	code, output = run(map[string]string{"service": "cart", "version": "1.41.3", "revert-id": "rv_1", "wait": "no"})
	require.Equal(t, "verdict=keep", output)
	require.Zero(t, code)
	require.Equal(t, true, p.announced("cart")[0]["rollback"])

	code, output = run(map[string]string{"service": "$(touch /tmp/hacked)`id`;", "wait": "no"})
	require.Zero(t, code)
	require.Equal(t, "verdict=keep", output)

	code, output = run(map[string]string{"token": "wrong", "service": "other"})
	require.Equal(t, "verdict=unknown", output, "a fault of the tool says nothing of the deploy")
	require.Equal(t, 1, code)
}

func TestGitLabJob(t *testing.T) {
	var ci map[string]struct {
		Image  string
		Rules  []map[string]string
		Script []string
		Allow  struct {
			Codes []int `yaml:"exit_codes"`
		} `yaml:"allow_failure"`
	}
	document(t, "gitlab.md", ".gitlab-ci.yml", &ci)
	require.Equal(t, []int{1, 13}, ci["verify"].Allow.Codes)
	require.Equal(t, []map[string]string{{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}}, ci["verify"].Rules)
	require.Equal(t, shellImage, ci["verify"].Image, "its script needs a shell")
	p := newPipeline(t)
	code, out := p.run(bash, strings.Join(ci["verify"].Script, "\n"), "CI_PROJECT_NAME=checkout", "CI_COMMIT_SHORT_SHA=279484c0", "CI_PIPELINE_ID=7",
		"GITLAB_USER_LOGIN=dana", "CI_PIPELINE_URL=https://gitlab.example/7", "POSTFLIGHT_REVERT_ID=")
	require.Zero(t, code, out)
	require.Equal(t, "279484c0", p.announced("checkout")[0]["version"])
}

func TestJenkinsfile(t *testing.T) {
	groovy := fenced(t, "jenkins.md", "groovy")[0]
	script := regexp.MustCompile(`(?s)sh '''\n(.*?)'''`).FindStringSubmatch(groovy)
	require.NotNil(t, script)
	require.Equal(t, strings.Count(groovy, "{"), strings.Count(groovy, "}"))
	p := newPipeline(t)
	// In '''...''' Groovy reads \\ as one backslash, as here in two characters.
	code, out := p.run([]string{"sh", "-xec"}, script[1], "GIT_COMMIT=c6d86dc6", "BUILD_TAG=jenkins-checkout-418", "BUILD_URL=https://jenkins.example/418/")
	require.Zero(t, code, out)
	require.Equal(t, "c6d86dc6", p.announced("checkout")[0]["version"])
}

func TestTektonTask(t *testing.T) {
	task := manifest(t, "tekton.md", "Task")
	spec := task["spec"].(map[string]any)
	values := map[string]string{"params.url": "", "params.service": "checkout", "params.version": "1.42.0", "context.taskRun.uid": "uid-1"}
	for _, param := range spec["params"].([]any) {
		m := param.(map[string]any)
		if def, ok := m["default"].(string); ok {
			values["params."+m["name"].(string)] = def
		}
	}
	step := spec["steps"].([]any)[0].(map[string]any)
	p := newPipeline(t)
	fill := func(text string) string {
		return regexp.MustCompile(`\$\(([\w.-]+)\)`).ReplaceAllStringFunc(text, func(name string) string {
			value, known := values[strings.Trim(name, "$()")]
			require.True(t, known, name)
			return value
		})
	}
	for _, e := range step["env"].([]any) { // Kubernetes fills $(NAME) in of the step's environment
		m := e.(map[string]any)
		if value, ok := m["value"].(string); ok {
			values[m["name"].(string)] = fill(value)
		}
	}
	require.Equal(t, []any{"postflight"}, step["command"])
	args := []string{"-c", `postflight "$@"`, "sh"}
	for _, arg := range step["args"].([]any) {
		args = append(args, fill(arg.(string)))
	}
	cmd := exec.CommandContext(t.Context(), "sh", args...)
	cmd.Env = []string{"PATH=" + p.bin + ":" + os.Getenv("PATH"), "POSTFLIGHT_URL=" + p.url, "POSTFLIGHT_TOKEN=" + pipelineToken}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "tekton/uid-1", p.announced("checkout")[0]["deployment_id"])
}

// kubectl answers as the real one does for the page's Deployment, and for
// nothing else.
const kubectl = `#!/bin/sh
case "$*" in
  "rollout status deployment/checkout --timeout=30m") echo 'deployment "checkout" successfully rolled out' ;;
  'get deployment checkout -o jsonpath={.metadata.labels.app\.kubernetes\.io/name}') printf %s checkout ;;
  'get deployment checkout -o jsonpath={.metadata.labels.app\.kubernetes\.io/version}') printf %s 1.42.0 ;;
  'get deployment checkout -o jsonpath={.metadata.annotations.postflight\.dev/environment}') printf %s production ;;
  'get deployment checkout -o jsonpath={.metadata.annotations.postflight\.dev/revert-id}') printf %s "$REVERT" ;;
  'get deployment checkout -o jsonpath={.metadata.uid}/{.metadata.generation}') printf %s "7d0cdc51/$GENERATION" ;;
  *) echo "error: unknown: $*" >&2; exit 1 ;;
esac
`

func TestKubernetesPage(t *testing.T) {
	deployment := manifest(t, "kubernetes.md", "Deployment")["metadata"].(map[string]any)
	require.Contains(t, deployment["labels"], "app.kubernetes.io/version")
	require.Contains(t, deployment["annotations"], "postflight.dev/environment")
	job := manifest(t, "kubernetes.md", "Job")["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	container := job["containers"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"sh", "-euc"}, container["command"])
	script := container["args"].([]any)[0].(string)

	p := newPipeline(t)
	require.NoError(t, os.WriteFile(filepath.Join(p.bin, "kubectl"), []byte(kubectl), 0o700))
	for _, generation := range []string{"3", "3", "4"} { // a pod that is started again, and the next rollout
		revert := ""
		if generation == "4" {
			revert = "rv_1"
		}
		code, out := p.run([]string{"sh", "-euc"}, script, "DEPLOYMENT=checkout", "GENERATION="+generation, "REVERT="+revert)
		require.Zero(t, code, out)
	}
	all := p.announced("checkout")
	require.Len(t, all, 2)
	require.Equal(t, "1.42.0", all[0]["version"])
	require.Equal(t, "rv_1", all[0]["revert_id"])
	code, _ := p.run([]string{"sh", "-euc"}, script, "DEPLOYMENT=other", "GENERATION=1", "REVERT=")
	require.NotZero(t, code)
}
