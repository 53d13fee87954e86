// Package simulator is a world for scenarios: services with traffic, a
// Prometheus that scrapes them, a pipeline that deploys and rolls back, and
// people who are told, all in the virtual time of testing/synctest, around the
// real daemon with its real store. A day takes seconds. Nothing has a socket:
// what the daemon calls is answered by a RoundTripper, and the daemon is
// called through its handler.
package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
)

// poll is how long the daemon may take to notice that something is due. Its
// own 200 ms would cost a simulated day ten minutes of real time, for each
// poll is a transaction.
const poll = 15 * time.Second

// World is everything, with the daemon in its midst. It must be made and used
// within a bubble of testing/synctest.
type World struct {
	Fleet    *Fleet
	Pipeline *Pipeline

	t          testing.TB
	options    Options
	dir        string
	inbox      history
	log        bytes.Buffer
	background sync.WaitGroup

	mu     sync.Mutex
	kept   kept
	daemon *app.App // nil while it is down
	cutOff bool     // the daemon's own network is down
}

// New starts a world on a Monday at eight, with 1.0 running everywhere since
// long ago, and the daemon. It ends with the test.
func New(t testing.TB, o Options) *World {
	t.Helper()
	o = o.withDefaults()
	morning := time.Date(2000, 1, 3, 8, 0, 0, 0, time.UTC) // bubbles begin on the Saturday before, at midnight
	time.Sleep(time.Until(morning))
	w := &World{t: t, options: o, dir: t.TempDir(), Fleet: newFleet(o)}
	o.database = w.Database()
	w.Pipeline = &Pipeline{world: w, Style: o.Style, Takes: time.Minute, answered: map[string]int{}}
	for _, p := range o.Places {
		w.Fleet.launch(p, "1.0")
	}
	for name, content := range o.files() {
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600))
	}
	w.Start()
	t.Cleanup(w.close)
	return w
}

func (w *World) close() {
	w.background.Wait()
	w.Stop()
	w.check()
	if w.t.Failed() && testing.Verbose() {
		w.t.Log(w.log.String())
	}
}

// Start starts the daemon.
func (w *World) Start() {
	w.t.Helper()
	daemon, err := app.New(context.Background(), app.Options{
		ConfigFile: filepath.Join(w.dir, "postflight.yml"), ExternalURL: "https://postflight.sim", Version: "simulated",
		Env: os.LookupEnv, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Transport: w, Poll: poll, Store: w.options.store,
	})
	require.NoError(w.t, err)
	require.NoError(w.t, daemon.Start(context.Background()))
	w.set(daemon)
	w.lives(true)
}

// Stop ends the daemon, if it runs.
func (w *World) Stop() {
	w.t.Helper()
	if daemon := w.running(); daemon != nil {
		w.set(nil)
		w.lives(false)
		require.NoError(w.t, daemon.Stop())
	}
}

func (w *World) set(daemon *app.App) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.daemon = daemon
}

func (w *World) running() *app.App {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.daemon
}

// CutOff takes the daemon's own network away, or gives it back.
func (w *World) CutOff(off bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutOff = off
}

// RoundTrip answers what the daemon calls.
func (w *World) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	off := w.cutOff
	w.mu.Unlock()
	if off {
		return nil, &os.SyscallError{Syscall: "connect", Err: syscall.ENETUNREACH}
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	switch r.URL.Host {
	case "prometheus.sim":
		return prometheus{w.Fleet}.answer(r), nil
	case "desk.sim":
		return reply(r, http.StatusOK, fmt.Appendf(nil, `{"count":%g}`, w.Fleet.tickets(Checkout, moment(r.URL.Query().Get("from")), moment(r.URL.Query().Get("to"))))), nil
	case "github.sim":
		recorder := httptest.NewRecorder()
		http.StripPrefix("/api/v3", w.options.GitHub).ServeHTTP(recorder, r)
		return recorder.Result(), nil
	case "pipeline.sim":
		return w.Pipeline.rollback(r)
	case "oncall.sim":
		c := received(r)
		c.Status = http.StatusOK
		if err := verified(c); err != nil {
			c.Status, c.Problem = http.StatusUnauthorized, err.Error()
		}
		w.inbox.add(c)
		return reply(r, c.Status, nil), nil
	}
	return nil, errors.New("no such host: " + r.URL.Host)
}

// Post posts to the daemon. While it is down the status is 0.
func (w *World) Post(path string, header http.Header, body []byte) (status int, answer []byte) {
	return w.ask(http.MethodPost, path, header, body)
}

func (w *World) ask(method, path string, header http.Header, body []byte) (status int, answer []byte) {
	daemon := w.running()
	if daemon == nil {
		return 0, nil
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, bytes.NewReader(body))
	r.Header = header.Clone()
	recorder := answering{httptest.NewRecorder()}
	daemon.Handler().ServeHTTP(recorder, r)
	return recorder.Code, recorder.Body.Bytes()
}

// answering is a connection without a network: it has no deadlines to miss.
type answering struct{ *httptest.ResponseRecorder }

// SetReadDeadline is what http.ResponseController asks for.
func (answering) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is what http.ResponseController asks for.
func (answering) SetWriteDeadline(time.Time) error { return nil }

// Answer is what the daemon says to a notification.
type Answer struct {
	VerificationID string `json:"verification_id"`
	Ignored        string `json:"ignored"`
}

func readAnswer(t testing.TB, status int, body []byte) (a Answer) {
	if status/100 != 2 {
		t.Errorf("a notification was answered %d: %s", status, body)
	} else if err := json.Unmarshal(body, &a); err != nil {
		t.Errorf("read the answer %q: %v", body, err)
	}
	return a
}

// Deploy deploys a version as people do, announced natively, and returns the
// verification's id once the deploy has finished.
func (w *World) Deploy(p Place, version string, edits ...func(*intake.Announcement)) string {
	w.t.Helper()
	a := w.Pipeline.deploy(p, version, Unmarked, edits...)
	require.NotEmpty(w.t, a.VerificationID, a.Ignored)
	return a.VerificationID
}

// Verification returns a verification as the API shows it.
func (w *World) Verification(id string) verifier.Verification {
	w.t.Helper()
	var v verifier.Verification
	w.get("/api/v1/verifications/"+id, &v)
	return v
}

// Verifications returns those of a place, newest first.
func (w *World) Verifications(p Place) []verifier.Verification {
	w.t.Helper()
	return w.list("&service=" + p.Service + "&environment=" + p.Environment)
}

// All returns every verification, newest first.
func (w *World) All() []verifier.Verification { return w.list("") }

func (w *World) list(filter string) (out []verifier.Verification) {
	w.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Verifications []verifier.Verification `json:"verifications"`
			Next          string                  `json:"next_cursor"`
		}
		w.get("/api/v1/verifications?limit=500&cursor="+cursor+filter, &page)
		out = append(out, page.Verifications...)
		if cursor = page.Next; cursor == "" {
			return out
		}
	}
}

// asPerson is who reads.
var asPerson = http.Header{"Authorization": {"Bearer " + personToken}}

func (w *World) get(path string, into any) {
	w.t.Helper()
	status, body := w.ask(http.MethodGet, path, asPerson, nil)
	require.Equal(w.t, http.StatusOK, status, string(body))
	require.NoError(w.t, json.Unmarshal(body, into))
}

// Told returns the messages about a verification that reached people so far,
// or all of them for "".
func (w *World) Told(verification string) []verifier.Event {
	var out []verifier.Event
	for _, c := range w.inbox.all() {
		var e verifier.Event
		if json.Unmarshal(c.Body, &e) == nil && (verification == "" || e.Data.ID == verification) {
			out = append(out, e)
		}
	}
	return out
}

// Messages returns what receivers got so far, as it came.
func (w *World) Messages() []Call { return w.inbox.all() }

// Database is the file of the daemon's store.
func (w *World) Database() string { return filepath.Join(w.dir, "postflight.db") }
