package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
)

// foreign reports whether a block of YAML is a file of another system, as its
// first line says: "# flux.yaml".
func foreign(block string) bool {
	return regexp.MustCompile(`^# [a-z.-]+\.ya?ml\n`).MatchString(block) && !strings.HasPrefix(block, "# postflight.yml\n")
}

// manifests returns the documents of the other system's files on a page.
func manifests(t *testing.T, page string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, block := range fenced(t, page, "yaml") {
		if !foreign(block) {
			continue
		}
		for _, document := range strings.Split(block, "\n---\n") {
			var m map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(document), &m), document)
			require.NotEmpty(t, m["apiVersion"], document)
			require.NotEmpty(t, m["kind"], document)
			out = append(out, m)
		}
	}
	return out
}

// fenced returns the blocks of a language on a page of docs/integrations.
func fenced(t *testing.T, page, language string) []string {
	t.Helper()
	var out []string
	for _, m := range fence.FindAllStringSubmatch(pages(t)[path.Join("docs/integrations", page)], -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	require.NotEmpty(t, out, "no block of %s on %s", language, page)
	return out
}

// manifest returns the manifest of a kind on a page.
func manifest(t *testing.T, page, kind string) map[string]any {
	t.Helper()
	for _, m := range manifests(t, page) {
		if m["kind"] == kind {
			return m
		}
	}
	require.Fail(t, "no manifest", "%s on %s", kind, page)
	return nil
}

// integration is a daemon with the configuration of an integration's page.
type integration struct {
	t      *testing.T
	url    string
	secret string
}

func integrated(t *testing.T, page string) integration {
	t.Helper()
	var configuration string
	for _, block := range fenced(t, page, "yaml") {
		if !foreign(block) {
			configuration = block
			break
		}
	}
	// Nobody but us is asked.
	configuration = strings.ReplaceAll(configuration, "secrets/github-poll }", "secrets/github-poll, url: \"http://127.0.0.1:9\" }")
	file := written(t, "storage: { url: \"sqlite:"+t.TempDir()+"/postflight.db\" }\n"+configuration)
	daemon, err := app.New(t.Context(), app.Options{
		ConfigFile: file, ListenAddress: "127.0.0.1:0", Version: "test", Env: os.LookupEnv, Log: promslog.NewNopLogger(),
	})
	require.NoError(t, err)
	require.NoError(t, daemon.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, daemon.Stop()) })
	name := strings.TrimSuffix(page, ".md")
	secret, err := os.ReadFile(filepath.Join(filepath.Dir(file), "secrets", name))
	require.NoError(t, err)
	return integration{t: t, url: "http://" + daemon.Address() + "/api/v1/hooks/" + name, secret: string(secret)}
}

// post sends a notification and returns the answer.
func (i integration) post(header http.Header, body string) (int, receipt) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, i.url, strings.NewReader(body))
	require.NoError(i.t, err)
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	require.NoError(i.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(i.t, err)
	var r receipt
	require.NoError(i.t, json.Unmarshal(answer, &r), string(answer))
	return resp.StatusCode, r
}

// hmacOf is the signature of a body as GitHub and Flux make it.
func hmacOf(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestCDEventsPage(t *testing.T) {
	curl := fenced(t, "cdevents.md", "sh")[0]
	header := http.Header{}
	for _, m := range regexp.MustCompile(`-H "([\w-]+): ([^"$]+)"`).FindAllStringSubmatch(curl, -1) {
		header.Set(m[1], m[2])
	}
	_, data, found := strings.Cut(curl, "--data '")
	require.True(t, found)
	daemon := integrated(t, "cdevents.md")
	header.Set("Authorization", "Bearer "+daemon.secret)
	status, opened := daemon.post(header, strings.TrimSuffix(strings.TrimSpace(data), "'"))
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, opened.VerificationID)
	status, again := daemon.post(header, strings.TrimSuffix(strings.TrimSpace(data), "'"))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, opened.VerificationID, again.VerificationID)
}

// TestFluxPage sends what the page's Alert and Provider make of an event.
func TestFluxPage(t *testing.T) {
	provider, alert := manifest(t, "flux.md", "Provider"), manifest(t, "flux.md", "Alert")
	require.Equal(t, "generic-hmac", provider["spec"].(map[string]any)["type"])
	require.Equal(t, "https://postflight.example/api/v1/hooks/flux", provider["spec"].(map[string]any)["address"])
	metadata := alert["spec"].(map[string]any)["eventMetadata"].(map[string]any)
	metadata["revision"] = "6.5.4"
	body, err := json.Marshal(map[string]any{
		"involvedObject": map[string]any{"kind": "HelmRelease", "name": "checkout", "namespace": "shop", "uid": "7d0cdc51"},
		"severity":       alert["spec"].(map[string]any)["eventSeverity"], "reason": "UpgradeSucceeded", "metadata": metadata,
	})
	require.NoError(t, err)
	daemon := integrated(t, "flux.md")
	header := http.Header{"Content-Type": {"application/json"}, "X-Signature": {hmacOf(daemon.secret, string(body))}}
	status, opened := daemon.post(header, string(body))
	require.Equal(t, http.StatusAccepted, status, "the policy is for the environment that the Alert names")
	require.NotEmpty(t, opened.VerificationID)
}

// sprig holds those functions of Argo CD's templates that the page uses.
var sprig = template.FuncMap{
	"toJson": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"pick": func(from map[string]any, keys ...string) map[string]any {
		return kept(from, func(key string) bool { return slices.Contains(keys, key) })
	},
	"omit": func(from map[string]any, keys ...string) map[string]any {
		return kept(from, func(key string) bool { return !slices.Contains(keys, key) })
	},
}

func kept(from map[string]any, keep func(string) bool) map[string]any {
	out := map[string]any{}
	for key, value := range from {
		if keep(key) {
			out[key] = value
		}
	}
	return out
}

// TestArgoCDPage renders the page's template with applications and sends what
// it makes.
func TestArgoCDPage(t *testing.T) {
	data := manifest(t, "argocd.md", "ConfigMap")["data"].(map[string]any)
	var service struct {
		URL     string                         `yaml:"url"`
		Headers []struct{ Name, Value string } `yaml:"headers"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(data["service.webhook.postflight"].(string)), &service))
	require.Equal(t, "https://postflight.example/api/v1/hooks/argocd", service.URL)
	var triggers []struct {
		When    string   `yaml:"when"`
		OncePer string   `yaml:"oncePer"`
		Send    []string `yaml:"send"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(data["trigger.postflight"].(string)), &triggers))
	require.Equal(t, "app.status.operationState?.finishedAt", triggers[0].OncePer)
	require.Equal(t, []string{"postflight"}, triggers[0].Send)
	var templates struct {
		Webhook map[string]struct{ Method, Body string } `yaml:"webhook"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(data["template.postflight"].(string)), &templates))
	require.Equal(t, "POST", templates.Webhook["postflight"].Method)
	var context map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(data["context"].(string)), &context))
	body, err := template.New("body").Funcs(sprig).Parse(templates.Webhook["postflight"].Body)
	require.NoError(t, err)

	daemon := integrated(t, "argocd.md")
	header := http.Header{}
	for _, h := range service.Headers {
		header.Set(h.Name, strings.ReplaceAll(h.Value, "$postflight-token", daemon.secret))
	}
	link := ""
	send := func(application string) (int, receipt) {
		var app map[string]any
		require.NoError(t, json.Unmarshal([]byte(application), &app))
		var out strings.Builder
		require.NoError(t, body.Execute(&out, map[string]any{"app": app, "context": context}))
		var made struct{ URL string }
		require.NoError(t, json.Unmarshal([]byte(out.String()), &made))
		link = made.URL
		return daemon.post(header, out.String())
	}
	status, opened := send(`{"metadata":{"name":"checkout","namespace":"argocd","uid":"c1f2a7de"},
		"spec":{"project":"shop","destination":{"namespace":"production","server":"https://kubernetes.default.svc"}},
		"status":{"health":{"status":"Healthy"},"summary":{"images":["ghcr.io/acme/checkout:1.42.0"]},
		 "operationState":{"phase":"Succeeded","startedAt":"2026-11-23T02:40:41Z","finishedAt":"2026-11-23T02:41:07Z","message":"\"synced\"",
		  "operation":{"initiatedBy":{"username":"dana"}},"syncResult":{"revision":"f95f852b","resources":[{"kind":"Deployment"}]}}}}`)
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, opened.VerificationID)
	require.Equal(t, "https://argocd.example/applications/argocd/checkout", link)
	status, failed := send(`{"metadata":{"name":"cart","namespace":"argocd","uid":"d2"},"spec":{"project":"shop","destination":{"namespace":"production"}},
		"status":{"operationState":{"phase":"Failed","startedAt":"2026-11-23T02:40:41Z","syncResult":{"revisions":["a1","b2"]}}}}`)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, failed.Ignored, "failed")
}

// TestArgoCDSubscription: what the page subscribes to is the trigger and the
// service of its ConfigMap.
func TestArgoCDSubscription(t *testing.T) {
	names := regexp.MustCompile(`notifications\.argoproj\.io/subscribe\.(\w+)\.(\w+)=""`).FindStringSubmatch(fenced(t, "argocd.md", "sh")[0])
	require.NotNil(t, names)
	data := manifest(t, "argocd.md", "ConfigMap")["data"].(map[string]any)
	require.Contains(t, data, "trigger."+names[1])
	require.Contains(t, data, "service.webhook."+names[2])
}
