package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
)

// foreign reports whether a block of YAML is a file of another system, as its
// first line says: "# flux.yaml".
func foreign(block string) bool {
	return regexp.MustCompile(`^# [a-z-]+\.yaml\n`).MatchString(block)
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
	for _, m := range fence.FindAllStringSubmatch(pages(t)["docs/integrations/"+page], -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	require.NotEmpty(t, out, "no block of %s on %s", language, page)
	return out
}

// integration is a daemon with the configuration of an integration's page.
type integration struct {
	t    *testing.T
	url  string
	auth string
}

func integrated(t *testing.T, page string) integration {
	t.Helper()
	var configuration string
	for _, block := range fenced(t, page, "yaml") {
		if !foreign(block) {
			configuration = block
		}
	}
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
	return integration{t: t, url: "http://" + daemon.Address() + "/api/v1/hooks/" + name, auth: "Bearer " + string(secret)}
}

// post sends a notification with the page's token and returns the answer.
func (i integration) post(header http.Header, body string) (int, receipt) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, i.url, strings.NewReader(body))
	require.NoError(i.t, err)
	req.Header = header
	req.Header.Set("Authorization", i.auth)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(i.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(i.t, err)
	var r receipt
	require.NoError(i.t, json.Unmarshal(answer, &r), string(answer))
	return resp.StatusCode, r
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
	status, opened := daemon.post(header, strings.TrimSuffix(strings.TrimSpace(data), "'"))
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, opened.VerificationID)
	status, again := daemon.post(header, strings.TrimSuffix(strings.TrimSpace(data), "'"))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, opened.VerificationID, again.VerificationID)
}
