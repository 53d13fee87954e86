package intake

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// written returns what postflight's own receivers wrote: the body of a golden
// file of theirs, with its headers.
func written(t *testing.T, file string) (http.Header, []byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, body, found := strings.Cut(string(text), "\n\n")
	require.True(t, found)
	h := http.Header{}
	for line := range strings.SplitSeq(head, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h.Set(name, value)
		}
	}
	return h, []byte(body)
}

// TestGitHubEchoStartsNothing feeds back what GitHub sends of the statuses that
// alerting/github writes: the same fields in a deployment_status event.
func TestGitHubEchoStartsNothing(t *testing.T) {
	files, err := filepath.Glob("../../alerting/github/testdata/deployment-*.http")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		_, body := written(t, file)
		var status map[string]any
		require.NoError(t, json.Unmarshal(body, &status))
		var changes []string
		for _, field := range []string{"state", "description", "log_url", "environment_url"} {
			value, err := json.Marshal(status[field])
			require.NoError(t, err)
			changes = append(changes, "deployment_status."+field, string(value))
		}
		n, ignored, err := decodeGitHub(t, changes...)
		require.NoError(t, err)
		require.Contains(t, ignored, "postflight's own", file)
		require.Empty(t, n.Deployment)
	}
}

// TestOneMarkAloneIsNoEcho: a pipeline may say and link what it likes, and its
// deploy is not lost.
func TestOneMarkAloneIsNoEcho(t *testing.T) {
	for name, changes := range map[string][]string{
		"description":      {"deployment_status.description", `"postflight: deployed 1.42.0"`},
		"link":             {"deployment_status.log_url", `"https://postflight.example/verifications/vf_01j8zk3tqm5w7x2ycv4b6n8p0r"`},
		"link to the list": {"deployment_status.description", `"postflight: deployed"`, "deployment_status.log_url", `"https://postflight.example/verifications/"`},
	} {
		n, ignored, err := decodeGitHub(t, changes...)
		require.NoError(t, err)
		require.Empty(t, ignored, name)
		require.NotEmpty(t, n.Deployment.Version, name)
	}
}

// TestGitHubCommitStatusStartsNothing: GitHub sends those as status events.
func TestGitHubCommitStatusStartsNothing(t *testing.T) {
	_, body := written(t, "../../alerting/github/testdata/commit-reverted.http")
	h := http.Header{}
	h.Set("X-GitHub-Event", "status")
	_, ignored, err := github{}.decode(h, body, Mapping{})
	require.NoError(t, err)
	require.Contains(t, ignored, `event "status" starts nothing`)
}

// TestCDEventsEchoStartsNothing feeds every event that alerting/cdevents sends
// back, as a broker that hands everything to everybody would.
func TestCDEventsEchoStartsNothing(t *testing.T) {
	files, err := filepath.Glob("../../alerting/cdevents/testdata/*.http")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		h, body := written(t, file)
		n, ignored, err := cdevents{}.decode(h, body, Mapping{})
		require.NoError(t, err, file)
		require.NotEmpty(t, ignored, file)
		require.Empty(t, n.Deployment, file)
	}
}
