package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// TestPrometheusDown releases a version while Prometheus can't be reached: what
// can't be seen is not called bad, and the record says why.
func TestPrometheusDown(t *testing.T) {
	t.Parallel()
	w := openWorld(t, world.Options{Services: services("outage")})
	p := play(t, w, "outage")
	p.kept(world.Good)

	// Slow, for probes see errors by themselves: one time in a hundred thrice in a
	// row, which is harm proven, and reverted, with no Prometheus at all.
	answer := p.release(world.Slow)
	require.NoError(t, w.Prometheus.Stop())
	v := p.verdict(answer)
	require.Equal(t, verifier.Inconclusive, v.Verdict.Decision, "%s", v.Verdict.Summary)
	errors := p.signal(v, "errors")
	require.Equal(t, verifier.SignalUnknown, errors.State)
	require.Positive(t, errors.Steps.Error)
	require.NotEmpty(t, errors.Message)
	require.Empty(t, w.Pipeline.Rollbacks("outage"))
	require.NotEqual(t, verifier.ActionRequested, v.Action.State)
	require.Equal(t, world.Slow, w.Shops["outage"].Version())

	require.NoError(t, w.Prometheus.Start())
	p.kept(world.Next)
	memory(t, w)
}

// TestKill kills the daemon in the middle of windows: each verification goes on
// and ends with one verdict, and one rollback where there is one to make.
func TestKill(t *testing.T) {
	t.Parallel()
	w := openWorld(t, world.Options{Services: services("kill")})
	p := play(t, w, "kill")
	kept := p.kept(world.Good)

	bad := p.release(world.Errors)
	time.Sleep(time.Second) // while the past is read
	p.crash(time.Second)
	v := p.verdict(bad)
	require.Equal(t, verifier.Revert, v.Verdict.Decision, "%s", v.Verdict.Summary)
	v = p.until(v.ID, confirmed)
	rollbacks := p.Pipeline.Announced(p.service)
	p.until(rollbacks[len(rollbacks)-1].VerificationID, func(v verifier.Verification) bool { return len(v.Signals) > 0 }) // looked at once
	p.crash(2 * time.Second)
	watched := p.rolledBackOnce(v, world.Errors, true)

	for _, decided := range []verifier.Verification{kept, v, watched} {
		p.toldOnce(decided)
	}
	all, err := w.List(t.Context(), "kill")
	require.NoError(t, err)
	require.Len(t, all, 3, "two releases and one rollback")
	memory(t, w)
}

// TestKillDuringTheRollbackCall kills the daemon while its rollback request is
// on the way: the request comes again, with the same key and the same bytes,
// and the pipeline rolls back once.
func TestKillDuringTheRollbackCall(t *testing.T) {
	t.Parallel()
	w := openWorld(t, world.Options{Services: services("midcall")})
	p := play(t, w, "midcall")
	p.kept(world.Good)

	arrived, answer := w.Pipeline.HoldNextRollback()
	released := p.release(world.Errors)
	select {
	case <-arrived:
	case <-time.After(limit):
		require.Fail(t, "no rollback request came")
	}
	p.crash(time.Second)
	v := p.until(released.VerificationID, confirmed)
	answer()
	require.Eventually(t, func() bool { return len(w.Pipeline.Rollbacks("midcall")) == 2 }, 10*time.Second, 50*time.Millisecond)

	calls := w.Pipeline.Rollbacks("midcall")
	require.Equal(t, calls[0].Body, calls[1].Body)
	require.Equal(t, calls[0].Header.Get("Idempotency-Key"), calls[1].Header.Get("Idempotency-Key"))
	require.Equal(t, calls[0].Header.Get("webhook-id"), calls[1].Header.Get("webhook-id"))
	require.Len(t, w.Pipeline.Announced("midcall"), 3, "two releases and one rollback")
	p.toldOnce(v)
}

// crash kills the daemon and starts it again after a while.
func (p player) crash(down time.Duration) {
	p.Helper()
	require.NoError(p, p.Daemon.Kill())
	time.Sleep(down)
	begun := time.Now()
	require.NoError(p, p.Daemon.Start(p.Context()))
	p.Logf("killed; ready again %s after the new start", time.Since(begun).Round(time.Millisecond))
}

// toldOnce checks that one verdict was told, the one that stands; a message may
// arrive twice after a crash, but then under one id.
func (p player) toldOnce(v verifier.Verification) {
	p.Helper()
	decided := func() []pipeline.Told {
		var out []pipeline.Told
		for _, told := range p.Pipeline.Told(v.ID) {
			if told.Type == verifier.EventDecided {
				out = append(out, told)
			}
		}
		return out
	}
	require.Eventually(p, func() bool { return len(decided()) > 0 }, 20*time.Second, 100*time.Millisecond)
	ids := map[string]bool{}
	for _, told := range decided() {
		ids[told.MessageID] = true
		require.Equal(p, v.Verdict.Decision, told.Data.Verdict.Decision)
		require.True(p, v.Verdict.DecidedAt.Equal(told.Data.Verdict.DecidedAt))
	}
	require.Len(p, ids, 1)
}
