package app

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
)

// TestAskReceivers: each is asked once, whose system can be asked by its API,
// and nobody is told anything.
func TestAskReceivers(t *testing.T) {
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		switch {
		case r.URL.Path == "/api/auth.test" && r.Header.Get("Authorization") == "Bearer xoxb-0123456789-of-the-test":
			_, _ = io.WriteString(w, `{"ok":true,"team":"Acme","user":"postflight"}`)
		default:
			http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		}
	}))
	defer api.Close()
	var told atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	defer hook.Close()
	stranger := httptest.NewUnstartedServer(hook.Config.Handler)
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	defer stranger.Close()

	o := configuration(t)
	dir := filepath.Dir(o.ConfigFile)
	for name, secret := range map[string]string{"slack": "xoxb-0123456789-of-the-test", "github": "ghp_0123456789", "signing": "a-key-of-the-test-0123", "pagerduty": strings.Repeat("k", 32), "ntfy": "ntfy://ntfy.sh/topic"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600))
	}
	text, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.ConfigFile, fmt.Appendf(text, `receivers:
  - { name: chat, slack: { url: "%[1]s/api", token_file: slack, channel: C0123456789 } }
  - { name: commits, github: { url: "%[1]s", token_file: github } }
  - { name: ci, webhook: { url: "%[2]s/hook", secret_file: signing } }
  - { name: sink, cdevents: { url: "%[3]s/events" } }
  - { name: pager, pagerduty: { url: "%[2]s", routing_key_file: pagerduty } }
  - { name: gone, cdevents: { url: "http://127.0.0.1:1/" } }
  - { name: phone, shoutrrr: { url_file: ntfy } }
`, api.URL, hook.URL, stranger.URL), 0o600))
	c, err := configs.Load(o.ConfigFile, o.Env)
	require.NoError(t, err)
	require.NoError(t, CheckReceivers(c))
	said := map[string]string{}
	require.NoError(t, AskReceivers(t.Context(), c, func(a ReceiverAnswer) {
		said[a.Name] = a.Said
		if a.Err != nil {
			said[a.Name] = "! " + a.Err.Error()
		}
		require.Equal(t, a.Name != "phone", a.Asked)
	}))
	for name, want := range map[string]string{
		"chat": "the token is of postflight in Acme", "commits": `! github "commits" answered 401`, "ci": "connected to 127.0.0.1:",
		"sink": "! begin TLS with 127.0.0.1: tls: failed to verify certificate", "pager": "whether the routing key is right, only an event would tell",
		"gone": "! connect to 127.0.0.1:1:", "phone": "its service offers nothing that tells nobody",
	} {
		require.Contains(t, said[name], want, name)
		require.Equal(t, strings.HasPrefix(want, "!"), strings.HasPrefix(said[name], "!"), name)
	}
	require.Equal(t, []string{"POST /api/auth.test", "GET /rate_limit"}, asked)
	require.Zero(t, told.Load(), "nobody is told anything")
}

// TestReceiversThatAreNeverReached are refused before they are needed.
func TestReceiversThatAreNeverReached(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200"} {
		c := &configs.Config{Receivers: []configs.Receiver{{Name: "ci", CDEvents: &configs.EventSink{URL: "http://" + host + "/x"}}}}
		err := CheckReceivers(c)
		require.ErrorContains(t, err, `receivers: cdevents "ci": egress to `, host)
		require.ErrorContains(t, err, "link-local and metadata addresses are refused always")
		c.Receivers[0] = configs.Receiver{Name: "mail", Email: &configs.Email{Server: host + ":25", Encryption: "none", From: "a@acme.example", To: []string{"b@acme.example"}}}
		require.ErrorContains(t, CheckReceivers(c), "refused always", host)
	}
}
