// Package receivertest is what every receiver and rollback must do, whatever
// system it talks to: make exactly one attempt, classify every answer by the
// table of contract.md, follow no redirect, come back in time and tell no
// secret. Each receiver's own tests call Run.
package receivertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/verifier"
)

// Subject is the receiver under test.
type Subject struct {
	// Open makes a receiver that talks to the server at that address, over
	// transport. Its URL may add a path and a query, and should hold secrets
	// where the kind allows it.
	Open func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver
	// Delivery is what is sent.
	Delivery verifier.Delivery
	// Answer is what the system says when it takes a message; "" is nothing.
	Answer string
	// Secrets are the texts that no error may hold.
	Secrets []string
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Run("classifies", s.classifies)
	t.Run("follows no redirect", s.followsNoRedirect)
	t.Run("honours Retry-After", s.honoursRetryAfter)
	t.Run("asks for another attempt when no answer comes", s.noAnswer)
	t.Run("makes one attempt on a broken connection", s.brokenConnection)
	t.Run("ends with its context", s.endsWithContext)
	t.Run("reads a bounded answer", s.boundedAnswer)
	t.Run("tells no secret", s.tellsNoSecret)
	t.Run("sends the same twice", s.sendsTheSame)
}

// serve opens the receiver against a handler and counts its calls.
func (s Subject) serve(t *testing.T, handler http.HandlerFunc) (alerting.Receiver, *atomic.Int32) {
	t.Helper()
	calls := new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		handler(w, r)
	}))
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return s.Open(t, server.URL, transport), calls
}

func (s Subject) classifies(t *testing.T) {
	want := map[int]alerting.Outcome{
		200: alerting.Delivered, 201: alerting.Delivered, 202: alerting.Delivered,
		409: alerting.Declined, 412: alerting.Declined,
		408: alerting.Retry, 429: alerting.Retry, 500: alerting.Retry, 502: alerting.Retry, 503: alerting.Retry, 504: alerting.Retry, 507: alerting.Retry, 520: alerting.Retry,
		400: alerting.Rejected, 401: alerting.Rejected, 403: alerting.Rejected, 404: alerting.Rejected, 405: alerting.Rejected,
		410: alerting.Rejected, 413: alerting.Rejected, 415: alerting.Rejected, 422: alerting.Rejected,
	}
	status := 0
	receiver, calls := s.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if status/100 == 2 && status != http.StatusNoContent {
			_, _ = io.WriteString(w, s.Answer)
		}
	})
	if s.Answer == "" {
		want[204] = alerting.Delivered
	}
	for code, outcome := range want {
		status = code
		calls.Store(0)
		got := receiver.Send(t.Context(), s.Delivery)
		require.Equal(t, outcome, got.Outcome, "status %d", code)
		require.Equal(t, code, got.Status)
		require.Equal(t, int32(1), calls.Load(), "status %d: attempts", code)
		if outcome == alerting.Delivered {
			require.NoError(t, got.Err)
		} else {
			require.ErrorContains(t, got.Err, fmt.Sprint(code))
		}
	}
}

func (s Subject) followsNoRedirect(t *testing.T) {
	elsewhere := new(atomic.Int32)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	status := 0
	receiver, calls := s.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(status)
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		status = code
		calls.Store(0)
		got := receiver.Send(t.Context(), s.Delivery)
		require.Equal(t, alerting.Rejected, got.Outcome, "status %d", code)
		require.ErrorContains(t, got.Err, "redirect")
		require.Equal(t, int32(1), calls.Load(), "status %d: attempts", code)
	}
	require.Zero(t, elsewhere.Load())
}

func (s Subject) honoursRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header   string
		from, to time.Duration
	}{
		"seconds":        {"120", 2 * time.Minute, 2 * time.Minute},
		"date":           {time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat), 9 * time.Minute, 10 * time.Minute},
		"past date":      {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
		"negative":       {"-9223372036854775808", 0, 0},
		"a hundred days": {"8640000", 24 * time.Hour, 24 * time.Hour},
		"words":          {"soon", 0, 0},
		"none":           {"", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			receiver, _ := s.serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			got := receiver.Send(t.Context(), s.Delivery)
			require.Equal(t, alerting.Retry, got.Outcome)
			require.GreaterOrEqual(t, got.RetryAfter, c.from)
			require.LessOrEqual(t, got.RetryAfter, c.to)
		})
	}
}

func (s Subject) noAnswer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	receiver := s.Open(t, server.URL, &http.Transport{})
	server.Close()
	got := receiver.Send(t.Context(), s.Delivery)
	require.Equal(t, alerting.Retry, got.Outcome)
	require.Zero(t, got.Status)
	require.ErrorContains(t, got.Err, "refused")
	s.hidesSecrets(t, got.Err)
}

// brokenConnection warms a connection up and breaks it under the next request:
// net/http would send that one again by itself.
func (s Subject) brokenConnection(t *testing.T) {
	var breaks atomic.Bool
	server := httptest.NewServer(nil)
	defer server.Close()
	calls := new(atomic.Int32)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || !breaks.Load() {
			return
		}
		calls.Add(1)
		panic(http.ErrAbortHandler)
	})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	receiver := s.Open(t, server.URL, transport)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	warm, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, warm.Body)
	require.NoError(t, err)
	require.NoError(t, warm.Body.Close())

	breaks.Store(true)
	got := receiver.Send(t.Context(), s.Delivery)
	require.Equal(t, alerting.Retry, got.Outcome)
	require.Equal(t, int32(1), calls.Load())
	s.hidesSecrets(t, got.Err)
}

func (s Subject) endsWithContext(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"before an answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"inside an answer": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			receiver, _ := s.serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // so that the server notices when the caller hangs up
				handler(w, r)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			got := receiver.Send(ctx, s.Delivery)
			require.Less(t, time.Since(began), 5*time.Second)
			require.Equal(t, alerting.Retry, got.Outcome)
			require.Error(t, got.Err)
		})
	}
}

// boundedAnswer offers far more than a receiver may read, and never ends.
func (s Subject) boundedAnswer(t *testing.T) {
	line := []byte(strings.Repeat("no\x00\x1b[31m\n\xff", 512))
	var sent atomic.Int64
	receiver, _ := s.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		for {
			n, err := w.Write(line)
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	got := receiver.Send(ctx, s.Delivery)
	require.NoError(t, ctx.Err(), "it read until the time was up")
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.Less(t, len(got.Err.Error()), 600)
	for _, c := range got.Err.Error() {
		require.False(t, c < ' ' || c == 0x7f, "unprintable %q in %q", c, got.Err)
	}
	require.Less(t, sent.Load(), int64(32<<20), "sockets buffer a few MiB, and nobody should read more")
}

// tellsNoSecret answers with everything that came in.
func (s Subject) tellsNoSecret(t *testing.T) {
	receiver, _ := s.serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, "cannot %s %s %s", r.Method, r.RequestURI, strings.Join(s.Secrets, " "))
	})
	got := receiver.Send(t.Context(), s.Delivery)
	require.ErrorContains(t, got.Err, "cannot POST")
	s.hidesSecrets(t, got.Err)
}

func (s Subject) hidesSecrets(t *testing.T, err error) {
	t.Helper()
	require.NotEmpty(t, s.Secrets)
	for _, secret := range s.Secrets {
		require.NotContains(t, err.Error(), secret)
	}
}

func (s Subject) sendsTheSame(t *testing.T) {
	var bodies []string
	receiver, _ := s.serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer func() { _, _ = io.WriteString(w, s.Answer) }()
		body, err := io.ReadAll(r.Body)
		if err == nil {
			bodies = append(bodies, string(body))
		}
	})
	for range 2 {
		require.Equal(t, alerting.Delivered, receiver.Send(t.Context(), s.Delivery).Outcome)
	}
	require.Len(t, bodies, 2)
	require.NotEmpty(t, bodies[0])
	require.Equal(t, bodies[0], bodies[1])
}
