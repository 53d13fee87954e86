package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/probes/tickets/vendortest"
	"github.com/postflight/postflight/verifier"
)

// feedSnippet is the first line of a snippet that goes under feeds.
const feedSnippet = "# postflight.yml, under feeds\n"

// withFeed is a whole configuration with the feed of a snippet.
func withFeed(snippet string) string {
	return `# postflight.yml
sources: [{ name: pipeline, format: native, token_file: secrets/pipeline }]
prometheus: [{ name: main, url: "http://127.0.0.1:9090" }]
policies: [{ name: all, signals: [{ name: smoke, probe: { steps: [{ get: "http://127.0.0.1:9/healthz" }] } }] }]
feeds:
` + snippet
}

// TestTicketsPageAsksVendors tries every preset's snippet at the stand-in of
// its vendor.
func TestTicketsPageAsksVendors(t *testing.T) {
	missing := map[string]bool{}
	for _, p := range tickets.Presets() {
		missing[p.Name] = true
	}
	from := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	for _, block := range fenced(t, "tickets.md", "yaml") {
		snippet, ok := strings.CutPrefix(block, feedSnippet)
		preset := regexp.MustCompile(`preset: (\w+)`).FindStringSubmatch(snippet)
		if !ok || preset == nil {
			continue
		}
		delete(missing, preset[1])
		t.Run(preset[1], func(t *testing.T) {
			desk := vendortest.New(t, preset[1],
				vendortest.Ticket{ID: 1, At: from, Tags: []string{"checkout"}, Reporter: 1},
				vendortest.Ticket{ID: 2, At: from.Add(time.Minute), Tags: []string{"cart"}, Reporter: 2},
				vendortest.Ticket{ID: 3, At: from.Add(time.Hour), Tags: []string{"checkout"}, Reporter: 3})
			file := written(t, withFeed(regexp.MustCompile(`url: https://[^\s]+`).ReplaceAllString(snippet, "url: "+desk.URL)))
			secrets, err := filepath.Glob(filepath.Join(filepath.Dir(file), "secrets", "*"))
			require.NoError(t, err)
			for _, secret := range secrets {
				if filepath.Base(secret) != "pipeline" {
					require.NoError(t, os.WriteFile(secret, []byte(vendortest.Key), 0o600))
				}
			}
			name := regexp.MustCompile(`name: (\w+)`).FindStringSubmatch(snippet)[1]
			trial, err := app.TryFeed(t.Context(), file, os.LookupEnv, name, verifier.Target{Service: "checkout", Environment: "production"}, from, time.Now())
			require.NoError(t, err)
			require.Equal(t, 2.0, trial.Count)
			require.Equal(t, from.UTC(), trial.First.UTC())
			require.Equal(t, from.Add(time.Hour).UTC(), trial.Last.UTC())
		})
	}
	require.Empty(t, missing, "a preset without a snippet")
}

// TestTicketsPageTries runs the page's first command against a desk that holds
// as many tickets, and holds what it prints to what the page shows.
func TestTicketsPageTries(t *testing.T) {
	command, shown, _ := strings.Cut(fenced(t, "tickets.md", "console")[0], "\n")
	var held []vendortest.Ticket
	for i := range 12 {
		held = append(held, vendortest.Ticket{ID: i + 1, At: time.Now().Add(-time.Duration(20+i) * time.Minute), Tags: []string{"checkout"}})
	}
	desk := vendortest.New(t, "zendesk", held...)
	snippet := ""
	for _, block := range fenced(t, "tickets.md", "yaml") {
		if feed, ok := strings.CutPrefix(block, feedSnippet); ok && strings.Contains(feed, "preset: zendesk\n") {
			snippet = feed
		}
	}
	file := written(t, withFeed(strings.Replace(snippet, "https://acme.zendesk.com", desk.URL, 1)))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "secrets", "zendesk"), []byte(vendortest.Key), 0o600))
	s, out, errs := buffers()
	args := strings.Fields(strings.TrimPrefix(command, "$ postflight "))
	require.Equal(t, 0, run(t.Context(), append(args, "--config.file", file), s), errs.String())
	times := regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]{8}Z`)
	require.Equal(t, times.ReplaceAllString(shown, "TIME"), times.ReplaceAllString(strings.ReplaceAll(out.String(), desk.URL, "https://acme.zendesk.com"), "TIME"))
}

// TestTicketsPageReadsOthers tries the snippets of formats.
func TestTicketsPageReadsOthers(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	require.NoError(t, err)
	from := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	text := from.In(zurich).Format("2006-01-02 15:04:05")
	answers := map[string]string{
		"count: $.count": `{"count": "2"}`,
		"items":          `{"items":[{"opened":"` + text + `","number":7,"product":"checkout","customer":1},{"opened":"` + text + `","number":8,"product":"checkout","customer":2},{"opened":"` + text + `","number":9,"product":"checkout","customer":2}],"next":null}`,
		"export.csv":     "Number,Opened,Product\n1," + from.UTC().Format(time.RFC3339) + ",checkout\n2," + from.UTC().Format(time.RFC3339) + ",cart\n3," + from.UTC().Format(time.RFC3339) + ",checkout\n",
	}
	tried := 0
	for _, block := range fenced(t, "tickets.md", "yaml") {
		snippet, ok := strings.CutPrefix(block, feedSnippet)
		for mark, answer := range answers {
			if !ok || !strings.Contains(snippet, mark) {
				continue
			}
			tried++
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if since := r.URL.Query().Get("since"); since != "" {
					require.Equal(t, from.Add(-time.Hour).In(zurich).Format("2006-01-02 15:04:05"), since, "in the feed's time zone, an hour earlier for who wrote then")
				}
				_, _ = io.WriteString(w, answer)
			}))
			defer s.Close()
			file := written(t, withFeed(strings.ReplaceAll(snippet, "http://desk.acme.example", s.URL)))
			trial, err := app.TryFeed(t.Context(), file, os.LookupEnv, "desk", verifier.Target{Service: "checkout"}, from, time.Now())
			require.NoError(t, err)
			require.Equal(t, 2.0, trial.Count, snippet)
		}
	}
	require.Equal(t, len(answers), tried)
}

// TestTicketsPagePush sends what the page sends to a daemon with the page's
// configuration.
func TestTicketsPagePush(t *testing.T) {
	var configuration string
	for _, block := range fenced(t, "tickets.md", "yaml") {
		if strings.Contains(block, "format: push") {
			configuration = block
		}
	}
	file := written(t, "storage: { url: \"sqlite:"+t.TempDir()+"/postflight.db\" }\n"+configuration)
	daemon, err := app.New(t.Context(), app.Options{ConfigFile: file, ListenAddress: "127.0.0.1:0", Version: "test", Env: os.LookupEnv, Log: promslog.NewNopLogger()})
	require.NoError(t, err)
	require.NoError(t, daemon.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, daemon.Stop()) })
	token, err := os.ReadFile(filepath.Join(filepath.Dir(file), "secrets", "desk"))
	require.NoError(t, err)
	_, data, found := strings.Cut(fenced(t, "tickets.md", "sh")[0], "--data '")
	require.True(t, found)
	push := func(token, feed string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+daemon.Address()+"/api/v1/feeds/"+feed, strings.NewReader(strings.TrimSuffix(strings.TrimSpace(data), "'")))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer)
	}
	status, answer := push("another-token-than-that", "desk")
	require.Equal(t, http.StatusUnauthorized, status, answer)
	status, answer = push(string(token), "desk")
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Contains(t, answer, `"stored":1,"duplicates":0`)
	status, answer = push(string(token), "desk")
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, answer, `"duplicates":1`)
	// What is held is told by the command that the page names.
	for service, count := range map[string]string{"checkout": `1\nfirst created +2026-11-23T02:47:12Z\nlast created +2026-11-23T02:47:12Z\n$`, "cart": `0\n$`} {
		command := regexp.MustCompile(`(?m)^\$ postflight (feed test desk .*)$`).FindStringSubmatch(fenced(t, "tickets.md", "console")[1])
		require.NotNil(t, command)
		var out, problems bytes.Buffer
		root := newRoot(streams{out: &out, err: &problems})
		root.SetArgs(append(strings.Fields(strings.Replace(command[1], "secrets/desk", filepath.Join(filepath.Dir(file), "secrets", "desk"), 1)),
			"--config.file", file, "--url", "http://"+daemon.Address(), "--service", service))
		require.NoError(t, root.ExecuteContext(t.Context()), problems.String())
		require.Regexp(t, `^feed +desk \(push\)\n`, out.String())
		require.Regexp(t, `\ntickets +`+count, out.String())
	}
	status, answer = push(string(token), "other")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, answer, `there is no feed \"other\"`)
}
