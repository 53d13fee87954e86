package app

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// TestSourcesOfOtherFormatsNameNoRepository: whoever may announce a deploy gives
// nobody else's commit a status, and what GitHub announced has one.
func TestSourcesOfOtherFormatsNameNoRepository(t *testing.T) {
	o := configuration(t)
	good, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(o.ConfigFile), "github-token"), []byte("ghp_0123456789"), 0o600))
	text := strings.Replace(string(good), "sources:\n", "sources:\n  - { name: hub, format: github, secret_file: github-token }\n", 1)
	require.NotEqual(t, string(good), text)
	text += "receivers:\n  - { name: commits, github: { url: \"http://127.0.0.1:1\", token_file: github-token } }\n"
	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(text), 0o600))
	log := &logged{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	// Messages of a daemon that doesn't know its address link to this replica.
	require.Equal(t, 1, strings.Count(log.String(), "--web.external-url is not set"))
	a.o.ExternalURL = "https://postflight.example"
	a.doubt(a.current.Load())
	require.Equal(t, 1, strings.Count(log.String(), "--web.external-url is not set"))
	commits, ok := a.receiver(verifier.MessageDelivery, "commits")
	require.True(t, ok)
	send := func(source string) alerting.Result {
		body, err := json.Marshal(verifier.Event{Type: verifier.EventDecided, Data: verifier.Verification{ID: "vf_1", Deployment: verifier.Deployment{
			Service: "checkout", Environment: "production", Source: source,
			Labels: map[string]string{"repository": "acme/critical", "commit": strings.Repeat("a", 40)},
		}}})
		require.NoError(t, err)
		return commits.Send(t.Context(), verifier.Delivery{ID: "dl_1", Receiver: "commits", Event: verifier.EventDecided, Body: body})
	}
	theirs := send("pipeline")
	require.Equal(t, alerting.Skipped, theirs.Outcome)
	require.ErrorContains(t, theirs.Err, "is no source of format github")
	require.Equal(t, alerting.Retry, send("hub").Outcome, "nobody listens there, and it was tried")

	// Who announces such a deploy is told at once.
	v := verifier.Verification{ID: "vf_1", Deployment: verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.1", Source: "hub", Labels: map[string]string{"repository": "acme/checkout"}}}
	accepted := verifier.Acceptance{Verification: &v, Policy: verifier.Policy{Receivers: []string{"commits", "gone"}}}
	require.Equal(t, []string{`receiver "commits" is told nothing of this deploy: no commit: the source of checkout 1.1 has to tell the whole hash as label "commit", or the receiver name it`}, a.unsendable(accepted))
	v.Deployment.Version = strings.Repeat("a", 40)
	require.Empty(t, a.unsendable(accepted))
}
