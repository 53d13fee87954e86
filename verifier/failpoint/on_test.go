//go:build failpoints

package failpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestAFaultStrikesWhenItsPassComes(t *testing.T) {
	r := newRegistry()
	require.NoError(t, r.setAll("judge.before_tx=error@2; outbox.after_mark=error"))
	require.NoError(t, r.reach(t.Context(), JudgeBeforeTx), "the first pass")
	err := r.reach(t.Context(), JudgeBeforeTx)
	require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
	require.EqualError(t, err, "failpoint judge.before_tx")
	require.NoError(t, r.reach(t.Context(), JudgeBeforeTx), "the third")
	for range 3 {
		require.Error(t, r.reach(t.Context(), OutboxAfterMark), "every pass")
	}
	require.NoError(t, r.reach(t.Context(), ShutdownMid), "it has no fault")
	require.Equal(t, state{Passes: 3, Struck: 1}, r.states()[JudgeBeforeTx])
	require.NoError(t, r.set("outbox.after_mark", "off"))
	require.NoError(t, r.reach(t.Context(), OutboxAfterMark))
	require.NoError(t, r.set("outbox.after_mark", "panic"))
	require.PanicsWithValue(t, "failpoint outbox.after_mark", func() { _ = r.reach(t.Context(), OutboxAfterMark) })
}

func TestAShareOfThePassesStrikes(t *testing.T) {
	r := newRegistry()
	require.NoError(t, r.set("sample.before_store", "error@20%"))
	for range 10_000 {
		_ = r.reach(t.Context(), SampleBeforeStore)
	}
	require.InDelta(t, 2000, r.states()[SampleBeforeStore].Struck, 300)
}

func TestDelayAndPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		require.NoError(t, r.setAll("lease.after_renew=delay(2s);supersede.mid=pause"))
		begun := time.Now()
		require.NoError(t, r.reach(t.Context(), LeaseAfterRenew))
		require.Equal(t, 2*time.Second, time.Since(begun))
		time.AfterFunc(time.Hour, func() { require.NoError(t, r.set("supersede.mid", "off")) })
		require.NoError(t, r.reach(t.Context(), SupersedeMid))
		require.Equal(t, time.Hour+2*time.Second, time.Since(begun))

		require.NoError(t, r.set("supersede.mid", "pause"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		require.ErrorIs(t, r.reach(ctx, SupersedeMid), context.Canceled)
	})
}

// A process that stops itself goes on where it was, with nothing in between:
// no timer has fired meanwhile.
func TestStopGoesOnFromWhereItWas(t *testing.T) {
	if os.Getenv(Variable) != "" {
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begun := time.Now()
		require.NoError(t, Reach(short, JudgeBeforeTx))
		require.GreaterOrEqual(t, time.Since(begun), 500*time.Millisecond, "it stood still")
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStopGoesOnFromWhereItWas$") // #nosec G204 -- ourselves
	child.Env = append(os.Environ(), Variable+"=judge.before_tx=stop")
	require.NoError(t, child.Start())
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child.Process.Pid))
		_, state, _ := strings.Cut(string(stat), ") ")
		return err == nil && strings.HasPrefix(state, "T")
	}, 10*time.Second, time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	require.NoError(t, child.Process.Signal(syscall.SIGCONT))
	require.NoError(t, child.Wait())
}

func TestWrongFaultsAreRefused(t *testing.T) {
	for text, wrong := range map[string]string{
		"judge.before_tx":            `must be POINT=FAULT (got "judge.before_tx")`,
		"judge.tx=kill":              `no step "judge.tx": use one of [intake.before_tx`,
		"judge.before_tx=explode":    `judge.before_tx: no fault "explode": use one of [kill stop exit panic error delay pause off]`,
		"judge.before_tx=kill@0":     `judge.before_tx: after @ must be the number of a pass, or a share such as 10% (got "0")`,
		"judge.before_tx=kill@200%":  `judge.before_tx: after @ must be a share of the passes such as 10% (got "200%")`,
		"judge.before_tx=delay":      `judge.before_tx: delay, and no other fault, needs a time, as in delay(2s) (got "delay")`,
		"judge.before_tx=kill(2s)":   `judge.before_tx: delay, and no other fault, needs a time, as in delay(2s) (got "kill(2s)")`,
		"judge.before_tx=delay(now)": `judge.before_tx: delay must be a time such as 2s (got "now")`,
	} {
		require.ErrorContains(t, newRegistry().setAll(text), wrong, text)
	}
}

func TestTheControlSetsAndTells(t *testing.T) {
	r := newRegistry()
	put := func(path, fault string) (int, string) {
		w := httptest.NewRecorder()
		control(r).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, path, strings.NewReader(fault)))
		return w.Code, w.Body.String()
	}
	status, _ := put("/outbox.after_claim", "error@1")
	require.Equal(t, http.StatusNoContent, status)
	require.Error(t, r.reach(t.Context(), OutboxAfterClaim))
	status, why := put("/outbox.after_claim", "explode")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, why, `no fault "explode"`)

	w := httptest.NewRecorder()
	control(r).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.Contains(t, w.Body.String(), `"outbox.after_claim":{"passes":1,"struck":1}`)

	require.ErrorContains(t, serveControl("0.0.0.0:0", r), "must be a loopback address")
	require.ErrorContains(t, serveControl("localhost", r), "must be a loopback address")
	require.NoError(t, errors.Join(serveControl("127.0.0.1:0", r), serveControl("[::1]:0", r)))
}

func TestEveryPointIsListedOnce(t *testing.T) {
	require.Len(t, Points, 18)
	seen := map[Point]bool{}
	for _, p := range Points {
		require.False(t, seen[p], p)
		seen[p] = true
	}
}
