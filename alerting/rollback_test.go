package alerting

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var busy = Result{Outcome: Retry, Status: 503, Err: errors.New("answered 503")}

// toldOf checks that each of the policy's receivers is told of the action as
// it stands, once.
func toldOf(t *testing.T, m *memory) {
	t.Helper()
	require.Len(t, m.messages, 2)
	for i, receiver := range []string{"oncall", "ci"} {
		require.Equal(t, receiver, m.messages[i].Receiver)
		require.Equal(t, verifier.EventActionChanged, m.messages[i].Event)
		var event verifier.Event
		require.NoError(t, json.Unmarshal(m.messages[i].Body, &event))
		require.Equal(t, m.out.Verification.Action.State, event.Data.Action.State)
		require.Equal(t, m.out.Verification.Action.Reason, event.Data.Action.Reason)
	}
}

func TestRollbackEndsByItsAnswer(t *testing.T) {
	inBubble(t, map[string]struct {
		answer   Result
		delivery verifier.DeliveryState
		action   verifier.ActionState
		reason   string
	}{
		"accepted": {Result{Outcome: Delivered, Status: 202}, verifier.DeliveryDelivered, verifier.ActionAccepted, "pipeline-rollback took the request (status 202)"},
		"declined": {Result{Outcome: Declined, Status: 409, Err: errors.New("answered 409")}, verifier.DeliveryDiscarded, verifier.ActionDeclined, "pipeline-rollback declined the request: answered 409"},
		"rejected": {Result{Outcome: Rejected, Status: 404, Err: errors.New("answered 404")}, verifier.DeliveryDiscarded, verifier.ActionFailed, "pipeline-rollback refused the request: answered 404"},
	}, func(t *testing.T, c struct {
		answer   Result
		delivery verifier.DeliveryState
		action   verifier.ActionState
		reason   string
	}) {
		b := newBench(rollback(t), func(context.Context, int) Result {
			time.Sleep(1500 * time.Millisecond)
			return c.answer
		})
		began := time.Now()
		b.drive(t)
		require.Len(t, b.receiver.sent, 1)
		require.Equal(t, c.delivery, b.store.out.Delivery.State)
		require.Equal(t, c.action, b.store.out.Verification.Action.State)
		require.Equal(t, c.reason, b.store.out.Verification.Action.Reason)
		if c.delivery == verifier.DeliveryDiscarded {
			require.Equal(t, c.reason, b.store.out.Delivery.Reason)
		}
		attempt := verifier.Attempt{At: began.UTC(), Duration: verifier.Duration(1500 * time.Millisecond), Status: c.answer.Status, Result: string(c.answer.Outcome)}
		if c.answer.Err != nil {
			attempt.Error = c.answer.Err.Error()
		}
		require.Equal(t, []verifier.Attempt{attempt}, b.store.out.Delivery.Attempts)
		toldOf(t, b.store)
		require.Equal(t, []Outcome{c.answer.Outcome}, b.heard.attempts)
		require.Equal(t, []verifier.ActionState{c.action}, b.heard.moves)
	})
}

func TestGuardsEndARollbackBeforeItIsSent(t *testing.T) {
	type held struct {
		spoil  func(*verifier.Outgoing)
		action verifier.ActionState
		guard  verifier.Guard
	}
	inBubble(t, map[string]held{
		"shadow":        {func(o *verifier.Outgoing) { o.Facts.Mode = verifier.Shadow }, verifier.ActionWithheld, verifier.GuardMode},
		"is rollback":   {func(o *verifier.Outgoing) { o.Facts.Deployment.Rollback = true }, verifier.ActionWithheld, verifier.GuardLoop},
		"person keeps":  {func(o *verifier.Outgoing) { o.Facts.Override = &verifier.Override{Decision: verifier.Keep} }, verifier.ActionWithheld, verifier.GuardPerson},
		"newer deploy":  {func(o *verifier.Outgoing) { o.Facts.Current.ID = "dp_3" }, verifier.ActionFenced, verifier.GuardFence},
		"running":       {func(o *verifier.Outgoing) { o.Facts.Running = &verifier.Deployment{} }, verifier.ActionFenced, verifier.GuardFence},
		"open revert":   {func(o *verifier.Outgoing) { o.Facts.OpenRevert = "rv_9" }, verifier.ActionFenced, verifier.GuardFence},
		"facts missing": {func(o *verifier.Outgoing) { o.Facts = verifier.Facts{} }, verifier.ActionWithheld, verifier.GuardMode},
		"brake": {func(o *verifier.Outgoing) {
			for _, id := range []string{"rv_7", "rv_8", "rv_9"} {
				o.Facts.PastReverts = append(o.Facts.PastReverts, verifier.PastRevert{RevertID: id, At: time.Now()})
			}
		}, verifier.ActionWithheld, verifier.GuardBrake},
		"after an outage": {func(*verifier.Outgoing) { time.Sleep(2 * time.Hour) }, verifier.ActionExpired, verifier.GuardExpiry},
	}, func(t *testing.T, c held) {
		out := rollback(t)
		c.spoil(&out)
		b := newBench(out, always(Result{Outcome: Delivered, Status: 200}))
		b.drive(t)
		require.Empty(t, b.receiver.sent)
		require.Empty(t, b.heard.attempts)
		require.Empty(t, b.store.out.Delivery.Attempts)
		action := b.store.out.Verification.Action
		require.Equal(t, c.action, action.State)
		require.Equal(t, c.guard, action.Guard)
		require.NotEmpty(t, action.Reason)
		require.Equal(t, verifier.DeliveryDiscarded, b.store.out.Delivery.State)
		require.Equal(t, action.Reason, b.store.out.Delivery.Reason)
		toldOf(t, b.store)
		require.Equal(t, []verifier.ActionState{c.action}, b.heard.moves)
	})
}

func TestRollbackIsTriedSixTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(rollback(t), always(busy))
		b.drive(t)
		require.Len(t, b.receiver.sent, 6)
		for i, want := range backoff {
			waited := b.receiver.at[i+1].Sub(b.receiver.at[i])
			require.InDelta(t, want.Seconds(), waited.Seconds(), 0.2*want.Seconds()+0.001)
			require.Equal(t, b.receiver.sent[0].Body, b.receiver.sent[i+1].Body)
			require.Equal(t, b.receiver.sent[0].Key, b.receiver.sent[i+1].Key)
			require.Equal(t, b.receiver.sent[0].ID, b.receiver.sent[i+1].ID)
		}
		require.Equal(t, verifier.ActionFailed, b.store.out.Verification.Action.State)
		require.Equal(t, "pipeline-rollback could not be reached in 6 attempts, the last: answered 503", b.store.out.Verification.Action.Reason)
		require.Equal(t, verifier.DeliveryDiscarded, b.store.out.Delivery.State)
		toldOf(t, b.store)
		require.Len(t, b.heard.attempts, 6)
		require.Equal(t, []verifier.ActionState{verifier.ActionFailed}, b.heard.moves)
	})
}

func TestRollbackGoesThroughLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(rollback(t), func(_ context.Context, number int) Result {
			if number < 3 {
				return busy
			}
			return Result{Outcome: Delivered, Status: 200}
		})
		b.drive(t)
		require.Equal(t, []string{"retry", "retry", "delivered"}, b.store.results())
		require.Equal(t, verifier.ActionAccepted, b.store.out.Verification.Action.State)
		toldOf(t, b.store)
	})
}

func TestRetryAfter(t *testing.T) {
	inBubble(t, map[string]struct{ asked, from, to time.Duration }{
		"shorter than ours": {time.Second, 4 * time.Second, 6 * time.Second},
		"longer than ours":  {3 * time.Minute, 3 * time.Minute, 3 * time.Minute},
	}, func(t *testing.T, c struct{ asked, from, to time.Duration }) {
		asks := busy
		asks.RetryAfter = c.asked
		for _, out := range []verifier.Outgoing{rollback(t), message()} {
			b := newBench(out, always(asks))
			again, err := b.Deliver(t.Context(), out.Delivery.ID)
			require.NoError(t, err)
			require.GreaterOrEqual(t, again, c.from)
			require.LessOrEqual(t, again, c.to)
		}
	})
}

func TestRetryAfterBeyondTheExpiryExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asks := busy
		asks.RetryAfter = 5 * time.Hour
		b := newBench(rollback(t), always(asks))
		began := time.Now()
		b.drive(t)
		require.Len(t, b.receiver.sent, 1)
		require.Equal(t, verifier.ActionExpired, b.store.out.Verification.Action.State)
		require.Equal(t, 30*time.Minute+time.Second, time.Since(began))
		toldOf(t, b.store)
	})
}

// TestWhatHappensMeanwhileWins: the action moves on while the call runs.
func TestWhatHappensMeanwhileWins(t *testing.T) {
	type meanwhile struct {
		to       verifier.ActionState
		answer   Result
		delivery verifier.DeliveryState
		reason   string
	}
	delivered := Result{Outcome: Delivered, Status: 200}
	declined := Result{Outcome: Declined, Status: 409, Err: errors.New("answered 409")}
	rejected := Result{Outcome: Rejected, Status: 400, Err: errors.New("answered 400")}
	inBubble(t, map[string]meanwhile{
		"live, delivered":  {verifier.ActionConfirmed, delivered, verifier.DeliveryDelivered, ""},
		"live, no answer":  {verifier.ActionConfirmed, busy, verifier.DeliveryDiscarded, "not needed any more: the action is confirmed (news)"},
		"live, declined":   {verifier.ActionConfirmed, declined, verifier.DeliveryDiscarded, "pipeline-rollback declined the request: answered 409"},
		"live, rejected":   {verifier.ActionConfirmed, rejected, verifier.DeliveryDiscarded, "pipeline-rollback refused the request: answered 400"},
		"begun, no answer": {verifier.ActionAccepted, busy, verifier.DeliveryDiscarded, "not needed any more: the action is accepted (news)"},
		"newer, delivered": {verifier.ActionFenced, delivered, verifier.DeliveryDelivered, ""},
		"newer, no answer": {verifier.ActionFenced, busy, verifier.DeliveryDiscarded, "not needed any more: the action is fenced (news)"},
	}, func(t *testing.T, c meanwhile) {
		var b *bench
		b = newBench(rollback(t), func(context.Context, int) Result {
			b.store.set(func(o *verifier.Outgoing) {
				moved, err := o.Verification.Action.Move(c.to, "", "news", time.Now())
				require.NoError(t, err)
				o.Verification.Action = moved
			})
			return c.answer
		})
		b.drive(t)
		require.Len(t, b.receiver.sent, 1)
		require.Equal(t, []string{string(c.answer.Outcome)}, b.store.results())
		require.Equal(t, c.to, b.store.out.Verification.Action.State)
		require.Equal(t, "news", b.store.out.Verification.Action.Reason)
		require.Equal(t, c.delivery, b.store.out.Delivery.State)
		require.Equal(t, c.reason, b.store.out.Delivery.Reason)
		require.Empty(t, b.store.messages)
		require.Empty(t, b.heard.moves)
	})
}

func TestOvertakenRollbackIsNotSent(t *testing.T) {
	type overtake struct {
		spoil  func(*verifier.Outgoing)
		reason string
	}
	inBubble(t, map[string]overtake{
		"confirmed": {func(o *verifier.Outgoing) {
			o.Verification.Action.State, o.Verification.Action.Reason = verifier.ActionConfirmed, "1.41.3 is live again"
		}, "not needed any more: the action is confirmed (1.41.3 is live again)"},
		"a later revert": {func(o *verifier.Outgoing) { o.Verification.Action.RevertID = "rv_9" }, "not needed any more: revert rv_9 came after it"},
	}, func(t *testing.T, c overtake) {
		out := rollback(t)
		c.spoil(&out)
		b := newBench(out, always(Result{Outcome: Delivered}))
		b.drive(t)
		require.Empty(t, b.receiver.sent)
		require.Equal(t, out.Verification.Action, b.store.out.Verification.Action)
		require.Equal(t, c.reason, b.store.out.Delivery.Reason)
		require.Empty(t, b.store.messages)
	})
}

// TestCrashSendsTheSameAgain: the answer came and could not be recorded.
func TestCrashSendsTheSameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(rollback(t), always(Result{Outcome: Delivered, Status: 202}))
		b.store.down = func(call int) bool { return call == 2 }
		_, err := b.Deliver(t.Context(), b.store.out.Delivery.ID)
		require.ErrorContains(t, err, "record attempt of delivery "+b.store.out.Delivery.ID+": disk full")
		require.Equal(t, []string{"started"}, b.store.results())
		require.Equal(t, verifier.ActionRequested, b.store.out.Verification.Action.State)

		b.drive(t)
		require.Equal(t, []string{"started", "delivered"}, b.store.results())
		require.Len(t, b.receiver.sent, 2)
		require.Equal(t, b.receiver.sent[0].Body, b.receiver.sent[1].Body)
		require.Equal(t, b.receiver.sent[0].Key, b.receiver.sent[1].Key)
		require.Equal(t, verifier.ActionAccepted, b.store.out.Verification.Action.State)
		toldOf(t, b.store)
	})
}

func TestCrashingForeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(rollback(t), always(Result{Outcome: Delivered, Status: 202}))
		b.store.down = func(call int) bool { return call%2 == 0 && call <= 12 }
		for range 6 {
			_, err := b.Deliver(t.Context(), b.store.out.Delivery.ID)
			require.Error(t, err)
		}
		b.drive(t)
		require.Len(t, b.receiver.sent, 6)
		require.Equal(t, verifier.ActionFailed, b.store.out.Verification.Action.State)
		require.Equal(t, "pipeline-rollback gave no usable answer in 6 attempts; how the last one ended isn't known", b.store.out.Verification.Action.Reason)
		toldOf(t, b.store)
	})
}

func TestUnreadableRequestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := rollback(t)
		out.Delivery.Body = []byte(`{"type":`)
		b := newBench(out, always(Result{Outcome: Delivered}))
		b.drive(t)
		require.Empty(t, b.receiver.sent)
		require.Equal(t, verifier.ActionFailed, b.store.out.Verification.Action.State)
		require.Contains(t, b.store.out.Verification.Action.Reason, "the stored request can't be read")
		toldOf(t, b.store)
	})
}

// TestAKeepAfterACallIsNotWithheld: the hook was called once, and whoever
// reads that the rollback was withheld would think that it was not.
func TestAKeepAfterACallIsNotWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(rollback(t), always(busy))
		again, err := b.Deliver(t.Context(), b.store.out.Delivery.ID)
		require.NoError(t, err)
		b.store.set(func(o *verifier.Outgoing) { o.Facts.Override = &verifier.Override{Decision: verifier.Keep, By: "dana"} })
		time.Sleep(again)
		b.drive(t)
		require.Len(t, b.receiver.sent, 1)
		require.Equal(t, verifier.ActionFailed, b.store.out.Verification.Action.State)
		require.Equal(t, verifier.GuardPerson, b.store.out.Verification.Action.Guard)
		toldOf(t, b.store)
	})
}

// TestNoAttemptAfterItWasStopped stops a rollback at random moments, in each
// way that somebody can stop it: no attempt starts later.
func TestNoAttemptAfterItWasStopped(t *testing.T) {
	stops := []func(*verifier.Outgoing){
		func(o *verifier.Outgoing) { o.Facts.Override = &verifier.Override{Decision: verifier.Keep} },
		func(o *verifier.Outgoing) { o.Facts.Current.ID = "dp_3" },
		func(o *verifier.Outgoing) { o.Facts.Running = &verifier.Deployment{ID: "dp_3"} },
		func(o *verifier.Outgoing) { o.Verification.Action.State = verifier.ActionConfirmed },
	}
	before := 0
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			b := newBench(rollback(t), func(context.Context, int) Result {
				time.Sleep(time.Duration(random.Int64N(int64(SendTimeout))))
				return busy
			})
			wait := time.Duration(random.Int64N(int64(20 * time.Minute)))
			stopped := time.Now().Add(wait)
			go func() {
				time.Sleep(wait)
				b.store.set(stops[seed%uint64(len(stops))])
			}()
			b.drive(t)
			synctest.Wait()
			for _, at := range b.receiver.at {
				require.False(t, at.After(stopped), "seed %d: attempt %s after it was stopped", seed, at.Sub(stopped))
			}
			before += len(b.receiver.at)
			time.Sleep(wait) // lets the stopper end where the delivery ended first
		})
	}
	require.Greater(t, before, 300)
}
