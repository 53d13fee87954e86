package pipeline_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/verifier"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

type fakeApp struct {
	mu      sync.Mutex
	version string
	deploys int
}

func (a *fakeApp) Deploy(version string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version = version
	a.deploys++
	return nil
}

func (a *fakeApp) Version() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.version
}

// open starts a pipeline with one app that runs 1.2, and a postflight that
// takes every notification.
func open(t *testing.T) (*pipeline.Pipeline, *fakeApp) {
	t.Helper()
	postflight := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"verification_id":"vf_1"}`)
	}))
	t.Cleanup(postflight.Close)
	p, err := pipeline.Open(pipeline.Options{Environment: "production", Token: "token", Secret: secret})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	p.Connect(postflight.URL)
	app := &fakeApp{version: "1.2"}
	p.Owns("checkout", app, true)
	return p, app
}

func request(t *testing.T, key string, change func(*verifier.RevertRequest)) []byte {
	t.Helper()
	r := verifier.RevertRequest{
		Type: "revert.requested", RevertID: key, Service: "checkout", Environment: "production",
		ExpectedCurrentVersion: "1.2", TargetVersion: "1.1", ExpiresAt: time.Now().Add(time.Minute),
	}
	if change != nil {
		change(&r)
	}
	body, err := json.Marshal(r)
	require.NoError(t, err)
	return body
}

// send posts a signed request and returns the status, 0 when it didn't get one.
func send(t *testing.T, p *pipeline.Pipeline, key string, body []byte, signWith string) int {
	t.Helper()
	wh, err := webhooks.NewWebhook(signWith)
	if err != nil {
		return 0
	}
	now := time.Now()
	signature, err := wh.Sign("dl_1", now, body)
	if err != nil {
		return 0
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+pipeline.RollbackPath, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("webhook-id", "dl_1")
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestRollbackRequestsAreCheckedBeforeTheyAreCarriedOut(t *testing.T) {
	p, app := open(t)
	for name, c := range map[string]struct {
		key, secret string
		change      func(*verifier.RevertRequest)
		want        int
	}{
		"forged":        {"rv_1", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", nil, 401},
		"another key":   {"rv_2", secret, func(r *verifier.RevertRequest) { r.RevertID = "rv_1" }, 400},
		"unknown app":   {"rv_3", secret, func(r *verifier.RevertRequest) { r.Service = "nobody" }, 404},
		"other version": {"rv_4", secret, func(r *verifier.RevertRequest) { r.ExpectedCurrentVersion = "1.3" }, 409},
		"expired":       {"rv_5", secret, func(r *verifier.RevertRequest) { r.ExpiresAt = time.Now().Add(-time.Second) }, 412},
	} {
		body := request(t, c.key, c.change)
		require.Equal(t, c.want, send(t, p, c.key, body, c.secret), name)
	}
	require.Zero(t, app.deploys)
	for _, a := range p.Arrivals(pipeline.RollbackPath) {
		require.NotEmpty(t, a.Problem)
	}
}

func TestOneRollbackForOneKey(t *testing.T) {
	p, app := open(t)
	body := request(t, "rv_1", nil)
	statuses := make(chan int, 5)
	for range cap(statuses) {
		go func() { statuses <- send(t, p, "rv_1", body, secret) }()
	}
	for range cap(statuses) {
		require.Equal(t, 202, <-statuses)
	}
	require.Eventually(t, func() bool { return len(p.Announced("checkout")) == 1 }, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, 202, send(t, p, "rv_1", body, secret), "again after the rollback")

	require.Equal(t, "1.1", app.Version())
	require.Equal(t, 1, app.deploys)
	require.Len(t, p.Rollbacks("checkout"), 6)
	announced := p.Announced("checkout")[0]
	require.Equal(t, "rv_1", announced.RevertID)
	require.Equal(t, "1.1", announced.Version)
	require.Equal(t, "1.2", announced.Previous)
	require.Equal(t, "vf_1", announced.VerificationID)
}
