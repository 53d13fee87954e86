package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier/intake/review/reviewtest"
)

// pages returns the text of what people read, by file name from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	out := map[string]string{}
	below, err := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	require.NoError(t, err)
	files = append(files, below...)
	for _, file := range append(files, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "SECURITY.md")) {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		name, err := filepath.Rel(root, file)
		require.NoError(t, err)
		out[filepath.ToSlash(name)] = string(b)
	}
	require.Greater(t, len(out), 6)
	return out
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks calls visit with every block of a language, and requires that there
// are some.
func blocks(t *testing.T, language string, visit func(t *testing.T, block string)) {
	t.Helper()
	found := 0
	for name, text := range pages(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			if m[1] == language {
				found++
				t.Run(name, func(t *testing.T) { visit(t, m[2]) })
			}
		}
	}
	require.Positive(t, found, "no block of %s", language)
}

// written writes a configuration with the secret files that it names, and
// returns its name.
func written(t *testing.T, configuration string) string {
	t.Helper()
	dir := t.TempDir()
	for i, m := range regexp.MustCompile(`_file: ([\w/.-]+)`).FindAllStringSubmatch(configuration, -1) {
		file := filepath.Join(dir, m[1])
		if _, err := os.Stat(file); err == nil {
			continue // named twice: one secret
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		secret := "a-secret-of-the-docs-" + string(rune('a'+i)) // each its own
		switch m[1] {
		case "secrets/slack":
			secret = "https://hooks.slack.example/services/T0/B0/x"
		case "secrets/slackbot":
			secret = "xoxb-0123456789-of-the-docs"
		case "secrets/ntfy":
			secret = "ntfy://ntfy.sh/topic-of-the-docs"
		case "secrets/github-app":
			app, err := reviewtest.New(time.Now)
			require.NoError(t, err)
			secret = string(app.KeyPEM())
		}
		require.NoError(t, os.WriteFile(file, []byte(secret), 0o600))
	}
	file := filepath.Join(dir, "postflight.yml")
	require.NoError(t, os.WriteFile(file, []byte(configuration), 0o600))
	return file
}

func TestConfigurationsInDocsLoad(t *testing.T) {
	blocks(t, "yaml", func(t *testing.T, block string) {
		if foreign(block) {
			return // the test of its page reads it
		}
		if feed, ok := strings.CutPrefix(block, feedSnippet); ok {
			block = withFeed(feed)
		}
		require.Regexp(t, "^# (postflight.yml|yaml-language-server: .*)\n", block, "says what it is")
		_, err := configs.Load(written(t, block), func(string) (string, bool) { return "", false })
		require.NoError(t, err)
	})
}

// served is a real daemon over HTTP in this process.
func served(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	configuration := written(t, `# postflight.yml
storage: { url: "sqlite:`+dir+`/postflight.db" }
sources: [{ name: pipeline, format: native, token_file: token }]
metrics: { services: true }
policies: [{ name: all, signals: [{ name: smoke, probe: { steps: [{ get: "http://127.0.0.1:9/healthz" }] } }] }]
`)
	daemon, err := app.New(t.Context(), app.Options{
		ConfigFile: configuration, ListenAddress: "127.0.0.1:0", Version: "test", Env: os.LookupEnv, Log: promslog.NewNopLogger(),
	})
	require.NoError(t, err)
	require.NoError(t, daemon.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, daemon.Stop()) })
	return "http://" + daemon.Address()
}

func TestNotificationsInDocsAreTaken(t *testing.T) {
	url := served(t)
	blocks(t, "json", func(t *testing.T, block string) {
		if strings.Contains(t.Name(), "docs/messages.md") {
			return // made from what receivers are told, and held to it by a test of alerting
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/deployments", strings.NewReader(block))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer a-secret-of-the-docs-a")
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, resp.StatusCode, string(answer))
		var r receipt
		require.NoError(t, json.Unmarshal(answer, &r))
		require.NotEmpty(t, r.VerificationID)
	})
}

func TestMetricsInDocsExist(t *testing.T) {
	resp, err := http.Get(served(t) + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	require.NoError(t, err)
	// What begins with the first verification, or with a receiver, is not there yet.
	later := []string{"postflight_service_last_deploy_timestamp_seconds", "postflight_service_last_verdict_timestamp_seconds",
		"postflight_service_verification_progress_ratio", "postflight_signal_state", "postflight_signal_level", "postflight_gate_requests_total", "postflight_deliveries_total", "postflight_upstream_up", "postflight_upstream_request_duration_seconds",
		"postflight_upstream_wait_seconds", "postflight_upstream_waiting", "postflight_upstream_shared_answers_total"}
	named := 0
	for name, text := range pages(t) {
		if name == "docs/metrics.md" { // TestMetricsPage writes it from all that is registered
			continue
		}
		for _, metric := range regexp.MustCompile(`\bpostflight_[a-z_]+`).FindAllString(text, -1) {
			if metric == "postflight_revert_id" { // a field of GitHub's payload
				continue
			}
			named++
			require.True(t, families[metric] != nil || slices.Contains(later, metric), "%s names %s, which is not exposed", name, metric)
		}
	}
	require.Positive(t, named)
}

// TestCommandsInDocsParse finds each command and its flags without running it.
func TestCommandsInDocsParse(t *testing.T) {
	blocks(t, "console", func(t *testing.T, block string) {
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			line, _, _ = strings.Cut(line, " #")
			args := strings.Fields(line)
			if len(args) == 0 || args[0] != "./postflight" && args[0] != "postflight" {
				continue
			}
			requireParses(t, args[1:])
		}
	})
	for name, text := range pages(t) {
		for _, m := range regexp.MustCompile("`postflight ([a-z][^`]*)`").FindAllStringSubmatch(text, -1) {
			t.Run(name, func(t *testing.T) { requireParses(t, strings.Fields(m[1])) })
		}
	}
}

func requireParses(t *testing.T, args []string) {
	t.Helper()
	if slices.Equal(args, []string{"--version"}) {
		return
	}
	root := newRoot(streams{in: new(bytes.Buffer), out: io.Discard, err: io.Discard})
	cmd, rest, err := root.Find(args)
	require.NoError(t, err, args)
	require.NotSame(t, root, cmd, "%v: no such command", args)
	require.False(t, cmd.HasSubCommands() && !cmd.HasAvailableLocalFlags(), "%v needs a command", args) // audit lists by itself
	rest = slices.DeleteFunc(rest, func(arg string) bool { return arg == "..." })
	if len(rest) > 0 && slices.Contains([]string{"--reason", "--html"}, rest[len(rest)-1]) { // `--reason ...`
		rest = append(rest, "why")
	}
	require.NoError(t, cmd.ParseFlags(rest), args)
}

func TestChangelogLines(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "CHANGELOG.md"))
	require.NoError(t, err)
	entries := 0
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "## ") {
			continue
		}
		entries++
		require.Regexp(t, `^- \[(FEATURE|CHANGE|BUGFIX|ENHANCEMENT)\] [a-z, ]+: .+\.$`, line)
	}
	require.Positive(t, entries)
}

// TestMainIsShort: flags, signals and exit codes need no more.
func TestMainIsShort(t *testing.T) {
	b, err := os.ReadFile("main.go")
	require.NoError(t, err)
	require.Less(t, bytes.Count(b, []byte("\n")), 100)
}

// What docs/judging.md quotes of errors is what the judge says in a golden file.
func TestQuotedFindingsAreTheJudges(t *testing.T) {
	goldens, err := filepath.Glob(filepath.Join("..", "..", "verifier", "judge", "testdata", "*.golden"))
	require.NoError(t, err)
	var said strings.Builder
	for _, file := range goldens {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		said.Write(b)
	}
	page := strings.Join(strings.Fields(pages(t)["docs/judging.md"]), " ")
	quotes := regexp.MustCompile("[*`] ?(?:text )?(errors (?:rose )?[^*`]*[0-9][^*`]*[^*` ])").FindAllStringSubmatch(page, -1)
	require.GreaterOrEqual(t, len(quotes), 5)
	for _, q := range quotes {
		require.Contains(t, said.String(), q[1])
	}
	tenfold, err := os.ReadFile(filepath.Join("..", "..", "verifier", "judge", "testdata", "errors_tenfold.golden"))
	require.NoError(t, err)
	minutes := regexp.MustCompile(`revert after (\d+)m0s`).FindSubmatch(tenfold)
	require.NotNil(t, minutes)
	require.Contains(t, page, "the verdict fell after "+string(minutes[1])+" minutes")
}
