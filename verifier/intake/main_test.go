package intake

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/verifier"
)

// In the daemon, package api turns errors into problems; adapters don't import
// one another, so the tests have its table in short.
func TestMain(m *testing.M) {
	huma.NewErrorWithContext = func(_ huma.Context, status int, detail string, errs ...error) huma.StatusError {
		var e *verifier.Error
		if len(errs) != 1 || !errors.As(errs[0], &e) {
			return huma.NewError(status, detail)
		}
		var fields []error
		for _, f := range e.Fields {
			fields = append(fields, &huma.ErrorDetail{Location: f.Field, Message: f.Message, Value: f.Value})
		}
		return huma.NewError(map[verifier.Kind]int{
			verifier.Invalid: 422, verifier.NotFound: 404, verifier.Unauthorized: 401, verifier.Conflict: 409, verifier.Unavailable: 503,
		}[e.Kind], e.Message, fields...)
	}
	goleak.VerifyTestMain(m)
}

var now = time.Date(2026, 11, 23, 2, 42, 0, 0, time.UTC)

// memory is an Accepter that keeps everything in memory and lets
// verifier.Accept decide.
type memory struct {
	mu            sync.Mutex
	notifications []verifier.Notification
	acceptances   map[string]verifier.Acceptance // by source and delivery
	verifications map[string]verifier.Verification
	deployments   []verifier.Deployment
	received      map[string]time.Time // by source and delivery
	alerts        []verifier.Alert
	requests      []verifier.GateRequest // to the gate
	heard         map[string]time.Time   // when each source of alerts told anything
	issued        string                 // the id of a revert of ours, which asked for whatever comes with it
	err           error
	gate          chan struct{} // where set, Accept waits for it
}

func newMemory() *memory {
	return &memory{acceptances: map[string]verifier.Acceptance{}, verifications: map[string]verifier.Verification{},
		received: map[string]time.Time{}, heard: map[string]time.Time{}}
}

// reset forgets everything, for the next case.
func (d *daemon) reset() {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	fresh := newMemory()
	d.memory.notifications, d.memory.acceptances, d.memory.verifications = nil, fresh.acceptances, fresh.verifications
	d.memory.deployments, d.memory.alerts, d.memory.received = nil, nil, fresh.received
	d.counts.mu.Lock()
	defer d.counts.mu.Unlock()
	clear(d.counts.seen)
}

// prune forgets deliveries as the store does, after 30 days.
func (m *memory) prune(now time.Time) {
	for key, at := range m.received {
		if now.Sub(at) > 30*24*time.Hour {
			delete(m.acceptances, key)
		}
	}
}

// NoteAlerts keeps what is not known yet.
func (m *memory) NoteAlerts(_ context.Context, source string, alerts []verifier.Alert, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.heard[source] = now
	for _, a := range alerts {
		if !slices.ContainsFunc(m.alerts, func(b verifier.Alert) bool { return a.Fingerprint == b.Fingerprint && a.StartsAt.Equal(b.StartsAt) }) {
			m.alerts = append(m.alerts, a)
		}
	}
	return nil
}

// RequestGate keeps what is not known yet.
func (m *memory) RequestGate(_ context.Context, r verifier.GateRequest) (verifier.GateRequest, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return r, false, m.err
	}
	if i := slices.IndexFunc(m.requests, func(b verifier.GateRequest) bool { return b.Source == r.Source && b.Key == r.Key }); i >= 0 {
		return m.requests[i], true, nil
	}
	m.requests = append(m.requests, r)
	return r, false, nil
}

func (m *memory) Accept(_ context.Context, n verifier.Notification, policies []verifier.Policy, now time.Time) (verifier.Acceptance, bool, error) {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return verifier.Acceptance{}, false, m.err
	}
	key := n.Source + " " + n.DeliveryID
	if a, ok := m.acceptances[key]; ok && n.DeliveryID != "" {
		return a, true, nil
	}
	a, err := verifier.Accept(n, m.history(n.Deployment), policies, now)
	if err != nil {
		return a, false, err
	}
	m.notifications = append(m.notifications, n)
	m.received[key] = now
	if a.Existing == "" {
		m.deployments = append(m.deployments, a.Deployment)
	}
	if a.Verification != nil {
		m.verifications[a.Verification.ID] = *a.Verification
		m.acceptances[key] = verifier.Acceptance{Existing: a.Verification.ID, Deployment: a.Deployment}
	} else {
		m.acceptances[key] = verifier.Acceptance{Existing: a.Existing, Deployment: a.Deployment, Ignored: a.Ignored}
	}
	return a, false, nil
}

func (m *memory) history(d verifier.Deployment) (h verifier.History) {
	for _, seen := range m.deployments {
		if seen.Place > 0 && seen.Service == d.Service && seen.Environment == d.Environment {
			if h.Current != nil && h.Current.Version != seen.Version {
				h.Before = h.Current
			}
			h.Current, h.OfSource = &seen, &seen
		}
		if seen.Source == d.Source && seen.DeploymentID == d.DeploymentID && d.DeploymentID != "" {
			h.Seen = &seen
		}
	}
	for _, v := range m.verifications {
		if h.Seen != nil && v.Deployment.ID == h.Seen.ID {
			h.SeenVerification = v.ID
		}
	}
	if d.RevertID != "" && d.RevertID == m.issued {
		h.AskedFor = d.Version
	}
	return h
}

func (m *memory) Verification(_ context.Context, id string) (verifier.Verification, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.verifications[id]
	if !ok {
		return v, verifier.Errorf(verifier.NotFound, "no verification %s", id)
	}
	return v, nil
}

func (m *memory) rows() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.acceptances)
}

// counts is a Metrics that remembers.
type counts struct {
	mu   sync.Mutex
	seen map[string]int // by "source result"
}

func (c *counts) Notified(source, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[source+" "+result]++
}

func (c *counts) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.seen)
}

// Secrets that the tests share.
const (
	token        = "token-of-the-pipeline"
	webhookKey   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	githubSecret = "It's a Secret to Everybody"

	cdeventsToken = "token-of-the-event-broker"
	fluxSecret    = "key-of-the-provider"
	fluxToken     = "token-of-the-provider"
	argocdToken   = "token-of-the-webhook"

	gitlabKey         = "whsec_Z2l0bGFicyBzaWduaW5nIHRva2VuIG9mIDMyIGJ5dGU="
	keptnKey          = "whsec_a2VwdG5zIHNpZ25pbmcga2V5IG9mIHNvbWUgYnl0ZXM="
	gitlabSecretToken = "secret-token-of-the-project"
	jenkinsToken      = "token-of-the-jobs"
	spinnakerToken    = "token-of-the-endpoint"
	alertmanagerToken = "token-of-the-receiver"
)

// deployWorkflow is the mapping of a source whose deploys are workflow runs.
func deployWorkflow() Mapping {
	m, err := NewMapping("", "production", "")
	if err == nil {
		m, err = m.Only(map[string]string{"$.workflow_run.path": ".github/workflows/deploy*.yml"})
	}
	if err != nil {
		panic(err)
	}
	return m
}

func sources() []Source {
	return []Source{
		{Name: "pipeline", Format: "native", Tokens: []string{token}},
		{Name: "signed", Format: "native", Secrets: []string{webhookKey}},
		{Name: "github", Format: "github", Secrets: []string{githubSecret}},
		{Name: "tekton", Format: "cdevents", Tokens: []string{cdeventsToken}},
		{Name: "keptn", Format: "cdevents", Secrets: []string{keptnKey}},
		{Name: "flux", Format: "flux", Secrets: []string{fluxSecret}},
		{Name: "fluxtoken", Format: "flux", Tokens: []string{fluxToken}},
		{Name: "argocd", Format: "argocd", Tokens: []string{argocdToken}},
		{Name: "gitlab", Format: "gitlab", Tokens: []string{gitlabSecretToken}},
		{Name: "gitlabsigned", Format: "gitlab", Secrets: []string{gitlabKey}},
		{Name: "jenkins", Format: "jenkins", Tokens: []string{jenkinsToken}},
		{Name: "spinnaker", Format: "spinnaker", Tokens: []string{spinnakerToken}},
		{Name: "alertmanager", Format: "alertmanager", Tokens: []string{alertmanagerToken}},
		{Name: "workflows", Format: "github", Secrets: []string{githubSecret}, Map: deployWorkflow()},
		{Name: "large", Format: "native", Tokens: []string{"large-token"}, MaxBody: 2 << 20},
	}
}

// daemon is the intake behind a real HTTP server.
type daemon struct {
	t        *testing.T
	url      string
	client   *http.Client
	mux      *http.ServeMux
	server   *server
	memory   *memory
	counts   *counts
	settings Settings // replaced by tests between requests
}

func start(t *testing.T, change ...func(*Options)) *daemon {
	t.Helper()
	d := &daemon{t: t, mux: http.NewServeMux(), memory: newMemory(), counts: &counts{seen: map[string]int{}}}
	d.settings = Settings{
		Sources: sources(), ExternalURL: "https://postflight.example/",
		Policies: []verifier.Policy{{Name: "everything", Mode: verifier.Shadow, Window: verifier.Duration(30 * time.Minute)}},
	}
	o := Options{Accepter: d.memory, Alerts: d.memory, Lookup: d.memory, Metrics: d.counts,
		Settings: func() Settings { return d.settings }, Now: func() time.Time { return now }}
	for _, c := range change {
		c(&o)
	}
	d.server = register(humago.New(d.mux, huma.DefaultConfig("test", "1")), o)
	d.around(d.mux.ServeHTTP)
	return d
}

// around serves the intake by a handler that calls d.mux.
func (d *daemon) around(handler http.HandlerFunc) {
	server := httptest.NewServer(handler)
	d.t.Cleanup(server.Close)
	d.url, d.client = server.URL, server.Client()
}

// reply is an answer of the intake.
type reply struct {
	status int
	header http.Header
	body   string
	Receipt
	Detail string             `json:"detail"`
	Errors []huma.ErrorDetail `json:"errors"`
}

// fields returns the names of the fields that a problem calls wrong.
func (r reply) fields() []string {
	var names []string
	for _, e := range r.Errors {
		names = append(names, e.Location)
	}
	slices.Sort(names)
	return names
}

func (d *daemon) do(method, path string, body io.Reader, h http.Header) reply {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, body)
	require.NoError(d.t, err)
	req.Header = h.Clone()
	res, err := d.client.Do(req)
	require.NoError(d.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	require.NoError(d.t, res.Body.Close())
	r := reply{status: res.StatusCode, header: res.Header, body: string(b)}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		require.NoError(d.t, json.Unmarshal(b, &r), string(b))
	}
	return r
}

func (d *daemon) post(path, body string, h http.Header) reply {
	d.t.Helper()
	return d.do(http.MethodPost, path, strings.NewReader(body), h)
}

// headers makes a header of pairs.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func bearerHeaders(pairs ...string) http.Header {
	return headers(append([]string{"Content-Type", "application/json", "Authorization", "Bearer " + token}, pairs...)...)
}
