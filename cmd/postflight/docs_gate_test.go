package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
)

// TestGatePage plays the commands of docs/gate.md in their order against a
// daemon with the page's configuration, each with the exit code that the page
// says. Staging, the service and the rollback hook are one healthy server.
func TestGatePage(t *testing.T) {
	text := pages(t)["docs/gate.md"]
	healthy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(healthy.Close)
	configuration := regexp.MustCompile(`http://(staging|ci|checkout)\.example`).ReplaceAllString(fenced(t, "../gate.md", "yaml")[0], healthy.URL)
	// Nothing was deployed before.
	configuration = regexp.MustCompile(`(?m)^      known_good: .*\n`).ReplaceAllString(configuration, "")
	file := written(t, strings.Replace(configuration, "sqlite:", "sqlite:"+t.TempDir()+"/", 1))
	daemon, err := app.New(t.Context(), app.Options{ConfigFile: file, ListenAddress: "127.0.0.1:0", Version: "test", Env: os.LookupEnv, Log: promslog.NewNopLogger()})
	require.NoError(t, err)
	require.NoError(t, daemon.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, daemon.Stop()) })
	bin := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "postflight")))
	p := pipeline{t: t, url: "http://" + daemon.Address(), bin: bin}

	// Alertmanager is quiet, but for the alert that always fires.
	watchdog, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/v1/hooks/alertmanager", strings.NewReader(
		`{"version":"4","status":"firing","receiver":"postflight-heartbeat","alerts":[{"status":"firing","fingerprint":"1","startsAt":"2026-11-30T09:00:00Z","labels":{"alertname":"Watchdog"}}]}`))
	require.NoError(t, err)
	token, err := os.ReadFile(filepath.Join(filepath.Dir(file), "secrets", "alertmanager"))
	require.NoError(t, err)
	watchdog.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	watchdog.Header.Set("Content-Type", "application/json")
	heard, err := http.DefaultClient.Do(watchdog)
	require.NoError(t, err)
	require.NoError(t, heard.Body.Close())
	require.Less(t, heard.StatusCode, http.StatusMultipleChoices)

	ids := map[string]string{}
	seen, ran := "", 0
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if m[1] == "text" {
			require.Contains(t, seen, strings.TrimSpace(m[2]))
		}
		if m[1] != "console" {
			continue
		}
		for line := range strings.Lines(m[2]) {
			command, comment, _ := strings.Cut(strings.TrimSpace(line), " # exit code ")
			want := 0
			if comment != "" {
				_, err := fmt.Sscan(comment, &want)
				require.NoError(t, err)
			}
			for _, prefix := range []string{"ap_", "vf_"} {
				command = strings.ReplaceAll(command, prefix+"...", ids[prefix])
			}
			code, out := p.run(bash, "cd "+filepath.Dir(file)+" && "+strings.ReplaceAll(command, "./postflight", "postflight"), "POSTFLIGHT_TOKEN=")
			require.Equal(t, want, code, "%s\n%s", command, out)
			if id := regexp.MustCompile(`(ap_|vf_)[a-z0-9]+`).FindStringSubmatch(out); id != nil {
				ids[id[1]] = id[0]
			}
			seen = out
			ran++
		}
	}
	require.GreaterOrEqual(t, ran, 15)
}

// TestGateInAPipelinesShell: a pipeline's shell deploys on a go and on nothing
// else.
func TestGateInAPipelinesShell(t *testing.T) {
	p := newPipelineWith(t, "access: [{ name: ci, token_file: token, may: [read, report] }]\n")
	script := strings.Replace(fenced(t, "../gate.md", "sh")[0], "# ... deploy ...", "echo deployed", 1)
	for name, c := range map[string]struct {
		env      []string
		code     int
		deployed bool
	}{
		"go":               {nil, 0, true},
		"no policy":        {nil, 10, false},
		"nobody's token":   {[]string{"POSTFLIGHT_TOKEN=of-nobody-at-all"}, 1, false},
		"nobody is there":  {[]string{"POSTFLIGHT_URL=http://127.0.0.1:9"}, 1, false},
		"no version known": {[]string{"VERSION="}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, script := p, script
			p.t = t
			if name == "no policy" {
				script = strings.ReplaceAll(script, "production", "staging")
			}
			code, out := p.run(bash, script, append([]string{"VERSION=1.42.0", "ACTOR=dana"}, c.env...)...)
			require.Equal(t, c.code, code, out)
			require.Equal(t, c.deployed, strings.Contains(out, "deployed\n"), out)
		})
	}
}
