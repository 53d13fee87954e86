package alerting

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// hanging is a receiver that never answers.
type hanging struct{}

func (hanging) Send(ctx context.Context, _ verifier.Delivery) Result {
	<-ctx.Done()
	return Result{Outcome: Retry, Err: ctx.Err()}
}

// TestAReceiverThatHangsHoldsFewWorkers begins more messages to a receiver that
// hangs than may be on their way to one.
func TestAReceiverThatHangsHoldsFewWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &crowd{}
		bench := func() *bench {
			b := newBench(message(), always(Result{Outcome: Delivered, Status: 204}))
			b.crowd = shared
			return b
		}
		for range messagesAtOnce {
			b := bench()
			b.receivers["oncall"] = hanging{}
			go func() {
				_, _ = b.Deliver(t.Context(), b.store.out.Delivery.ID) // ends with the attempt
			}()
		}
		synctest.Wait()
		b := bench()
		again, err := b.Deliver(t.Context(), b.store.out.Delivery.ID)
		require.NoError(t, err)
		require.Equal(t, whileCrowded, again, "it stands back at once")
		require.Empty(t, b.store.out.Delivery.Attempts, "which is no attempt")
		require.Equal(t, verifier.DeliveryPending, b.store.out.Delivery.State)

		time.Sleep(SendTimeout)
		synctest.Wait()
		b.drive(t)
		require.Len(t, b.receiver.sent, 1, "there is room again")
		require.Empty(t, shared.under)
	})
}

func TestRollbacksWaitForNoMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(rollback(t), always(Result{Outcome: Delivered, Status: 202}))
		for range messagesAtOnce {
			require.True(t, b.crowd.enter("pipeline-rollback"))
		}
		require.False(t, b.crowd.enter("pipeline-rollback"))
		b.drive(t)
		require.Len(t, b.receiver.sent, 1)
	})
}

// TestThousandsForAReceiverThatHangsComeBackFewAtATime: however many wait for
// it, the workers that others need are asked a bounded number of times.
func TestThousandsForAReceiverThatHangsComeBackFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(message(), always(Result{Outcome: Delivered, Status: 204}))
		for range messagesAtOnce {
			require.True(t, b.crowd.enter("hangs"))
		}
		const waiting, minute = 10_000, 60
		began := time.Now()
		asks := map[int]int{} // by second
		due := make([]time.Duration, waiting)
		for at := time.Duration(0); at < 20*minute*time.Second; at += time.Second {
			if since := time.Since(began); since < at {
				time.Sleep(at - since)
			}
			for i := range due {
				if due[i] <= at {
					due[i] = at + b.StandBack("hangs", false)
					require.GreaterOrEqual(t, due[i], at+whileCrowded)
					asks[int(at/time.Second)]++
				}
			}
			if at == 5*minute*time.Second { // it is left alone for a moment, and hangs again
				for range messagesAtOnce {
					b.crowd.leave("hangs")
				}
				require.Zero(t, b.StandBack("hangs", false))
				for range messagesAtOnce {
					require.True(t, b.crowd.enter("hangs"))
				}
			}
		}
		require.Equal(t, waiting, asks[0])
		delete(asks, 0)
		for second, n := range asks {
			require.LessOrEqual(t, n, int(time.Second/apart)+1, second)
		}
		require.Zero(t, b.StandBack("good", false), "others have room")
		require.Equal(t, whileCrowded, b.StandBack("hangs", true), "who has to act is asked for soon")
	})
}
