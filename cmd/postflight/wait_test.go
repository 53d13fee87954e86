package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// command runs a command line against a daemon that handler stands in for.
func command(t *testing.T, ctx context.Context, handler http.HandlerFunc, args ...string) (code int, out, errs string) {
	t.Helper()
	daemon := httptest.NewServer(handler)
	t.Cleanup(daemon.Close)
	s, stdout, stderr := buffers()
	code = run(ctx, append(args, "--url="+daemon.URL), s)
	return code, stdout.String(), stderr.String()
}

// buffers are streams with an empty input.
func buffers() (s streams, out, errs *bytes.Buffer) {
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	return streams{in: strings.NewReader(""), out: out, err: errs}, out, errs
}

func answer(t *testing.T, w http.ResponseWriter, body any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	require.NoError(t, json.NewEncoder(w).Encode(body))
}

// ended is a verification that has its verdict.
func ended(decision verifier.Decision, change func(*verifier.Verification)) verifier.Verification {
	v := verifier.Verification{
		ID: "vf_1", State: verifier.StateDecided, Effective: decision, Action: verifier.Action{State: verifier.ActionNone},
		Deployment: verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0"},
		Verdict:    &verifier.Verdict{Decision: decision, Summary: "so it is", By: verifier.ByPostflight},
		URL:        "http://postflight.example/verifications/vf_1",
	}
	if change != nil {
		change(&v)
	}
	return v
}

func TestExitCodeTellsTheVerdict(t *testing.T) {
	action := func(state verifier.ActionState, guard verifier.Guard) func(*verifier.Verification) {
		return func(v *verifier.Verification) { v.Action = verifier.Action{State: state, Guard: guard} }
	}
	state := func(s verifier.State) func(*verifier.Verification) {
		return func(v *verifier.Verification) { v.State, v.Effective, v.Verdict = s, "", nil }
	}
	override := func(d verifier.Decision) func(*verifier.Verification) {
		return func(v *verifier.Verification) {
			v.Override, v.Effective = &verifier.Override{Decision: d, By: "dana", Reason: "I looked"}, d
		}
	}
	cases := []struct {
		name string
		v    verifier.Verification
		code int
		out  string
	}{
		{"keep", ended(verifier.Keep, nil), 0, "KEEP  checkout 1.42.0 in production: so it is\nhttp://postflight.example/verifications/vf_1\n"},
		{"revert", ended(verifier.Revert, action(verifier.ActionRequested, "")), 10, "REVERT  "},
		{"revert without a rollback", ended(verifier.Revert, nil), 10, "REVERT  "},
		{"revert that failed", ended(verifier.Revert, action(verifier.ActionFailed, "")), 10, "REVERT  "},
		{"withheld", ended(verifier.Revert, action(verifier.ActionWithheld, verifier.GuardMode)), 14, "REVERT  "},
		{"inconclusive", ended(verifier.Inconclusive, nil), 11, "INCONCLUSIVE  "},
		{"superseded", ended("", state(verifier.StateSuperseded)), 12, "SUPERSEDED  checkout 1.42.0 in production\n"},
		{"cancelled", ended("", state(verifier.StateCancelled)), 12, "CANCELLED  "},
		{"kept by a person", ended(verifier.Revert, override(verifier.Keep)), 0, "KEEP  checkout 1.42.0 in production: dana decided it: I looked. The verdict had been revert: so it is\n"},
		{"reverted by a person", ended(verifier.Keep, override(verifier.Revert)), 10, "REVERT  "},
		{"a word from a newer daemon", ended("perhaps", nil), 11, "PERHAPS  "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, out, _ := command(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) { answer(t, w, c.v) }, "wait", "vf_1")
			require.Equal(t, c.code, code)
			require.True(t, strings.HasPrefix(out, c.out), out)
		})
	}
}

func TestClearedEndsTheWaitOnlyWhereAskedFor(t *testing.T) {
	now := time.Now()
	cleared := ended("", func(v *verifier.Verification) {
		v.State, v.Verdict, v.ClearedAt, v.ClosesAt = verifier.StateObserving, nil, &now, now.Add(time.Hour)
	})
	handler := func(w http.ResponseWriter, _ *http.Request) { answer(t, w, cleared) }
	code, out, _ := command(t, t.Context(), handler, "wait", "vf_1", "--until=cleared")
	require.Equal(t, 0, code)
	require.Contains(t, out, "CLEARED  checkout")
	reverted := ended(verifier.Revert, func(v *verifier.Verification) { v.ClearedAt = &now })
	code, _, _ = command(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) { answer(t, w, reverted) }, "wait", "vf_1", "--until=cleared")
	require.Equal(t, 10, code, "cleared first, and reverted by the time it was asked")
}

func TestFaultsNeverLookLikeVerdicts(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	cases := map[string]struct {
		handler http.HandlerFunc
		says    string
	}{
		"unauthorized":    {status(http.StatusUnauthorized), "answered 401: Unauthorized; no token was sent: name its file with --token-file, or in POSTFLIGHT_TOKEN_FILE"},
		"not found":       {status(http.StatusNotFound), "answered 404"},
		"ill":             {status(http.StatusServiceUnavailable), "no verdict in time, for the last call went wrong: the daemon answered 503"},
		"another program": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "is --url right?"},
		"never answers":   {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "the daemon has not answered"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t, t.Context(), c.handler, "wait", "vf_1", "--timeout=300ms")
			require.Equal(t, exitFault, code)
			require.Empty(t, out)
			require.Contains(t, errs, c.says)
			require.NotContains(t, errs, "Usage:")
		})
	}
}

func TestWaitOutlastsAFault(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	code, _, errs := command(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		answer(t, w, ended(verifier.Keep, nil))
	}, "wait", "vf_1", "--timeout=30s")
	require.Equal(t, 0, code)
	require.Contains(t, errs, "answered 502: Bad Gateway; trying again")
}

// TestWaitFollowsTheRollbackWhereAskedTo: the verdict is the exit code, whatever
// becomes of the rollback.
func TestWaitFollowsTheRollbackWhereAskedTo(t *testing.T) {
	t.Parallel()
	for last, says := range map[verifier.ActionState]string{
		verifier.ActionConfirmed: "rollback to 1.41.3 (rv_1): confirmed\n", verifier.ActionDeclined: "rollback to 1.41.3 (rv_1): declined\n",
	} {
		t.Run(string(last), func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			code, out, errs := command(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
				state := verifier.ActionAccepted
				switch calls.Add(1) {
				case 1:
				case 2:
					w.WriteHeader(http.StatusBadGateway)
					return
				default:
					state = last
				}
				answer(t, w, ended(verifier.Revert, func(v *verifier.Verification) {
					v.Action = verifier.Action{State: state, TargetVersion: "1.41.3", RevertID: "rv_1"}
				}))
			}, "wait", "vf_1", "--until=settled", "--timeout=1m")
			require.Equal(t, exitRevert, code)
			require.Contains(t, out, says)
			require.Contains(t, errs, "answered 502: Bad Gateway; trying again\n")
			require.Equal(t, int32(3), calls.Load())
		})
	}
}

func TestAnInterruptedWaitIsNoVerdict(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	code, _, errs := command(t, ctx, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}, "wait", "vf_1")
	require.Equal(t, exitFault, code)
	require.Contains(t, errs, "interrupted")
}

func TestNotifyTriesAgainAsTheSameDelivery(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("pipeline-token"), 0o600))
	keys := make(chan string, notifyTries)
	code, out, _ := command(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("Idempotency-Key")
		if len(keys) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		answer(t, w, receipt{VerificationID: "vf_1", Mode: "shadow"})
	}, "notify", "--service=a", "--environment=e", "--version=1", "--token-file="+token)
	require.Equal(t, 0, code)
	require.Equal(t, "vf_1\n", out)
	first, second := <-keys, <-keys
	require.NotEmpty(t, first)
	require.Equal(t, first, second, "a lost answer must not open a second verification")
}

func TestWrongFlagsOfNotifyAnnounceNothing(t *testing.T) {
	for _, flag := range []string{"--until=soon", "--timeout=0s", "--output=xml", "--status=done"} {
		code, _, _ := command(t, t.Context(), func(http.ResponseWriter, *http.Request) {
			t.Error("it was announced")
		}, "notify", "--service=a", "--environment=e", "--version=1", "--wait", flag)
		require.Equal(t, exitUsage, code, flag)
	}
}

func TestTheTokenIsInNoMessage(t *testing.T) {
	t.Setenv("POSTFLIGHT_TOKEN", "secret-of-the-pipeline")
	sent := ""
	code, out, errs := command(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusForbidden)
	}, "list")
	require.Equal(t, exitFault, code)
	require.Equal(t, "Bearer secret-of-the-pipeline", sent)
	require.NotContains(t, out+errs, "secret-of")
}
