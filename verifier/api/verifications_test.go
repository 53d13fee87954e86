package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func observing(id string) verifier.Verification {
	return verifier.Verification{
		ID: id, State: verifier.StateObserving, Mode: verifier.Enforce, OpenedAt: now, ClosesAt: now.Add(time.Hour),
		Deployment: verifier.Deployment{ID: "dp_1", Service: "checkout", Environment: "production", Version: "1.42.0"},
		Deliveries: []verifier.Delivery{{ID: "dl_1"}},
	}
}

func decided(id string, decision verifier.Decision) verifier.Verification {
	v, err := observing(id).Decide(verifier.Verdict{Decision: decision, DecidedAt: now, Summary: "fine", By: verifier.ByPostflight}, verifier.Action{State: verifier.ActionNone})
	if err != nil {
		panic(err)
	}
	return v
}

func TestGetHasTheNamesOfTheContract(t *testing.T) {
	d := start(t)
	d.shelf.put(decided("vf_1", verifier.Keep))
	r := d.get("/api/v1/verifications/vf_1")
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &got))
	for _, name := range []string{"id", "state", "mode", "deployment", "opened_at", "cleared_at", "closes_at", "policy", "policy_hash",
		"verdict", "override", "effective", "action", "signals", "deliveries"} {
		require.Contains(t, got, name)
	}
	require.Equal(t, "https://postflight.example/verifications/vf_1", got["url"])
	require.Equal(t, []any{}, got["signals"], "an empty list, not null")
	require.Equal(t, []any{}, got["verdict"].(map[string]any)["reasons"])
	require.Equal(t, []any{}, got["deliveries"].([]any)[0].(map[string]any)["attempts"])
	require.NotContains(t, r.body, "$schema")
	require.Nil(t, d.shelf.records["vf_1"].Verdict.Reasons, "the reader's record stays as it was")
}

func TestListFilters(t *testing.T) {
	d := start(t)
	r := d.get("/api/v1/verifications")
	require.Equal(t, `{"verifications":[],"next_cursor":""}`, strings.TrimSpace(r.body))
	require.Equal(t, verifier.Filter{Limit: 50}, d.shelf.filter)

	d.shelf.put(observing("vf_1"))
	d.shelf.next = "more"
	r = d.get("/api/v1/verifications?service=a&environment=b&version=c&state=decided&verdict=revert&limit=7&cursor=d")
	require.Equal(t, verifier.Filter{Service: "a", Environment: "b", Version: "c", State: verifier.StateDecided, Verdict: verifier.Revert, Limit: 7, Cursor: "d"}, d.shelf.filter)
	d.get("/api/v1/verifications?state=cleared")
	require.Equal(t, verifier.Filter{State: verifier.StateObserving, Cleared: true, Limit: 50}, d.shelf.filter)
	var page VerificationList
	require.NoError(t, json.Unmarshal([]byte(r.body), &page))
	require.Equal(t, "more", page.NextCursor)
	require.Equal(t, "https://postflight.example/verifications/vf_1", page.Verifications[0].URL)
}

func TestServicesAreWhatRuns(t *testing.T) {
	d := start(t)
	require.Equal(t, `{"services":[],"more":false}`, strings.TrimSpace(d.get("/api/v1/services").body))
	require.Equal(t, verifier.Filter{Limit: 500}, d.shelf.filter)
	d.shelf.put(observing("vf_1"))
	d.shelf.next = "more"
	r := d.get("/api/v1/services?service=a&environment=b&limit=7")
	require.Equal(t, verifier.Filter{Service: "a", Environment: "b", Limit: 7}, d.shelf.filter)
	var list ServiceList
	require.NoError(t, json.Unmarshal([]byte(r.body), &list))
	require.True(t, list.More)
	require.Equal(t, "https://postflight.example/verifications/vf_1", list.Services[0].URL)
	require.Equal(t, http.StatusUnprocessableEntity, d.get("/api/v1/services?limit=501").status)
	require.Equal(t, http.StatusUnprocessableEntity, d.get("/api/v1/services?version=1").status, "what runs is asked for, not a version")
	d.shelf.err = verifier.Errorf(verifier.Unavailable, "the store is away")
	require.Equal(t, http.StatusServiceUnavailable, d.get("/api/v1/services").status)
}

func TestWrongParameters(t *testing.T) {
	d := start(t)
	d.shelf.put(observing("vf_1"))
	tests := map[string]struct{ path, field, message, value string }{
		"state":         {"/api/v1/verifications?state=done", "state", `expected value to be one of "pending, observing, cleared, decided, superseded, cancelled"`, "done"},
		"verdict":       {"/api/v1/verifications?verdict=good", "verdict", `expected value to be one of "keep, revert, inconclusive"`, "good"},
		"limit 0":       {"/api/v1/verifications?limit=0", "limit", "expected number >= 1", "0"},
		"limit 501":     {"/api/v1/verifications?limit=501", "limit", "expected number <= 500", "501"},
		"limit text":    {"/api/v1/verifications?limit=all", "limit", "invalid integer", "all"},
		"unknown":       {"/api/v1/verifications?enviroment=x", "enviroment", "unknown query parameter", ""},
		"wait":          {"/api/v1/verifications/vf_1?wait=soon", "wait", "is no time to wait: write it like 30s, at most 60s", "soon"},
		"negative wait": {"/api/v1/verifications/vf_1?wait=-1s", "wait", "is no time to wait: write it like 30s, at most 60s", "-1s"},
		"until":         {"/api/v1/verifications/vf_1?until=done", "until", `expected value to be one of "verdict, cleared"`, "done"},
		"long service":  {"/api/v1/verifications?service=" + strings.Repeat("x", 300), "service", "expected length <= 253", strings.Repeat("x", 200) + "..."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := d.get(tt.path)
			requireProblem(t, r, 422)
			require.Equal(t, []WrongField{{tt.field, tt.message, tt.value}}, r.Errors)
		})
	}
}

func TestEvidence(t *testing.T) {
	d := start(t)
	r := d.get("/api/v1/verifications/vf_1/evidence")
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.body, `"before":[],"observations":[]`)
	d.shelf.err = verifier.Errorf(verifier.NotFound, "verification vf_1 is not known")
	requireProblem(t, d.get("/api/v1/verifications/vf_1/evidence"), 404)
}

func TestWaitEndsWithTheVerdict(t *testing.T) {
	d := start(t, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond })
	d.shelf.put(observing("vf_1"))
	time.AfterFunc(600*time.Millisecond, func() { d.shelf.put(decided("vf_1", verifier.Revert)) })
	start := time.Now()
	r := d.get("/api/v1/verifications/vf_1?wait=30s")
	require.Contains(t, r.body, `"effective":"revert"`)
	require.Less(t, time.Since(start), 5*time.Second)
}

// wait runs a wait in fake time and returns how long it took.
func wait(t *testing.T, s *shelf, duration time.Duration, until string, ctx context.Context) (verifier.Verification, time.Duration) {
	t.Helper()
	a := &reads{Options: Options{Reader: s, Settings: func() Settings { return Settings{} }}, waiters: &waiters{}}
	start := time.Now()
	out, err := a.get(ctx, &getInput{ID: "vf_1", Wait: duration.String(), Until: until})
	require.NoError(t, err)
	return out.Body, time.Since(start)
}

func TestWait(t *testing.T) {
	cleared := observing("vf_1").Clear(now)
	tests := map[string]struct {
		first    verifier.Verification
		then     *verifier.Verification // after 10 s
		wait     time.Duration
		until    string
		took     time.Duration
		finished bool
	}{
		"decided already":       {first: decided("vf_1", verifier.Keep), wait: time.Minute, until: "verdict", finished: true},
		"no wait":               {first: observing("vf_1"), until: "verdict"},
		"the time is over":      {first: observing("vf_1"), wait: 30 * time.Second, until: "verdict", took: 30 * time.Second},
		"at most a minute":      {first: observing("vf_1"), wait: time.Hour, until: "verdict", took: time.Minute},
		"cleared is no verdict": {first: cleared, wait: 30 * time.Second, until: "verdict", took: 30 * time.Second},
		"cleared already":       {first: cleared, wait: time.Minute, until: "cleared"},
		"cleared meanwhile":     {first: observing("vf_1"), then: &cleared, wait: time.Minute, until: "cleared", took: 10 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{records: map[string]verifier.Verification{"vf_1": tt.first}}
				if tt.then != nil {
					time.AfterFunc(10*time.Second-time.Millisecond, func() { s.put(*tt.then) })
				}
				v, took := wait(t, s, tt.wait, tt.until, t.Context())
				require.Equal(t, tt.took, took)
				require.Equal(t, tt.finished, v.State.Final())
				require.LessOrEqual(t, s.reads, int(took/pollEvery)+1)
			})
		})
	}
}

func TestWaitEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{records: map[string]verifier.Verification{"vf_1": observing("vf_1")}}
		ctx, cancel := context.WithTimeout(t.Context(), 5100*time.Millisecond)
		defer cancel()
		v, took := wait(t, s, time.Minute, "verdict", ctx)
		require.Equal(t, "vf_1", v.ID)
		require.Equal(t, 5100*time.Millisecond, took)
	})
}

func TestWaitTellsWhatGoesWrong(t *testing.T) {
	d := start(t)
	d.shelf.put(observing("vf_1"))
	time.AfterFunc(300*time.Millisecond, func() {
		d.shelf.mu.Lock()
		defer d.shelf.mu.Unlock()
		d.shelf.err = verifier.Errorf(verifier.Unavailable, "read verification: database is locked")
	})
	r := d.get("/api/v1/verifications/vf_1?wait=30s")
	requireProblem(t, r, 503)
	require.NotContains(t, r.body, "locked")
}

func TestOpenAPI(t *testing.T) {
	d := start(t)
	r := d.get("/openapi.json")
	require.Equal(t, 200, r.status)
	require.Equal(t, "application/openapi+json", r.header.Get("Content-Type"))
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.Equal(t, "1.2.3", doc.Info.Version)
	require.Contains(t, doc.Paths["/api/v1/verifications"], "get")
	require.Contains(t, doc.Paths["/api/v1/verifications/{id}"], "get")
	require.Contains(t, doc.Paths["/api/v1/verifications/{id}/evidence"], "get")
	require.Contains(t, doc.Paths["/api/v1/brake/release"], "post")
	require.Contains(t, r.body, `"#/components/schemas/Problem"`)
	require.Contains(t, r.body, `"request_id"`)
	for _, path := range []string{"/docs", "/schemas/Problem.json", "/openapi.yaml"} {
		require.Equal(t, 404, d.get(path).status, path)
	}
}
