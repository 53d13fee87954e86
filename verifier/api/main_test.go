package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 23, 2, 42, 0, 0, time.UTC)

// shelf is a Reader and Operator in memory.
type shelf struct {
	mu       sync.Mutex
	records  map[string]verifier.Verification
	filter   verifier.Filter // of the last list
	next     string
	err      error
	reads    int
	releases []string
	braking  verifier.Brake
	panics   bool
}

func (s *shelf) Verification(_ context.Context, id string) (verifier.Verification, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.panics {
		panic("a defect with a secret")
	}
	if s.err != nil {
		return verifier.Verification{}, s.err
	}
	v, ok := s.records[id]
	if !ok {
		return v, verifier.Errorf(verifier.NotFound, "verification %s is not known", id)
	}
	return v, nil
}

func (s *shelf) Verifications(_ context.Context, f verifier.Filter) ([]verifier.Verification, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter = f
	if s.err != nil {
		return nil, "", s.err
	}
	var all []verifier.Verification
	for _, v := range s.records {
		all = append(all, v)
	}
	return all, s.next, nil
}

func (s *shelf) Current(_ context.Context, f verifier.Filter) ([]verifier.Verification, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter = f
	if s.err != nil {
		return nil, false, s.err
	}
	var all []verifier.Verification
	for _, v := range s.records {
		all = append(all, v)
	}
	return all, s.next != "", nil
}

func (s *shelf) Evidence(_ context.Context, id string) (verifier.Evidence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return verifier.Evidence{}, s.err
	}
	return verifier.Evidence{VerificationID: id, Signals: []verifier.SignalEvidence{{Signal: "errors"}}}, nil
}

func (s *shelf) ReleaseBrake(_ context.Context, by, reason string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.releases = append(s.releases, by+": "+reason+" at "+at.Format(time.RFC3339))
	s.braking = verifier.Brake{ReleasedAt: at}
	return nil
}

// held is a brake that a person engaged.
func held() verifier.Brake {
	return verifier.Brake{Held: &verifier.BrakeHold{By: "kim", At: now.Add(-time.Hour), Reason: "the gateway"}}
}

func (s *shelf) EngageBrake(_ context.Context, by, reason string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.braking.Held = &verifier.BrakeHold{By: by, At: at, Reason: reason}
	return s.err
}

func (s *shelf) Brake(context.Context) (verifier.Brake, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.braking, s.err
}

// Override records what it was asked, and answers as if it came before the
// verdict.
func (s *shelf) Override(_ context.Context, id string, o verifier.Override, standing string) (verifier.Verification, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return verifier.Verification{}, "", s.err
	}
	v, ok := s.records[id]
	if !ok {
		return v, "", verifier.Errorf(verifier.NotFound, "verification %s is not known", id)
	}
	if standing != "" && standing != v.Standing() {
		return v, "", verifier.Errorf(verifier.Conflict, "%s has changed meanwhile", id)
	}
	v, err := v.Overrule(o)
	s.records[id] = v
	return v, "nothing was called", err
}

func (s *shelf) Foresee(ctx context.Context, id string, _ verifier.Override) (verifier.Verification, string, error) {
	v, err := s.Verification(ctx, id)
	return v, "nothing would be called", err
}

func (s *shelf) Rate(_ context.Context, id string, f verifier.Feedback) (verifier.Verification, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return verifier.Verification{}, s.err
	}
	v := s.records[id]
	if entry, err := v.Rate(f); err != nil || entry == nil {
		return v, err
	}
	v.Feedback = append([]verifier.Feedback{f}, v.Feedback...)
	s.records[id] = v
	return v, nil
}

func (s *shelf) Cast(_ context.Context, id string, vote verifier.Vote, roles []string) (verifier.Verification, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.records[id]
	if !ok {
		return v, "", verifier.Errorf(verifier.NotFound, "verification %s is not known", id)
	}
	if entry, err := v.Cast(vote); err != nil || entry == nil {
		return v, "", err
	}
	v.Votes = append([]verifier.Vote{vote}, v.Votes...)
	s.records[id] = v
	return v, "counted of " + strings.Join(roles, ", "), nil
}

func (s *shelf) put(v verifier.Verification) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[v.ID] = v
}

// daemon is the API behind a real HTTP server.
type daemon struct {
	t        *testing.T
	url      string
	server   *httptest.Server
	shelf    *shelf
	book     *book
	gate     *doorman
	settings Settings
	log      *lines
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, change ...func(*http.Server)) *daemon {
	t.Helper()
	d := &daemon{t: t, shelf: &shelf{records: map[string]verifier.Verification{}, braking: held()}, book: &book{}, gate: newDoorman(), log: &lines{}}
	d.settings.ExternalURL = "https://postflight.example"
	mux := http.NewServeMux()
	hapi := New(mux, "1.2.3")
	Register(hapi, Options{Reader: d.shelf, Operator: d.shelf, Overruler: d.shelf, Rater: d.shelf, Ballotbox: d.shelf, Decider: d.book, Gate: d.gate, Waivable: []string{"freeze", "window"}, Settings: func() Settings { return d.settings }, Now: func() time.Time { return now }})
	page := func(w http.ResponseWriter, r *http.Request) {
		_, err := io.WriteString(w, "page for "+whoIs(r.Context()))
		require.NoError(t, err)
	}
	mux.Handle("GET /page", Require(func() []Access { return d.settings.Access }, Read)(http.HandlerFunc(page)))
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, strings.Repeat("x", 10000))
		require.NoError(t, err)
		panic("half way")
	})
	d.server = httptest.NewUnstartedServer(Middleware(mux, slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	for _, c := range change {
		c(d.server.Config)
	}
	d.server.Start()
	t.Cleanup(d.server.Close)
	d.url = d.server.URL
	return d
}

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   string
	Problem
}

func (d *daemon) send(method, path, body string, pairs ...string) reply {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(pairs); i += 2 {
		req.Header.Set(pairs[i], pairs[i+1])
		if pairs[i] == "Host" {
			req.Host = pairs[i+1]
		}
	}
	res, err := d.server.Client().Do(req)
	require.NoError(d.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	require.NoError(d.t, res.Body.Close())
	r := reply{status: res.StatusCode, header: res.Header, body: string(b)}
	if res.Header.Get("Content-Type") == "application/problem+json" {
		require.NoError(d.t, json.Unmarshal(b, &r.Problem), string(b))
	}
	return r
}

func (d *daemon) get(path string, pairs ...string) reply {
	d.t.Helper()
	return d.send(http.MethodGet, path, "", pairs...)
}

// requireProblem checks what every problem has.
func requireProblem(t *testing.T, r reply, status int) {
	t.Helper()
	require.Equal(t, status, r.status, r.body)
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
	require.Equal(t, status, r.Status)
	require.Equal(t, http.StatusText(status), r.Title)
	require.NotEmpty(t, r.Detail)
	require.NotEmpty(t, r.RequestID)
	require.Equal(t, r.header.Get("X-Request-Id"), r.RequestID)
}
