package alerting

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func TestMessageEndsByItsAnswer(t *testing.T) {
	type ends struct {
		answer Result
		state  verifier.DeliveryState
		reason string
	}
	inBubble(t, map[string]ends{
		"delivered": {Result{Outcome: Delivered, Status: 204}, verifier.DeliveryDelivered, ""},
		"gone":      {Result{Outcome: Rejected, Status: 410, Err: errors.New("answered 410 Gone")}, verifier.DeliveryDiscarded, "refused by oncall: answered 410 Gone"},
		"declined":  {Result{Outcome: Declined, Status: 409, Err: errors.New("answered 409")}, verifier.DeliveryDiscarded, "refused by oncall: answered 409"},
	}, func(t *testing.T, c ends) {
		b := newBench(message(), always(c.answer))
		b.drive(t)
		require.Len(t, b.receiver.sent, 1)
		require.Equal(t, c.state, b.store.out.Delivery.State)
		require.Equal(t, c.reason, b.store.out.Delivery.Reason)
		require.Equal(t, []string{string(c.answer.Outcome)}, b.store.results())
		require.Equal(t, []Outcome{c.answer.Outcome}, b.heard.attempts)
		require.Empty(t, b.heard.moves)
		require.Empty(t, b.store.messages)
	})
}

func TestMessageIsTriedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(message(), always(busy))
		began := time.Now()
		b.drive(t)
		require.Equal(t, messageFor, time.Since(began))
		for i := 1; i < len(b.receiver.at)-1; i++ { // the last wait ends with the day
			want := messageEvery
			if i <= len(backoff) {
				want = backoff[i-1]
			}
			require.InDelta(t, want.Seconds(), b.receiver.at[i].Sub(b.receiver.at[i-1]).Seconds(), 0.2*want.Seconds()+0.001)
		}
		require.Greater(t, len(b.receiver.at), 40)
		require.Equal(t, verifier.DeliveryDiscarded, b.store.out.Delivery.State)
		require.Regexp(t, `^given up after \d+ attempts in 24h0m0s: answered 503$`, b.store.out.Delivery.Reason)
	})
}

func TestMessageRetryAfterEndsWithTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asks := busy
		asks.RetryAfter = 100 * time.Hour
		b := newBench(message(), always(asks))
		began := time.Now()
		b.drive(t)
		require.Len(t, b.receiver.sent, 2)
		require.Equal(t, messageFor, time.Since(began))
	})
}

func TestMessageOfAnOutageIsStillSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(message(), always(Result{Outcome: Delivered, Status: 200}))
		time.Sleep(48 * time.Hour)
		b.drive(t)
		require.Equal(t, verifier.DeliveryDelivered, b.store.out.Delivery.State)
	})
}

// TestRemovedReceiver: a reload may have removed a receiver, and the next may
// bring it back.
func TestRemovedReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(message(), always(Result{Outcome: Delivered, Status: 200}))
		delete(b.receivers, "oncall")
		again, err := b.Deliver(t.Context(), "dl_1")
		require.NoError(t, err)
		require.Positive(t, again)
		require.Equal(t, `receiver "oncall" is not in the configuration (any more)`, b.store.out.Delivery.Attempts[0].Error)

		b.receivers["oncall"] = b.receiver
		b.drive(t)
		require.Equal(t, verifier.DeliveryDelivered, b.store.out.Delivery.State)
	})
}

func TestRemovedForGood(t *testing.T) {
	inBubble(t, map[string]verifier.DeliveryKind{"message": verifier.MessageDelivery, "rollback": verifier.RollbackDelivery}, func(t *testing.T, kind verifier.DeliveryKind) {
		out := message()
		want := `receiver "oncall" is not in the configuration (any more)`
		if kind == verifier.RollbackDelivery {
			out, want = rollback(t), `rollback "pipeline-rollback" is not in the configuration (any more)`
		}
		b := newBench(out, always(Result{Outcome: Delivered}))
		clear(b.receivers)
		b.drive(t)
		require.Empty(t, b.receiver.sent)
		require.Equal(t, verifier.DeliveryDiscarded, b.store.out.Delivery.State)
		require.Contains(t, b.store.out.Delivery.Reason, want)
		if kind == verifier.RollbackDelivery {
			require.Equal(t, verifier.ActionFailed, b.store.out.Verification.Action.State)
			toldOf(t, b.store)
		}
	})
}

func TestMessageAttemptsDifferInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(message(), always(busy))
		for range 3 { // without waiting, as after a crash
			_, err := b.Deliver(t.Context(), "dl_1")
			require.NoError(t, err)
		}
		require.Equal(t, []string{"retry", "retry", "retry"}, b.store.results())
	})
}

func TestAttemptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(message(), func(ctx context.Context, _ int) Result {
			<-ctx.Done()
			return Result{Outcome: Retry, Err: ctx.Err()}
		})
		began := time.Now()
		_, err := b.Deliver(t.Context(), "dl_1")
		require.NoError(t, err)
		require.Equal(t, SendTimeout, time.Since(began))
		require.Equal(t, verifier.Duration(SendTimeout), b.store.out.Delivery.Attempts[0].Duration)
	})
}

// skipper needs to know something that deploys don't tell.
type skipper struct {
	script
	why string
}

func (s *skipper) Skips(verifier.Delivery) string { return s.why }

// TestWhatCantBeSentIsSkippedOnce: it counts with the first change alone, and
// as no refusal; what is told later on, or a mended receiver, ends that.
func TestWhatCantBeSentIsSkippedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		skips := func(thread ...verifier.Delivery) (*bench, *skipper) {
			out := message()
			out.Thread = thread
			r := &skipper{script{answer: always(Result{Outcome: Skipped, Err: errors.New("no commit: tell it")})}, "no commit: tell it"}
			b := newBench(out, nil)
			b.receivers["oncall"] = r
			return b, r
		}
		first, r := skips()
		first.drive(t)
		require.Equal(t, verifier.DeliveryDiscarded, first.store.out.Delivery.State)
		require.Equal(t, "skipped: no commit: tell it", first.store.out.Delivery.Reason)
		require.True(t, first.store.out.Delivery.Skipped())
		require.Equal(t, []Outcome{Skipped}, first.heard.attempts)
		require.Len(t, r.sent, 1)

		second, r := skips(first.store.out.Delivery)
		second.drive(t)
		require.Equal(t, "skipped: as before, no commit: tell it", second.store.out.Delivery.Reason)
		require.Empty(t, second.store.out.Delivery.Attempts)
		require.Empty(t, second.heard.attempts)
		require.Empty(t, r.sent)

		mended, r := skips(first.store.out.Delivery)
		r.why, r.answer = "", always(Result{Outcome: Delivered})
		mended.drive(t)
		require.Equal(t, verifier.DeliveryDelivered, mended.store.out.Delivery.State)
	})
}
