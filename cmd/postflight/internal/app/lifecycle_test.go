package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/dashboards/board/browsertest"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// TestMain is also the process that the daemon sends by shoutrrr with: its own
// program, asked by its arguments.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == SendShoutrrrCommand {
		if err := SendShoutrrr(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(browsed{m}, goleak.Cleanup(func(code int) {
		pgtest.Stop()
		os.Exit(code)
	}))
}

// browsed ends the browser before anything is looked for that was left behind.
type browsed struct{ *testing.M }

func (b browsed) Run() int { return browsertest.Main(b.M) }

// minimal is the smallest useful configuration: a probe of the address.
const minimal = `
storage: { url: "sqlite:%s/postflight.db" }
sources:
  - { name: pipeline, format: native, token_file: token }
policies:
  - name: all
    window: 1m
    interval: 1s
    step: 1s
    signals:
      - name: smoke
        probe: { steps: [{ get: "http://127.0.0.1:9/healthz" }] }
`

const token = "pipeline-token-of-the-tests"

// configuration writes minimal with its secret and returns options for it.
func configuration(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600))
	file := filepath.Join(dir, "postflight.yml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, minimal, dir), 0o600))
	return Options{ConfigFile: file, ListenAddress: "127.0.0.1:0", EnableLifecycle: true, Version: "test",
		Env: os.LookupEnv, Log: slog.New(slog.DiscardHandler)}
}

func started(t *testing.T, o Options) *App {
	t.Helper()
	a, err := New(context.Background(), o)
	require.NoError(t, err)
	require.NoError(t, a.Start(context.Background()))
	return a
}

// ask makes a request and returns the status and the body.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestTwoDaemonsLiveInOneProcess(t *testing.T) {
	a, b := started(t, configuration(t)), started(t, configuration(t))
	for _, daemon := range []*App{a, b} {
		url := "http://" + daemon.Address()
		for _, path := range []string{"/-/healthy", "/-/ready", "/metrics", "/", "/api/v1/verifications", "/openapi.json"} {
			status, _ := ask(t, http.MethodGet, url+path, "")
			require.Equal(t, http.StatusOK, status, path)
		}
	}
	status, answer := ask(t, http.MethodPost, "http://"+a.Address()+"/api/v1/deployments",
		`{"service":"checkout","environment":"production","version":"1.42.0"}`)
	require.Equal(t, http.StatusAccepted, status, answer)
	_, answer = ask(t, http.MethodGet, "http://"+b.Address()+"/api/v1/verifications", "")
	require.NotContains(t, answer, "checkout", "each has its own state")
	require.NoError(t, a.Stop())
	require.NoError(t, b.Stop())
}

func TestASecondDaemonOnTheSameStoreIsRefused(t *testing.T) {
	o := configuration(t)
	a := started(t, o)
	_, err := New(context.Background(), o)
	require.ErrorContains(t, err, "postflight.db")
	require.NoError(t, a.Stop())
	b, err := New(context.Background(), o)
	require.NoError(t, err, "and accepted once the first has stopped")
	require.NoError(t, b.Stop(), "a daemon that was never started stops too")
}

func TestATakenAddressLeavesNothingBehind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	o := configuration(t)
	o.ListenAddress = taken.Addr().String()
	_, err = New(context.Background(), o)
	require.ErrorContains(t, err, "--web.listen-address")
	require.NoFileExists(t, filepath.Join(filepath.Dir(o.ConfigFile), "postflight.db"))
}

func TestWhatWasAcknowledgedIsThereAfterARestart(t *testing.T) {
	o := configuration(t)
	a := started(t, o)
	status, answer := ask(t, http.MethodPost, "http://"+a.Address()+"/api/v1/deployments",
		`{"service":"checkout","environment":"production","version":"1.42.0"}`)
	require.Equal(t, http.StatusAccepted, status, answer)
	require.NoError(t, a.Stop())
	b := started(t, o)
	_, answer = ask(t, http.MethodGet, "http://"+b.Address()+"/api/v1/verifications", "")
	require.Contains(t, answer, "1.42.0")
	require.NoError(t, b.Stop())
}

func TestReloadSwapsAllOrNothing(t *testing.T) {
	o := configuration(t)
	a := started(t, o)
	defer func() { require.NoError(t, a.Stop()) }()
	url := "http://" + a.Address()
	good, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)

	bad := strings.Replace(string(good), "window: 1m", "windwo: 1m", 1)
	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(bad), 0o600))
	status, answer := ask(t, http.MethodPost, url+"/-/reload", "")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, answer, `did you mean "window"?`)
	_, text := ask(t, http.MethodGet, url+"/metrics", "")
	require.Contains(t, text, "postflight_config_last_reload_successful 0")
	require.Equal(t, "all", a.current.Load().config.Policies[0].Name, "the old configuration stays in force")

	better := strings.Replace(string(good), "name: all", "name: everything", 1)
	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(better), 0o600))
	status, _ = ask(t, http.MethodPost, url+"/-/reload", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "everything", a.current.Load().config.Policies[0].Name)

	moved := strings.Replace(string(good), "postflight.db", "other.db", 1)
	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(moved), 0o600))
	require.ErrorContains(t, a.Reload(context.Background()), "restart")
	require.Equal(t, "everything", a.current.Load().config.Policies[0].Name)
}

func TestReloadsAtOnceDoNotDeadlock(t *testing.T) {
	a := started(t, configuration(t))
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				if err := a.Reload(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("reloads hang")
	}
	require.NoError(t, a.Stop())
}

// TestReloadUnderLoad reloads, now and then a broken file, while deploys are
// announced: each is acknowledged, and judged by the policy of its time.
func TestReloadUnderLoad(t *testing.T) {
	o := configuration(t)
	good, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	a := started(t, o)
	url := "http://" + a.Address()
	const deploys, reloads = 60, 60
	var wg sync.WaitGroup
	for sender := range 3 {
		wg.Go(func() {
			for i := range deploys / 3 {
				status, answer := ask(t, http.MethodPost, url+"/api/v1/deployments", fmt.Sprintf(
					`{"service":"service-%d-%d","environment":"production","version":"1.42.0"}`, sender, i))
				if status != http.StatusAccepted {
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range reloads {
			content := strings.Replace(string(good), "name: all", fmt.Sprint("name: all-", i), 1)
			if i%5 == 4 {
				content = content[:len(content)-i] // half-written
			}
			next := o.ConfigFile + ".next"
			if err := errors.Join(os.WriteFile(next, []byte(content), 0o600), os.Rename(next, o.ConfigFile)); err != nil {
				t.Error(err)
			}
			if err := a.Reload(context.Background()); (err != nil) != (i%5 == 4) {
				t.Errorf("reload %d: %v", i, err)
			}
		}
	})
	wg.Wait()
	status, answer := ask(t, http.MethodGet, url+"/api/v1/verifications?limit=500", "")
	require.Equal(t, http.StatusOK, status)
	var page struct{ Verifications []verifier.Verification }
	require.NoError(t, json.Unmarshal([]byte(answer), &page))
	require.Len(t, page.Verifications, deploys)
	for _, v := range page.Verifications {
		evidence, err := a.store.Evidence(context.Background(), v.ID)
		require.NoError(t, err)
		require.Equal(t, v.Policy, evidence.Policy.Name, "a running verification keeps its policy")
		require.Regexp(t, `^all(-\d*[0-35-8])?$`, v.Policy, "never one of a file that is broken")
	}
	require.NoError(t, a.Stop())
}

// TestStartAndStopManyTimes: nothing is left behind of a hundred lives, whether
// they end at once, before they have begun or in the middle of work; goleak
// looks after the package's tests.
func TestStartAndStopManyTimes(t *testing.T) {
	o := configuration(t)
	others := goleak.IgnoreCurrent() // a browser that another test has opened
	before := descriptors(t)
	for i := range 100 {
		switch i % 3 {
		case 0:
			require.NoError(t, started(t, o).Stop())
		case 1:
			a, err := New(context.Background(), o)
			require.NoError(t, err)
			require.NoError(t, a.Stop())
		default:
			a := started(t, o)
			status, answer := ask(t, http.MethodPost, "http://"+a.Address()+"/api/v1/deployments",
				fmt.Sprintf(`{"service":"checkout","environment":"production","version":"1.%d"}`, i))
			require.Equal(t, http.StatusAccepted, status, answer)
			require.NoError(t, a.Stop())
		}
	}
	goleak.VerifyNone(t, others)
	require.LessOrEqual(t, descriptors(t), before+5)
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(open)
}

// TestStartAndStopBesideOneAnother: two replicas come and go on one database
// while a third serves.
func TestStartAndStopBesideOneAnother(t *testing.T) {
	o := configuration(t)
	o.StorageURL = pgtest.Database(t)
	stays := started(t, o)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 10 {
				a, err := New(context.Background(), o)
				if err == nil {
					err = errors.Join(a.Start(context.Background()), a.Stop())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	status, _ := ask(t, http.MethodGet, "http://"+stays.Address()+"/-/ready", "")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, stays.Stop())
}

func TestStopEndsThoseWhoWait(t *testing.T) {
	o := configuration(t)
	a := started(t, o)
	_, answer := ask(t, http.MethodPost, "http://"+a.Address()+"/api/v1/deployments",
		`{"service":"checkout","environment":"production","version":"1.42.0"}`)
	_, rest, found := strings.Cut(answer, `"verification_id":"`)
	require.True(t, found, answer)
	id, _, _ := strings.Cut(rest, `"`)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+a.Address()+"/api/v1/verifications/"+id+"?wait=60s", nil)
		req.Close = true
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	time.Sleep(300 * time.Millisecond) // so that the request waits when the end comes
	begin := time.Now()
	require.NoError(t, a.Stop())
	require.Less(t, time.Since(begin), 10*time.Second, "SIGTERM promises an end within 10 s")
	<-ended
}

// The end must not wait for whom we wait for: a sender that stalls in the
// middle of its body, a probed service that never answers.
func TestStopIsQuickWhateverOthersDo(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog, and never answers
	require.NoError(t, err)
	defer hanging.Close()
	o := configuration(t)
	good, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(strings.Replace(string(good), "127.0.0.1:9/", hanging.Addr().String()+"/", 1)), 0o600))
	a := started(t, o)
	status, answer := ask(t, http.MethodPost, "http://"+a.Address()+"/api/v1/deployments", `{"service":"checkout","environment":"production","version":"1.42.0"}`)
	require.Equal(t, http.StatusAccepted, status, answer)
	stalled, err := net.Dial("tcp", a.Address())
	require.NoError(t, err)
	defer stalled.Close()
	_, err = fmt.Fprintf(stalled, "POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", token)
	require.NoError(t, err)
	time.Sleep(1500 * time.Millisecond) // so that the first look is under way
	begin := time.Now()
	require.NoError(t, a.Stop())
	require.Less(t, time.Since(begin), 10*time.Second, "SIGTERM promises an end within 10 s")
}

func TestServeRefusesKindsThatDoNotExistYet(t *testing.T) {
	o := configuration(t)
	good, err := os.ReadFile(o.ConfigFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.ConfigFile, append(good, "rollbacks:\n  - { name: spin, spinnaker: { application: shop } }\n"...), 0o600))
	_, err = New(context.Background(), o)
	require.ErrorContains(t, err, "spinnaker")
	require.NotContains(t, err.Error(), "\n", "one clear line")
}

func TestAReloadThatOutlastsTheStopChangesNothing(t *testing.T) {
	a := started(t, configuration(t))
	before := a.current.Load()
	require.NoError(t, a.Stop())
	require.ErrorContains(t, a.Reload(context.Background()), "stopping")
	require.Same(t, before, a.current.Load())
}
