package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// telling is a configuration with a receiver of each kind of way: one message
// that is edited, alerts, statuses, mails, and a process of its own.
const telling = `
storage: { url: "sqlite:%[1]s/postflight.db" }
sources:
  - { name: pipeline, format: native, token_file: token }
rollbacks:
  - { name: back, webhook: { url: "%[2]s/rollback", secret_file: signing } }
receivers:
  - { name: hook, webhook: { url: "%[2]s/hook", secret_file: signing } }
  - name: chat
    on: [deploy, keep, revert, action, escalation]
    slack: { url: "%[2]s/api", token_file: slack-token, channel: C0123456789 }
  - { name: pager, pagerduty: { url: "%[2]s/pagerduty", routing_key_file: pagerduty-key } }
  - { name: commits, github: { url: "%[2]s/github", token_file: github-token, repository: acme/checkout } }
  - { name: phone, shoutrrr: { url_file: ntfy } }
  - name: mail
    email: { server: "%[3]s", username: postflight, password_file: mail-password, from: postflight@acme.example, to: [oncall@acme.example], tls: { ca_file: mail.pem } }
  - { name: crowd, on: [deploy], slack: { webhook_url_file: slack-webhook } }
self_check: { get: "%[2]s/fine" }
policies:
  - name: crowded
    match: { service: "crowd-*" }
    window: 30m
    interval: 15s
    receivers: [crowd]
    signals: [{ name: smoke, probe: { steps: [{ get: "%[2]s/fine" }] } }]
  - name: all
    mode: enforce
    window: 12s
    interval: 1s
    step: 1s
    warmup: 1s
    rollback: back
    receivers: [hook, chat, pager, commits, phone, mail]
    signals: [{ name: smoke, probe: { steps: [{ get: "%[2]s/healthz" }] } }]
`

// town is everybody that is told, each as its documentation says that it
// answers, and the service that is deployed.
type town struct {
	http *httptest.Server
	mail *post
	sick atomic.Bool // the service
	// hold keeps the incoming webhook from answering until it is closed.
	hold  chan struct{}
	birds *birds

	mu       sync.Mutex
	took     map[string][]string // the bodies that each took, by receiver
	messages map[string]string   // of Slack, by what it calls them
	posted   int                 // of them by chat.postMessage
	refused  []string
}

func (w *town) take(by, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took[by] = append(w.took[by], body)
}

// about are the bodies that one took, with a text in them.
func (w *town) about(by, text string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, body := range w.took[by] {
		if strings.Contains(body, text) {
			out = append(out, body)
		}
	}
	return out
}

func (w *town) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // cut off, it isn't the JSON that is checked
	secret := func(name string) string { return w.birds.value(name) }
	bearer := func(name string) bool { return r.Header.Get("Authorization") == "Bearer "+secret(name) }
	user, password, _ := r.BasicAuth()
	switch path := r.URL.Path; {
	case path == "/fine" || path == "/healthz" && !w.sick.Load():
	case path == "/healthz":
		out.WriteHeader(http.StatusInternalServerError)
	case r.Method != http.MethodPost:
		w.refuse(out, r, http.StatusMethodNotAllowed)
	case path == "/hook" && r.Header.Get("Webhook-Signature") != "":
		w.take("hook", string(body))
	case path == "/rollback" && r.Header.Get("Webhook-Signature") != "":
		w.take("back", string(body))
		out.WriteHeader(http.StatusAccepted)
	case strings.HasPrefix(path, "/api/chat.") && bearer("slack-token"):
		w.slack(out, r, body)
	case path == "/services/T00000000/"+secret("slack-hook-part"):
		<-w.hold
		w.take("crowd", string(body))
		_, _ = io.WriteString(out, "ok")
	case strings.HasPrefix(path, "/pagerduty/v2/") && bytes.Contains(body, []byte(secret("pagerduty-key"))):
		w.take("pager", path+string(body))
		out.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(out, `{"status":"success","message":"Event processed"}`)
	case strings.HasPrefix(path, "/github/repos/acme/checkout/statuses/") && bearer("github-token"):
		w.take("commits", path+string(body))
		out.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(out, `{"id":1}`)
	case path == "/"+secret("ntfy-topic") && user == "me" && password == secret("ntfy-password"):
		w.take("phone", r.Header.Get("Title")+"\n"+string(body))
		_, _ = io.WriteString(out, `{"id":"a","event":"message"}`)
	default:
		w.refuse(out, r, http.StatusForbidden)
	}
}

func (w *town) refuse(out http.ResponseWriter, r *http.Request, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, r.Method+" "+r.URL.Path)
	out.WriteHeader(status)
}

// requireNoneRefused: every call came with its secret, to where it belongs.
func (w *town) requireNoneRefused(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, w.refused)
}

// slack keeps messages, and changes those that it has.
func (w *town) slack(out http.ResponseWriter, r *http.Request, body []byte) {
	var m struct {
		Channel, TS, Text string
		ThreadTS          string `json:"thread_ts"`
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Channel != "C0123456789" {
		_, _ = io.WriteString(out, `{"ok":false,"error":"channel_not_found"}`)
		return
	}
	by := "chat"
	if m.ThreadTS != "" { // a reply is no message of its own
		by = "reply"
	}
	w.take(by, r.URL.Path+string(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case m.ThreadTS != "" && w.messages[m.ThreadTS] == "":
		_, _ = io.WriteString(out, `{"ok":false,"error":"thread_not_found"}`)
		return
	case r.URL.Path == "/api/chat.postMessage":
		w.posted++
		m.TS = fmt.Sprintf("1700000000.%06d", w.posted)
	case w.messages[m.TS] == "":
		_, _ = io.WriteString(out, `{"ok":false,"error":"message_not_found"}`)
		return
	}
	if m.ThreadTS == "" {
		w.messages[m.TS] = m.Text
	}
	_, _ = fmt.Fprintf(out, `{"ok":true,"channel":%q,"ts":%q}`, m.Channel, m.TS)
}

// shows is what Slack shows about a version: its messages.
func (w *town) shows(version string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.messages {
		if strings.Contains(text, version) {
			out = append(out, text)
		}
	}
	return out
}

// openTown starts everybody, and writes the configuration that tells them.
func openTown(t *testing.T) (*town, Options, *logged) {
	t.Helper()
	o := configuration(t)
	dir := filepath.Dir(o.ConfigFile)
	b := &birds{t: t, dir: dir, known: map[string]string{"pagerduty-key": "R0c4nary9abcdef0123456789abcdeZq", "ntfy-topic": "c4nary-topic-Zq", "slack-token": "xoxb-0c4nary9-c4naryZq", "slack-hook-part": "B00000000/c4naryc4naryc4naryZq"}}
	w := &town{birds: b, took: map[string][]string{}, messages: map[string]string{}, hold: make(chan struct{})}
	w.http = httptest.NewServer(w)
	t.Cleanup(w.http.Close)
	w.mail = openPost(t, b.value("mail-password"))
	for _, name := range []string{"slack-token", "pagerduty-key", "github-token", "mail-password", "signing"} {
		b.file(name)
	}
	host := strings.TrimPrefix(w.http.URL, "http://")
	for name, text := range map[string]string{
		"slack-webhook": w.http.URL + "/services/T00000000/" + b.value("slack-hook-part"),
		"ntfy":          "ntfy://me:" + strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(b.value("ntfy-password")) + "@" + host + "/" + b.value("ntfy-topic") + "?scheme=http",
		"mail.pem":      w.mail.authority,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(o.ConfigFile, fmt.Appendf(nil, telling, dir, w.http.URL, w.mail.address), 0o600))
	log := &logged{}
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return w, o, log
}

const (
	goodCommit = "1111111111111111111111111111111111111111"
	badCommit  = "2222222222222222222222222222222222222222"
)

// announced announces a deploy of a service and returns its verification's id.
func announced(t *testing.T, a *App, service, version, more string) string {
	t.Helper()
	status, body := ask(t, http.MethodPost, "http://"+a.Address()+"/api/v1/deployments",
		fmt.Sprintf(`{"service":%q,"environment":"production","version":%q%s}`, service, version, more))
	require.Equal(t, http.StatusAccepted, status, body)
	var receipt struct {
		ID string `json:"verification_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &receipt))
	return receipt.ID
}

// TestEverybodyIsTold runs the daemon with a receiver of each way, from a bad
// deploy over its rollback and a restart to the confirmation: each is told what
// it wants, once per change, Slack in one message, and mails have the chart.
func TestEverybodyIsTold(t *testing.T) {
	withoutRaceDetector(t) // its mails' charts take longer to draw than a mail may take
	w, o, log := openTown(t)
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	until := func(what string, holds func() bool) {
		t.Helper()
		require.Eventually(t, holds, time.Minute, 20*time.Millisecond, "%s\n%s", what, log)
	}
	record := func(id string) verifier.Verification {
		v, err := a.store.Verification(context.Background(), id)
		require.NoError(t, err)
		return v
	}
	first := announced(t, a, "checkout", "1.41.3", labelled(goodCommit))
	until("the first is kept", func() bool { return record(first).Effective == verifier.Keep })
	w.sick.Store(true)
	bad := announced(t, a, "checkout", "1.42.0", labelled(badCommit))
	until("the rollback is taken", func() bool { return record(bad).Action.State == verifier.ActionAccepted })
	w.sick.Store(false)
	until("everybody knows", func() bool { return settledDeliveries(record(bad)) })
	require.Len(t, w.shows("1.42.0"), 1, "one message")
	require.Contains(t, w.shows("1.42.0")[0], "ROLLBACK ACCEPTED")

	require.NoError(t, a.Stop())
	a = started(t, o)
	announced(t, a, "checkout", "1.41.3", labelled(goodCommit)+fmt.Sprintf(`,"revert_id":%q`, record(bad).Action.RevertID))
	until("it is confirmed, and everybody knows", func() bool {
		v := record(bad)
		return v.Action.State == verifier.ActionConfirmed && settledDeliveries(v)
	})
	v := record(bad)
	require.Equal(t, []string{"✔ ROLLED BACK checkout 1.42.0 in production → 1.41.3 is live again"}, firstWords(w.shows("1.42.0"), " ("), "edited in place, after a restart")
	requireOnce(t, w, v)
	requireContents(t, w, bad)
	requireMails(t, w, bad)
	requireHidden(t, w, a, v)
	w.requireNoneRefused(t)
	w.birds.requireUnseen("the log", log.String())
}

func labelled(commit string) string {
	return fmt.Sprintf(`,"actor":"dana","labels":{"repository":"acme/checkout","commit":%q}`, commit)
}

func firstWords(list []string, before string) (out []string) {
	for _, text := range list {
		words, _, _ := strings.Cut(text, before)
		out = append(out, words)
	}
	return out
}

func settledDeliveries(v verifier.Verification) bool {
	for _, d := range v.Deliveries {
		if d.State != verifier.DeliveryDelivered && d.State != verifier.DeliveryDiscarded {
			return false
		}
	}
	return len(v.Deliveries) > 0
}

// requireOnce: every delivery but one that a later edit made needless was sent
// in one attempt, and arrived as often as there are deliveries.
func requireOnce(t *testing.T, w *town, v verifier.Verification) {
	t.Helper()
	sent := map[string]int{}
	for _, d := range v.Deliveries {
		if d.State == verifier.DeliveryDiscarded {
			require.Equal(t, "chat", d.Receiver)
			require.Contains(t, d.Reason, "a later message tells")
			continue
		}
		require.Len(t, d.Attempts, 1, "%s of %s: %v", d.Event, d.Receiver, d.Attempts)
		sent[d.Receiver]++
	}
	require.Equal(t, map[string]int{"hook": 3, "pager": 3, "commits": 4, "phone": 3, "mail": 3, "back": 1, "chat": sent["chat"]}, sent)
	require.Len(t, w.about("hook", v.ID), 3)
	require.Len(t, w.about("commits", badCommit), 4)
	require.Len(t, w.about("phone", v.ID), 3)
	require.Len(t, w.about("back", v.Action.RevertID), 1)
	require.Len(t, w.about("chat", v.ID), sent["chat"])
	posts := 0
	for _, call := range w.about("chat", v.ID) {
		if strings.HasPrefix(call, "/api/chat.postMessage") {
			posts++
		}
	}
	require.Equal(t, 1, posts)
	require.LessOrEqual(t, len(w.about("reply", v.ID)), 1, "the verdict alone needs somebody to look up")
}

// requireContents: each is told in its own way.
func requireContents(t *testing.T, w *town, id string) {
	t.Helper()
	count := func(by, text string) int { return len(w.about(by, text)) }
	require.Len(t, w.about("pager", id+`","version":"1.42.0"}},`), 1, "the deploy, as a change")
	require.Equal(t, 1, count("pager", `"event_action":"acknowledge","dedup_key":"postflight/checkout/production"`), "the rollback is at it")
	require.GreaterOrEqual(t, count("pager", `"event_action":"resolve","dedup_key":"postflight/checkout/production"`), 2, "the version before is kept, and brought back")
	require.Zero(t, count("pager", `"event_action":"trigger"`), "a rollback that goes well needs nobody")
	require.Equal(t, 1, count("commits", badCommit+`{"state":"pending"`))
	require.Equal(t, 3, count("commits", badCommit+`{"state":"failure"`))
	for _, text := range []string{"✖ REVERT checkout 1.42.0", "↺ ROLLBACK ACCEPTED checkout 1.42.0", "✔ ROLLED BACK checkout 1.42.0"} {
		require.Equal(t, 1, count("phone", "\n"+text)+count("phone", text+"\n"), "%s: %q", text, w.about("phone", id))
	}
}

// requireHidden: none of the secrets is in what can be read of it.
func requireHidden(t *testing.T, w *town, a *App, v verifier.Verification) {
	t.Helper()
	for _, path := range []string{"/metrics", "/api/v1/verifications/" + v.ID, "/verifications/" + v.ID, "/api/v1/audit", "/status"} {
		status, answer := ask(t, http.MethodGet, "http://"+a.Address()+path, "")
		require.Equal(t, http.StatusOK, status, path)
		w.birds.requireUnseen(path, answer)
		if path == "/status" {
			require.Contains(t, answer, "</span> takes</span>", "receivers have a line each")
		}
	}
}

// TestManyDeploysAreOneMessage: of twelve deploys within a minute, four are on
// their way to a slow chat; the others wait and become one message.
func TestManyDeploysAreOneMessage(t *testing.T) {
	w, o, log := openTown(t)
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	var ids []string
	for i := range 12 {
		ids = append(ids, announced(t, a, fmt.Sprintf("crowd-%d", i), "1.0", ""))
	}
	close(w.hold)
	require.Eventually(t, func() bool {
		for _, id := range ids {
			if v, err := a.store.Verification(context.Background(), id); err != nil || !settledDeliveries(v) {
				return false
			}
		}
		return true
	}, 30*time.Second, 50*time.Millisecond, log)
	w.requireNoneRefused(t)
	require.Len(t, w.about("crowd", "messages in one"), 1)
	told := strings.Join(w.about("crowd", ""), "\n")
	for _, id := range ids {
		require.Contains(t, told, id, "each is told of")
		v, err := a.store.Verification(context.Background(), id)
		require.NoError(t, err)
		require.Len(t, v.Deliveries, 1)
		require.Equal(t, verifier.DeliveryDelivered, v.Deliveries[0].State)
		require.Len(t, v.Deliveries[0].Attempts, 1)
	}
	w.birds.requireUnseen("the log", log.String())
}
