package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/configs"
)

// birds are the secrets of the canary test, each with a value of its own.
type birds struct {
	t     *testing.T
	dir   string
	known map[string]string // by name
}

// file puts a new secret into a file and returns the file's name.
func (b *birds) file(name string) string {
	b.t.Helper()
	require.NoError(b.t, os.WriteFile(filepath.Join(b.dir, name), []byte(b.value(name)+"\n"), 0o600))
	return name
}

func (b *birds) value(name string) string {
	if b.known[name] == "" {
		b.known[name] = "C4nary+" + hex.EncodeToString([]byte(name)) + "/" + fmt.Sprint(len(b.known)) + "=Zq"
	}
	return b.known[name]
}

// forms are the ways in which a secret may come out.
func forms(value string) []string {
	raw := base64.StdEncoding.EncodeToString([]byte(value))
	return []string{value, url.QueryEscape(value), url.PathEscape(value), hex.EncodeToString([]byte(value)), raw[:len(raw)-4],
		strings.NewReplacer("+", `\u002b`, "=", `\u003d`).Replace(value), strings.ReplaceAll(value, "+", "&#43;")}
}

// requireUnseen looks for every secret in a text.
func (b *birds) requireUnseen(where, text string) {
	b.t.Helper()
	for name, value := range b.known {
		for _, form := range forms(value) {
			if i := strings.Index(text, form); i >= 0 {
				require.Fail(b.t, "a secret is shown", "%s shows %s: ...%q", where, name, text[max(0, i-200):min(len(text), i+len(form)+20)])
			}
		}
	}
}

// moods are what the world outside does with a call.
const (
	answers = iota
	echoes  // refuses, and repeats everything that it was sent
	hangsUp
	panics
	moods
)

// outside is everything that the daemon calls.
type outside struct {
	mood   atomic.Int32
	mu     sync.Mutex
	bodies bytes.Buffer // what webhooks are sent
	calls  map[string]int
	unsafe []string // calls that came without their secret
	want   map[string]string
}

func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // the daemon's own
		r.Body.Close()
	}
	mood := o.mood.Load()
	key := fmt.Sprintf("%s %d", r.URL.Host, mood)
	o.mu.Lock()
	o.calls[key]++
	o.bodies.Write(body)
	if want := o.want[r.URL.Host]; want != "" && !strings.Contains(r.Header.Get("Authorization")+r.URL.Path, want) {
		o.unsafe = append(o.unsafe, r.URL.Host)
	}
	o.mu.Unlock()
	everything := fmt.Sprintf("%s %s %v %s", r.Method, r.URL, r.Header, body)
	answer := func(status int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r}, nil
	}
	switch mood {
	case echoes:
		return answer(http.StatusInternalServerError, everything)
	case hangsUp:
		// What net/http says of a port that repeats what it is sent.
		return nil, fmt.Errorf("net/http: HTTP/1.x transport connection broken: malformed HTTP version %q", r.Method+" "+r.URL.RequestURI()+" HTTP/1.1")
	case panics:
		panic("a defect over " + everything)
	}
	if strings.Contains(r.URL.Path, "/api/v1/query") {
		return answer(http.StatusOK, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	}
	return answer(http.StatusOK, `{"count":3}`)
}

// everySecret is a configuration in which every kind of secret is set.
func everySecret(b *birds) string {
	return fmt.Sprintf(`
storage: { url: "sqlite:%s/postflight.db" }
sources:
  - { name: pipeline, format: native, token_file: %s, secret_file: %s }
  - { name: github, format: github, secret_file: %s }
  - { name: flux, format: flux, token_file: %s, secret_file: %s }
  - { name: argocd, format: argocd, token_file: %s }
  - { name: tekton, format: cdevents, token: "${CANARY}" }
prometheus:
  - { name: main, url: "http://main.test/prom", timeout: 1s, bearer_token_file: %s }
  - { name: other, url: "http://other.test", timeout: 1s, basic_auth: { username: me, password_file: %s } }
feeds:
  - { name: desk, url: "http://desk.test/{{ .Service }}", count: $.count, bearer_token_file: %s }
  - { name: old, url: "http://old.test/", count: $.count, basic_auth: { username: bot, password_file: %s } }
receivers:
  - { name: ci, webhook: { url: "http://ci.test/services/%s?key=%s", secret_file: %s, timeout: 1s } }
rollbacks:
  - { name: back, webhook: { url: "http://back.test/hooks/%s", secret_file: %s, timeout: 1s } }
access:
  - { name: dana, token_file: %s, may: [read, decide, operate] }
self_check: { get: "http://self.test/" }
policies:
  - name: all
    mode: enforce
    window: 1m
    interval: 1s
    step: 1s
    warmup: 1s
    soak: 1s
    rollback: back
    receivers: [ci]
    live_version: { server: main, query: build_info, label: version }
    signals:
      - { name: errors, ratio: { server: main, bad: errors_total, total: requests_total } }
      - { name: value, value: { server: other, query: up } }
      - { name: latency, latency: { server: other, histogram: seconds } }
      - { name: tickets, tickets: { feed: desk } }
      - { name: olds, tickets: { feed: old } }
      - { name: smoke, probe: { steps: [{ get: "http://shop.test/healthz" }] } }
`, b.dir, b.file("native-token"), b.file("native-secret"), b.file("github-secret"), b.file("flux-token"), b.file("flux-secret"), b.file("argocd-token"),
		b.file("prometheus-token"), b.file("prometheus-password"), b.file("feed-token"), b.file("feed-password"),
		url.PathEscape(b.value("receiver-path")), url.QueryEscape(b.value("receiver-query")), b.file("receiver-secret"),
		url.PathEscape(b.value("rollback-path")), b.file("rollback-secret"), b.file("access-token"))
}

// caller makes requests to the daemon and looks at every answer.
type caller struct {
	b   *birds
	url string
}

func (c caller) call(method, path, token, body string, pairs ...string) (int, string) {
	c.b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, c.url+path, strings.NewReader(body))
	require.NoError(c.b.t, err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	for i := 0; i < len(pairs); i += 2 {
		req.Header.Set(pairs[i], pairs[i+1])
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.b.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(c.b.t, err)
	c.b.requireUnseen("the answer to "+method+" "+path, string(answer)+fmt.Sprint(resp.Header))
	return resp.StatusCode, string(answer)
}

// TestNoSecretIsEverShown runs a daemon with a secret in every place that takes
// one through good and bad times, and looks for each of them in everything that
// comes out: logs, metrics, the API, pages, messages, errors, panics and the
// database.
func TestNoSecretIsEverShown(t *testing.T) {
	others := goleak.IgnoreCurrent() // a browser that another test has opened
	b := &birds{t: t, dir: t.TempDir(), known: map[string]string{}}
	file := filepath.Join(b.dir, "postflight.yml")
	written := everySecret(b)
	require.NoError(t, os.WriteFile(file, []byte(written), 0o600))
	env := func(name string) (string, bool) { return b.value("environment"), name == "CANARY" }
	_, _ = env("CANARY") // so that it is looked for
	world := &outside{calls: map[string]int{}, want: map[string]string{
		"main.test": "Bearer " + b.value("prometheus-token"), "desk.test": "Bearer " + b.value("feed-token"),
		"other.test": "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+b.value("prometheus-password"))),
		"old.test":   "Basic " + base64.StdEncoding.EncodeToString([]byte("bot:"+b.value("feed-password"))),
		"ci.test":    b.value("receiver-path"), "back.test": b.value("rollback-path"),
	}}
	log := &logged{}
	a := started(t, Options{ConfigFile: file, ListenAddress: "127.0.0.1:0", EnableLifecycle: true, Version: "test", Env: env, Transport: world,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	stopped := false
	defer func() {
		if !stopped {
			require.NoError(t, a.Stop())
		}
	}()
	c := caller{b, "http://" + a.Address()}

	dana := "Bearer " + b.value("access-token")
	deploy := func(version string) string {
		status, answer := c.call(http.MethodPost, "/api/v1/deployments", "Bearer "+b.value("native-token"), `{"service":"checkout","environment":"production","version":"`+version+`"}`)
		require.Equal(t, http.StatusAccepted, status, answer)
		var receipt struct {
			ID string `json:"verification_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(answer), &receipt))
		return receipt.ID
	}
	look := func(id string) {
		for _, path := range []string{"/api/v1/verifications", "/api/v1/verifications/" + id, "/api/v1/verifications/" + id + "/evidence", "/api/v1/audit",
			"/api/v1/freezes", "/metrics", "/openapi.json", "/", "/verifications/" + id,
			"/verifications/" + id + "?told=override", "/verifications/" + id + "/decide?do=freeze", "/api/v1/access", "/-/ready"} {
			status, answer := c.call(http.MethodGet, path, dana, "")
			require.Equal(t, http.StatusOK, status, "%s: %s", path, answer)
		}
	}
	decide := func(id, decision string) {
		status, answer := c.call(http.MethodPost, "/api/v1/verifications/"+id+"/override", dana, `{"decision":"`+decision+`","reason":"test"}`)
		require.Equal(t, http.StatusOK, status, answer)
	}
	first := deploy("1.0")
	decide(first, "keep")
	for mood := range int32(moods) {
		world.mood.Store(mood)
		last := deploy(fmt.Sprint("2.", mood))
		for _, host := range []string{"main.test", "other.test", "desk.test", "old.test", "shop.test"} {
			require.Eventually(t, func() bool { return world.called(host, mood) }, 20*time.Second, 10*time.Millisecond, "%s in mood %d", host, mood)
		}
		look(last)
		decide(last, "revert")
		for _, host := range []string{"ci.test", "back.test"} {
			require.Eventually(t, func() bool { return world.called(host, mood) }, 20*time.Second, 10*time.Millisecond, "%s in mood %d", host, mood)
		}
		require.Eventually(t, func() bool { // the attempt is written down, however it ended
			_, answer := c.call(http.MethodGet, "/api/v1/verifications/"+last, dana, "")
			return strings.Contains(answer, `"attempts":[{`)
		}, 20*time.Second, 50*time.Millisecond)
		look(last)
	}
	c.strangers()
	c.reloads(file, written)
	require.Empty(t, world.unsafe, "every call had its secret: the test looks for what was used")
	stopped = true
	require.NoError(t, a.Stop())
	require.Contains(t, log.String(), "a defect over ", "panics were logged")
	require.Contains(t, log.String(), "<secret>", "with the secrets in them hidden")
	b.requireUnseen("the log", log.String())
	b.requireUnseen("a message", world.bodies.String())
	for _, name := range []string{"postflight.db", "postflight.db-wal"} {
		if stored, err := os.ReadFile(filepath.Join(b.dir, name)); err == nil {
			b.requireUnseen(name, string(stored))
		}
	}
	// net/http watches a request that panicked until its time is over: a second,
	// and goleak waits for less.
	time.Sleep(1500 * time.Millisecond)
	require.NoError(t, goleak.Find(goleak.IgnoreTopFunction("testing.(*T).Run"), others))
}

func (o *outside) called(host string, mood int32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[fmt.Sprintf("%s %d", host, mood)] > 0
}

// strangers send secrets to where they don't belong, and almost the right ones.
func (c caller) strangers() {
	for name, value := range c.b.known {
		for _, token := range []string{"Bearer " + value + "x", "Bearer " + value[1:], "Token " + value, "Basic " + base64.StdEncoding.EncodeToString([]byte("nobody:"+value)), value} {
			for _, path := range []string{"/api/v1/deployments", "/api/v1/hooks/github", "/api/v1/hooks/argocd", "/api/v1/brake/release", "/nowhere"} {
				status, _ := c.call(http.MethodPost, path, token, `{"service":`)
				require.GreaterOrEqual(c.b.t, status, 400, "%s with %s", path, name)
			}
		}
		c.call(http.MethodPost, "/api/v1/hooks/github", "", "{}", "X-Hub-Signature-256", value, "X-GitHub-Event", "ping")
		c.call(http.MethodPost, "/api/v1/deployments", "", "{}", "webhook-signature", "v1,"+value, "webhook-id", "1", "webhook-timestamp", "1")
	}
	status, _ := c.call(http.MethodPost, "/api/v1/deployments", "Bearer "+c.b.value("native-token"), `{"service":1,"url":"::"}`)
	require.Equal(c.b.t, http.StatusUnprocessableEntity, status)
}

// reloads breaks the configuration in ways in which the secrets of addresses
// and files could come out.
func (c caller) reloads(file, written string) {
	t := c.b.t
	path := url.PathEscape(c.b.value("receiver-path"))
	for _, change := range [][2]string{
		{"http://ci.test/", "htp://ci.test/"}, {"http://ci.test/", "http:/ci.test/"}, {"http://ci.test/", "ci.test/"}, {"http://ci.test/", "http:///"},
		{"http://ci.test/", "http://ci test/"}, {"http://ci.test/", "http://[ci.test/"}, {"http://ci.test/", "http://ci.test:port/"}, {"http://ci.test/", "http://me:" + path + "@ci.test/"},
		{`url: "http://ci.test/services/`, `uri: "http://ci.test/services/`}, {`{ url: "http://ci.test/services/`, `"http://ci.test/services/` + path + `", x: { y: "`},
		{"timeout: 1s } }\nrollbacks", "timeout: 1h } }\nrollbacks"}, {"http://back.test/", "http://{{ .Service }}/"},
		{"token_file: argocd-token", "token_file: \"" + c.b.value("argocd-token") + "\""}, {"token_file: argocd-token", "token: \"" + c.b.value("argocd-token") + "\""},
		{"format: argocd", "format: \"${CANARY}\""}, {"window: 1m", "window: \"${CANARY}\""},
		{`"http://shop.test/healthz"`, `"http://shop.test/${CANARY}"`}, {`"http://main.test/prom"`, `"http://main.test/${CANARY} {{"`}, {"policies:", "policies: ["},
		{"sqlite:", "postgres://me:" + path + "@db/x?password=" + path + "#sqlite:"},
	} {
		broken := strings.Replace(written, change[0], change[1], 1)
		require.NotEqual(t, written, broken, change[0])
		require.NoError(t, os.WriteFile(file, []byte(broken), 0o600))
		status, answer := c.call(http.MethodPost, "/-/reload", "Bearer "+c.b.value("access-token"), "")
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", change[1], answer)
		_, err := configs.Load(file, func(string) (string, bool) { return c.b.value("environment"), true }) // what `check config` prints
		require.Error(t, err)
		c.b.requireUnseen("check config", err.Error())
	}
	require.NoError(t, os.WriteFile(file, []byte(written), 0o600))
	status, answer := c.call(http.MethodPost, "/-/reload", "Bearer "+c.b.value("access-token"), "")
	require.Equal(t, http.StatusOK, status, answer)
	shown := fmt.Sprintf("%v %+v", c.b.t.Name(), answer)
	c.b.requireUnseen("a reload", shown)
}

// logged is a log that several write to.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
