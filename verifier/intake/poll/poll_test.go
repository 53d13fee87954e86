package poll

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var now = time.Date(2026, 11, 23, 2, 42, 0, 0, time.UTC)

const token = "ghp_of_the_poller"

// gitHub is the part of GitHub's REST API (version 2022-11-28) that is asked,
// as its documentation has it: deployments and their statuses, the newest
// first, in pages, with ETags and rate limits.
type gitHub struct {
	t           *testing.T
	mu          sync.Mutex
	deployments map[string][]map[string]any // by repository, the oldest first
	statuses    map[int64][]map[string]any
	requests    []string // METHOD PATH, and 304 where it was
	limit       func(w http.ResponseWriter) bool
}

func newGitHub(t *testing.T) (*gitHub, string) {
	g := &gitHub{t: t, deployments: map[string][]map[string]any{}, statuses: map[int64][]map[string]any{}}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	return g, s.URL
}

func (g *gitHub) deploy(repository string, id int64, at time.Time, states ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := map[string]any{"id": id, "sha": fmt.Sprintf("%040x", id), "ref": "main", "task": "deploy", "environment": "production", "payload": map[string]any{},
		"creator": map[string]any{"login": "dana"}, "created_at": at.Format(time.RFC3339), "updated_at": at.Format(time.RFC3339)}
	g.deployments[repository] = append(g.deployments[repository], d)
	for i, state := range states {
		g.status(d, id*100+int64(i), state, at.Add(time.Duration(i+1)*time.Minute))
	}
}

func (g *gitHub) status(d map[string]any, id int64, state string, at time.Time) {
	did := d["id"].(int64)
	g.statuses[did] = append(g.statuses[did], map[string]any{"id": id, "state": state, "environment": "production", "created_at": at.Format(time.RFC3339)})
	d["updated_at"] = at.Format(time.RFC3339)
}

func (g *gitHub) asked() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.requests
	g.requests = nil
	return out
}

func (g *gitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = append(g.requests, r.Method+" "+r.URL.Path)
	fail := func(status int, message string) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)})
	}
	switch {
	case g.limit != nil && g.limit(w):
		fail(http.StatusForbidden, "API rate limit exceeded")
		return
	case r.Header.Get("Authorization") != "Bearer "+token:
		fail(http.StatusUnauthorized, "Bad credentials")
		return
	case r.Header.Get("User-Agent") == "":
		fail(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
		return
	case !strings.Contains(r.Header.Get("Accept"), "application/vnd.github"), r.Header.Get("X-GitHub-Api-Version") != "2022-11-28":
		fail(http.StatusBadRequest, "unsupported version or media type")
		return
	case r.Method != http.MethodGet:
		fail(http.StatusNotFound, "Not Found")
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if len(parts) < 4 || parts[0] != "repos" || parts[3] != "deployments" || g.deployments[parts[1]+"/"+parts[2]] == nil {
		fail(http.StatusNotFound, "Not Found")
		return
	}
	items := g.deployments[parts[1]+"/"+parts[2]]
	if len(parts) == 6 && parts[5] == "statuses" {
		id, err := strconv.ParseInt(parts[4], 10, 64)
		require.NoError(g.t, err)
		items = g.statuses[id]
	}
	items = slices.Clone(items)
	slices.Reverse(items)
	g.page(w, r, items)
}

// page writes one page of a list.
func (g *gitHub) page(w http.ResponseWriter, r *http.Request, items []map[string]any) {
	q := r.URL.Query()
	size, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || size < 1 || size > 100 {
		size = 30
	}
	page, _ := strconv.Atoi(q.Get("page"))
	from := min((max(page, 1)-1)*size, len(items))
	to := min(from+size, len(items))
	body, err := json.Marshal(items[from:to])
	require.NoError(g.t, err)
	tag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(body))
	if to < len(items) {
		next := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}
		q.Set("page", strconv.Itoa(max(page, 1)+1))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next", <%s>; rel="last"`, next.String(), next.String()))
	}
	w.Header().Set("ETag", tag)
	w.Header().Set("X-RateLimit-Limit", "5000")
	w.Header().Set("X-RateLimit-Remaining", "4999")
	if r.Header.Get("If-None-Match") == tag {
		g.requests[len(g.requests)-1] += " 304"
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body)
}

// taker remembers what it was given.
type taker struct {
	events []string // deployment and state
	err    error
}

func (k *taker) take(_ context.Context, h http.Header, body []byte) error {
	var event struct {
		Status struct {
			State string `json:"state"`
		} `json:"deployment_status"`
		Deployment struct {
			ID int64 `json:"id"`
		} `json:"deployment"`
		Repository struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &event); err != nil || h.Get("X-GitHub-Event") != "deployment_status" {
		return errors.New("no event")
	}
	if k.err != nil {
		return k.err
	}
	k.events = append(k.events, fmt.Sprintf("%s %d %s", event.Repository.FullName, event.Deployment.ID, event.Status.State))
	return nil
}

func (k *taker) new() []string {
	out := k.events
	k.events = nil
	return out
}

func poller(t *testing.T, address string, k *taker, change ...func(*Options)) *Poller {
	t.Helper()
	o := Options{
		Settings:  Settings{Source: "github", Repositories: []string{"acme/shop"}, Token: token, URL: address, Interval: time.Minute, Within: time.Hour},
		Transport: http.DefaultTransport, Take: k.take, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	p, err := New(o)
	require.NoError(t, err)
	return p
}

func TestRounds(t *testing.T) {
	g, address := newGitHub(t)
	g.deploy("acme/shop", 1, now.Add(-3*time.Hour), "in_progress", "success") // too old
	g.deploy("acme/shop", 2, now.Add(-20*time.Minute), "in_progress", "success")
	g.deploy("acme/shop", 3, now.Add(-5*time.Minute), "queued")
	k := &taker{}
	p := poller(t, address, k)
	require.NoError(t, p.Round(t.Context()))
	require.Equal(t, []string{"acme/shop 2 in_progress", "acme/shop 2 success", "acme/shop 3 queued"}, k.new())
	require.Len(t, g.asked(), 4)

	require.NoError(t, p.Round(t.Context()))
	require.Empty(t, k.new())
	require.Equal(t, []string{"GET /repos/acme/shop/deployments 304", "GET /repos/acme/shop/deployments/3/statuses 304"}, g.asked(),
		"nothing new costs nothing, and what has ended isn't asked again")

	g.mu.Lock()
	g.status(g.deployments["acme/shop"][2], 399, "success", now.Add(-time.Minute))
	g.mu.Unlock()
	require.NoError(t, p.Round(t.Context()))
	require.Equal(t, []string{"acme/shop 3 success"}, k.new())
}

// A deployment that has waited for an approval since yesterday is found.
func TestDeploymentThatWaited(t *testing.T) {
	g, address := newGitHub(t)
	g.deploy("acme/shop", 1, now.Add(-23*time.Hour), "waiting")
	g.mu.Lock()
	g.status(g.deployments["acme/shop"][0], 199, "success", now.Add(-time.Minute))
	g.mu.Unlock()
	k := &taker{}
	require.NoError(t, poller(t, address, k).Round(t.Context()))
	require.Equal(t, []string{"acme/shop 1 success"}, k.new())
}

func TestPages(t *testing.T) {
	g, address := newGitHub(t)
	for i := range 250 {
		g.deploy("acme/shop", int64(i+1), now.Add(-time.Duration(250-i)*10*time.Second), "success")
	}
	k := &taker{}
	require.NoError(t, poller(t, address, k).Round(t.Context()))
	require.Len(t, k.events, 250)
	require.Equal(t, "acme/shop 1 success", k.events[0], "the oldest first")
	pages := 0
	for _, request := range g.asked() {
		if request == "GET /repos/acme/shop/deployments" {
			pages++
		}
	}
	require.Equal(t, 3, pages)
}

// What the store can't take now is taken in the next round; what is wrong is
// not taken again.
func TestTakenAgain(t *testing.T) {
	g, address := newGitHub(t)
	g.deploy("acme/shop", 1, now.Add(-5*time.Minute), "success")
	k := &taker{err: verifier.Errorf(verifier.Unavailable, "locked")}
	p := poller(t, address, k)
	require.ErrorContains(t, p.Round(t.Context()), "locked")
	k.err = nil
	require.NoError(t, p.Round(t.Context()))
	require.Len(t, k.new(), 1)

	g.deploy("acme/shop", 2, now.Add(-4*time.Minute), "success")
	k.err = verifier.Errorf(verifier.Invalid, "no such environment")
	require.NoError(t, p.Round(t.Context()))
	k.err = nil
	require.NoError(t, p.Round(t.Context()))
	require.Empty(t, k.new())
}

func TestRefusals(t *testing.T) {
	g, address := newGitHub(t)
	g.deploy("acme/cart", 1, now.Add(-5*time.Minute), "success")
	k := &taker{}
	two := func(o *Options) { o.Repositories = []string{"acme/gone", "acme/cart"} }
	err := poller(t, address, k, two).Round(t.Context())
	require.ErrorContains(t, err, "repository acme/gone: list its deployments")
	require.ErrorContains(t, err, "404")
	require.Equal(t, []string{"acme/cart 1 success"}, k.new(), "one that is gone keeps no other back")

	err = poller(t, address, k, two, func(o *Options) { o.Token = "wrong" }).Round(t.Context())
	require.ErrorContains(t, err, "401 Bad credentials")
	require.NotContains(t, err.Error(), "wrong")

	_, err = New(Options{Settings: Settings{URL: "://"}})
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
}

func TestRateLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		headers map[string]string
		pause   time.Duration
	}{
		"primary":              {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(now.Add(17*time.Minute).Unix(), 10)}, 17 * time.Minute},
		"primary, far away":    {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(now.Add(9*time.Hour).Unix(), 10)}, time.Hour},
		"primary, over by now": {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(now.Add(-time.Hour).Unix(), 10)}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			g, address := newGitHub(t)
			g.deploy("acme/shop", 1, now.Add(-5*time.Minute), "success")
			g.limit = func(w http.ResponseWriter) bool {
				for name, value := range tt.headers {
					w.Header().Set(name, value)
				}
				return true
			}
			err := poller(t, address, &taker{}, func(o *Options) { o.Repositories = []string{"acme/shop", "acme/cart"} }).Round(t.Context())
			require.Error(t, err)
			require.Equal(t, tt.pause, pauseOf(err, now))
			require.Len(t, g.asked(), 1, "no other repository is asked")
		})
	}
	require.Zero(t, pauseOf(errors.New("no answer"), now))
}

func TestOtherHostsGetNoToken(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL+"/repos/acme/shop/deployments", http.StatusMovedPermanently))
	defer s.Close()
	require.Error(t, poller(t, s.URL, &taker{}).Round(t.Context()))
	require.False(t, asked)
}

func TestLargeAnswers(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("[" + strings.Repeat(" ", maxReply) + "]"))
	}))
	defer s.Close()
	require.ErrorContains(t, poller(t, s.URL, &taker{}).Round(t.Context()), "larger than 4 MiB")
}

func TestRunEndsWithItsContext(t *testing.T) {
	g, address := newGitHub(t)
	g.deploy("acme/shop", 1, now.Add(-5*time.Minute), "success")
	ctx, cancel := context.WithCancel(t.Context())
	taken := make(chan struct{}, 1)
	p := poller(t, address, &taker{}, func(o *Options) {
		o.Take = func(context.Context, http.Header, []byte) error { taken <- struct{}{}; return nil }
	})
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	<-taken
	cancel()
	<-done
}
