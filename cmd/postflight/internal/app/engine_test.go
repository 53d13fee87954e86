package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestAGoodDeployIsClearedAndKept(t *testing.T) {
	inBench(t, func(b *bench) {
		id := b.deploy("1.1")
		time.Sleep(theWindow)
		v := b.record(id)
		require.Equal(t, verifier.StateDecided, v.State)
		require.Equal(t, verifier.Keep, v.Verdict.Decision, v.Verdict.Summary)
		require.False(t, v.Verdict.Early)
		require.NotNil(t, v.ClearedAt)
		require.Equal(t, verifier.ActionNone, v.Action.State)
		require.Equal(t, []verifier.EventType{verifier.EventCleared, verifier.EventDecided}, b.hook.events(verifier.MessageDelivery))
		require.Empty(t, b.hook.events(verifier.RollbackDelivery))
		require.WithinDuration(t, v.ClosesAt, v.Verdict.DecidedAt, time.Minute)
		b.recomputed(id)
	})
}

func TestABadDeployIsRevertedAndItsRollbackIsNot(t *testing.T) {
	inBench(t, func(b *bench) {
		b.deploy("1.1")
		time.Sleep(theWindow)
		id := b.deploy("1.2")
		b.failing()
		time.Sleep(40 * time.Second)
		v := b.record(id)
		require.Equal(t, verifier.Revert, v.Verdict.Decision)
		require.True(t, v.Verdict.Early)
		require.Equal(t, verifier.ActionAccepted, v.Action.State, v.Action.Reason)
		require.Equal(t, "1.1", v.Action.TargetVersion)
		require.Equal(t, []verifier.EventType{verifier.EventRevert}, b.hook.events(verifier.RollbackDelivery))
		b.recomputed(id)

		// The pipeline brings 1.1 back without saying why; it is still ill.
		rollback := b.deploy("1.1")
		require.Equal(t, verifier.ActionConfirmed, b.record(id).Action.State)
		time.Sleep(theWindow)
		v = b.record(rollback)
		require.True(t, v.Deployment.Rollback)
		require.Equal(t, verifier.StateDecided, v.State)
		require.NotEqual(t, verifier.ActionRequested, v.Action.State)
		require.Len(t, b.hook.events(verifier.RollbackDelivery), 1, "a rollback is never reverted")
	})
}

func TestShadowCallsNothing(t *testing.T) {
	inBench(t, func(b *bench) {
		b.deploy("1.1")
		time.Sleep(theWindow)
		b.policy.Mode = verifier.Shadow
		id := b.deploy("1.2")
		b.failing()
		time.Sleep(40 * time.Second)
		v := b.record(id)
		require.Equal(t, verifier.Revert, v.Verdict.Decision)
		require.Equal(t, verifier.ActionWithheld, v.Action.State)
		require.Equal(t, verifier.GuardMode, v.Action.Guard)
		require.Equal(t, "1.1", v.Action.TargetVersion, "for whoever rolls back by hand")
		require.Empty(t, b.hook.events(verifier.RollbackDelivery))
	})
}

func TestTheFirstVersionEverIsNotReverted(t *testing.T) {
	inBench(t, func(b *bench) {
		id := b.deploy("1.0")
		b.failing()
		time.Sleep(theWindow)
		v := b.record(id)
		require.Equal(t, verifier.Revert, v.Verdict.Decision)
		require.Equal(t, verifier.GuardTarget, v.Action.Guard)
		require.Empty(t, b.hook.events(verifier.RollbackDelivery))
	})
}

func TestANewerDeploySupersedes(t *testing.T) {
	inBench(t, func(b *bench) {
		first := b.deploy("1.1")
		time.Sleep(40 * time.Second)
		second := b.deploy("1.2")
		time.Sleep(theWindow)
		v := b.record(first)
		require.Equal(t, verifier.StateSuperseded, v.State)
		require.Nil(t, v.Verdict)
		require.Equal(t, verifier.Keep, b.record(second).Effective)
		require.Contains(t, b.hook.events(verifier.MessageDelivery), verifier.EventSuperseded)
	})
}

func TestNoDataNeverReverts(t *testing.T) {
	inBench(t, func(b *bench) {
		b.deploy("1.1")
		time.Sleep(theWindow)
		b.source.mu.Lock()
		b.source.down = true
		b.source.mu.Unlock()
		id := b.deploy("1.2")
		time.Sleep(theWindow)
		v := b.record(id)
		require.Equal(t, verifier.Inconclusive, v.Verdict.Decision)
		require.Equal(t, verifier.ActionNone, v.Action.State)
		require.Contains(t, fmt.Sprint(v.Verdict), "connection refused", "the reason is named")
		require.Positive(t, v.Signals[0].Steps.Error)
		require.Zero(t, v.Signals[0].Steps.Measured)
		b.recomputed(id)
	})
}

func TestEveryVerificationEndsWhateverTheSourceDoes(t *testing.T) {
	inBench(t, func(b *bench) {
		b.source.slow = true
		id := b.deploy("1.1")
		time.Sleep(b.policy.Window.D() + time.Minute)
		v := b.record(id)
		require.Equal(t, verifier.StateDecided, v.State)
		require.Equal(t, verifier.Inconclusive, v.Verdict.Decision)
		require.Contains(t, fmt.Sprint(v.Signals, v.Verdict), "could not be read in time")
		b.recomputed(id)
	})
}

func TestAnOutageInTheMiddleIsReadAfterwards(t *testing.T) {
	inBench(t, func(b *bench) {
		id := b.deploy("1.1")
		set := func(down bool) { b.source.mu.Lock(); b.source.down = down; b.source.mu.Unlock() }
		time.Sleep(15 * time.Second)
		set(true)
		time.Sleep(40 * time.Second)
		require.Positive(t, b.record(id).Signals[0].Steps.Error)
		set(false)
		time.Sleep(35 * time.Second)
		v := b.record(id)
		require.Equal(t, verifier.Keep, v.Effective)
		require.Zero(t, v.Signals[0].Steps.Error, "steps that could not be read are asked for again")
		b.recomputed(id)
	})
}

func TestARestartInTheMiddleResumesWithOneVerdict(t *testing.T) {
	inBench(t, func(b *bench) {
		b.deploy("1.1")
		time.Sleep(theWindow)
		id := b.deploy("1.2")
		b.failing()
		time.Sleep(3 * time.Second)
		b.end()
		require.Nil(t, b.record(id).Verdict, "still watching")
		time.Sleep(10 * time.Second)
		b.start()
		time.Sleep(40 * time.Second)
		require.Equal(t, verifier.Revert, b.record(id).Verdict.Decision)
		require.Len(t, b.hook.events(verifier.RollbackDelivery), 1)
		decided := 0
		for _, event := range b.hook.events(verifier.MessageDelivery) {
			if event == verifier.EventDecided {
				decided++
			}
		}
		require.Equal(t, 2, decided, "one for each deploy")
		b.recomputed(id)
	})
}

func TestAnUnconfirmedRollbackIsTold(t *testing.T) {
	inBench(t, func(b *bench) {
		b.deploy("1.1")
		time.Sleep(theWindow)
		id := b.deploy("1.2")
		b.failing()
		time.Sleep(time.Minute + verifier.UnconfirmedAfter)
		v := b.record(id)
		require.Equal(t, verifier.ActionUnconfirmed, v.Action.State)
		require.Contains(t, v.Action.Reason, "by hand")
		messages := b.hook.events(verifier.MessageDelivery)
		require.Equal(t, verifier.EventActionChanged, messages[len(messages)-1])
		b.healed()
		b.deploy("1.1", func(d *verifier.Deployment) { d.RevertID = v.Action.RevertID })
		require.Equal(t, verifier.ActionConfirmed, b.record(id).Action.State, "late is still confirmed")
	})
}

func TestARollbackIsConfirmedByWhatRuns(t *testing.T) {
	inBench(t, func(b *bench) {
		b.policy.LiveVersion = &verifier.VersionSource{Server: "main", Query: "build_info", Label: "version"}
		b.deploy("1.1")
		time.Sleep(theWindow)
		id := b.deploy("1.2")
		b.failing()
		runs := func(fault error, versions ...string) {
			b.source.mu.Lock()
			defer b.source.mu.Unlock()
			b.source.live, b.source.liveFault = versions, fault
		}
		runs(nil, "1.2")
		time.Sleep(time.Minute)
		require.Equal(t, verifier.ActionAccepted, b.record(id).Action.State)
		runs(nil, "1.1", "1.2")
		time.Sleep(time.Minute)
		require.Equal(t, verifier.ActionAccepted, b.record(id).Action.State, "it is being rolled out")
		runs(verifier.Errorf(verifier.Unavailable, "main: connection refused"))
		time.Sleep(verifier.UnconfirmedAfter)
		v := b.record(id)
		require.Equal(t, verifier.ActionUnconfirmed, v.Action.State)
		require.Contains(t, v.Action.Reason, "1.1 was not seen live 10m0s after the rollback was accepted, and what runs could not be read (main: connection refused): look at it")
		runs(nil, "1.1")
		time.Sleep(time.Minute)
		v = b.record(id)
		require.Equal(t, verifier.ActionConfirmed, v.Action.State)
		require.Equal(t, "1.1 runs again, as live_version tells", v.Action.Reason)
	})
}
