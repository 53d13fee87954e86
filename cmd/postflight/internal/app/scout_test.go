package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/gate"
)

// others are the systems that a gate asks: every path answers with the status
// in its name, and /hung with none.
func others(t *testing.T) *httptest.Server {
	t.Helper()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := 0
		if n, err := fmt.Sscanf(r.URL.Path, "/%d", &status); n == 1 && err == nil {
			w.Header().Set("Location", "/204")
			w.WriteHeader(status)
			return
		}
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(over) })
	return s
}

// asking is a configuration with a rollback of each kind of address.
func asking(t *testing.T, url string) *current {
	t.Helper()
	o := configuration(t)
	dir := filepath.Dir(o.ConfigFile)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "signing"), []byte("signing-secret-of-the-tests"), 0o600))
	b, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	var hooks strings.Builder
	hooks.WriteString("\nrollbacks:\n")
	hook := func(name, address, ready string) {
		if ready != "" {
			ready = fmt.Sprintf(", ready: %q", ready)
		}
		fmt.Fprintf(&hooks, "  - { name: %s, webhook: { url: %q, secret_file: signing }%s }\n", name, address, ready)
	}
	for _, status := range []int{200, 202, 302, 400, 401, 403, 404, 405, 410, 500, 501, 503} {
		hook(fmt.Sprintf("head-%d", status), fmt.Sprintf("%s/%d?key=in-the-address", url, status), "")
		hook(fmt.Sprintf("get-%d", status), url+"/404", fmt.Sprintf("%s/%d", url, status))
	}
	hook("hung", url+"/hung?key=in-the-address", "")
	hook("nobody", "http://127.0.0.1:1/rollback?key=in-the-address", "")
	hook("metadata", "http://169.254.169.254/rollback", "")
	require.NoError(t, os.WriteFile(o.ConfigFile, append(b, hooks.String()...), 0o600))
	a := started(t, o)
	t.Cleanup(func() { require.NoError(t, a.Stop()) })
	return a.current.Load()
}

// TestHookAnswers: a hook is asked by what changes nothing, and there is a
// difference between one that refuses and one that isn't there.
func TestHookAnswers(t *testing.T) {
	cur := asking(t, others(t).URL)
	there := map[string]bool{
		"head-200": true, "head-202": true, "head-302": false, "head-400": true, "head-401": true, "head-403": true, "head-404": false, "head-405": true,
		"head-410": false, "head-500": false, "head-501": true, "head-503": false,
		"get-200": true, "get-202": true, "get-302": false, "get-400": false, "get-401": false, "get-403": false, "get-404": false, "get-405": false,
		"get-410": false, "get-500": false, "get-501": false, "get-503": false,
		"nobody": false, "metadata": false,
	}
	for name, want := range there {
		got := cur.askHook(t.Context(), name)
		require.True(t, got.Known, "%s: %s", name, got.Detail)
		require.Equal(t, want, got.Good, "%s: %s", name, got.Detail)
		require.Contains(t, got.Detail, fmt.Sprintf("the rollback hook %q", name))
		require.NotContains(t, got.Detail, "in-the-address", "an address may be secret")
		if method, status, named := strings.Cut(name, "-"); named {
			require.Contains(t, got.Detail, fmt.Sprintf("answered %s with %s at", strings.ToUpper(method), status))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	hung := cur.askHook(ctx, "hung")
	require.False(t, hung.Good)
	require.Contains(t, hung.Detail, "does not answer")
	require.NotContains(t, hung.Detail, "in-the-address")
	for _, name := range []string{"gone", ""} {
		got := cur.askHook(t.Context(), name)
		require.False(t, got.Known)
		require.Contains(t, got.Detail, "has no hook that can be asked")
	}
}

func TestSmokeAgainstStaging(t *testing.T) {
	s := others(t)
	cur := asking(t, s.URL)
	step := func(path string) verifier.ProbeStep {
		return verifier.ProbeStep{Method: http.MethodGet, URL: s.URL + path, Timeout: verifier.Duration(200 * time.Millisecond)}
	}
	release := verifier.Release{Service: "checkout", Environment: "production", Version: "2"}
	ask := func(steps ...verifier.ProbeStep) *gate.Answer { return cur.askSmoke(t.Context(), steps, release) }
	got := ask(step("/200"), step("/204"))
	require.True(t, got.Known && got.Good, got.Detail)
	require.Contains(t, got.Detail, "all 2 smoke requests succeeded at")
	got = ask(step("/200"), step("/503"))
	require.True(t, got.Known)
	require.False(t, got.Good)
	require.Regexp(t, `^the smoke probe failed at \d\d:\d\d:\d\d UTC: step 2 GET .*/503: status 503, want 2xx$`, got.Detail)
	got = ask(step("/hung"))
	require.False(t, got.Known && got.Good, got.Detail)
	nobody := step("/200")
	nobody.URL = "http://127.0.0.1:1/"
	got = ask(nobody)
	require.False(t, got.Known && got.Good, got.Detail)
}

func TestIncidents(t *testing.T) {
	at := time.Now().Add(-time.Minute)
	open := verifier.AlertHistory{First: at, Last: at, Alerts: []verifier.Alert{{Name: "CheckoutDown", StartsAt: at, ToldAt: at}}}
	b := alertBook{"one": {First: at, Last: at}, "two": open}
	where := verifier.Location{Service: "checkout", Environment: "production"}
	ask := func(sources ...string) *gate.Answer {
		var from []verifier.AlertSource
		for _, name := range sources {
			from = append(from, verifier.AlertSource{Source: name})
		}
		return askIncidents(t.Context(), b, from, where)
	}
	require.Equal(t, &gate.Answer{Known: true, Good: true, Detail: "no incident is open"}, ask("one"))
	require.Equal(t, &gate.Answer{Known: true, Detail: "an incident is open: firing: CheckoutDown"}, ask("one", "two"))
	require.Equal(t, &gate.Answer{Known: true, Detail: "an incident is open: firing: CheckoutDown"}, ask("silent", "two"), "one that fires is enough")
	got := ask("one", "silent")
	require.False(t, got.Known)
	require.Contains(t, got.Detail, `source "silent" has not told anything yet: send it an alert that always fires, such as Watchdog`)
	got = ask("broken")
	require.False(t, got.Known)
	require.Contains(t, got.Detail, "the store is away")
	require.NotContains(t, got.Detail, "Watchdog")
}

// alertBook is what sources of alerts have told.
type alertBook map[string]verifier.AlertHistory

func (b alertBook) AlertHistory(_ context.Context, source, _, _ string, _, _ time.Time) (verifier.AlertHistory, error) {
	if source == "broken" {
		return verifier.AlertHistory{}, verifier.Errorf(verifier.Unavailable, "the store is away")
	}
	return b[source], nil
}

// TestOthersAreAskedSeldom: whoever asks the gate over and over, or many at
// once, doesn't make us ask others as often.
func TestOthersAreAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newScout(nil)
		var asked atomic.Int32
		take := func(version string) *seen {
			s := o.find(subject{Release: verifier.Release{Version: version}}, func(s *seen) {
				asked.Add(1)
				time.Sleep(3 * time.Second)
				s.smoke = &gate.Answer{Good: true}
			})
			<-s.done
			return s
		}
		together := make(chan *seen)
		for range 20 {
			go func() { together <- take("1") }()
		}
		first := <-together
		for range 19 {
			require.Same(t, first, <-together)
		}
		require.EqualValues(t, 1, asked.Load())
		require.NotNil(t, first.smoke)
		time.Sleep(outsideLasts)
		require.Same(t, first, take("1"), "seen a moment ago")
		time.Sleep(time.Second)
		require.NotSame(t, first, take("1"))
		take("2")
		require.EqualValues(t, 3, asked.Load())
		time.Sleep(time.Hour)
		take("3")
		require.Len(t, o.last, 1, "what is old is forgotten")
	})
}

// TestWhoGivesUpWaitingSpoilsNothing: who asked first may go, and the answer
// still comes for the others.
func TestWhoGivesUpWaitingSpoilsNothing(t *testing.T) {
	s := others(t)
	cur := asking(t, s.URL)
	p := verifier.Policy{Rollback: "head-405", Gate: &verifier.GatePolicy{RollbackAnswers: true}}
	r := verifier.Release{Service: "checkout", Environment: "production", Version: "2"}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	o := newScout(nil)
	o.ask(gone, cur, p, r)
	got := o.ask(t.Context(), cur, p, r)
	require.NotNil(t, got.hook)
	require.True(t, got.hook.Good, got.hook.Detail)
	require.Nil(t, got.smoke, "was not asked for")
	require.Nil(t, newScout(nil).ask(t.Context(), cur, verifier.Policy{}, r).hook, "a policy without a gate asks nobody")
}
