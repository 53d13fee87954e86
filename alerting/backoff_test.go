package alerting

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// next makes the bench deliver another message, as another job would.
func (b *bench) next(t *testing.T, id string, change func(*verifier.Outgoing)) time.Duration {
	t.Helper()
	b.store.set(func(o *verifier.Outgoing) {
		*o = message()
		o.Delivery.ID, o.Delivery.VerificationID = id, "vf_"+id
		if change != nil {
			change(o)
		}
	})
	again, err := b.Deliver(t.Context(), id)
	require.NoError(t, err)
	return again
}

// TestAReceiverIsLeftAloneByAll of its messages, as long as it asked one to.
func TestAReceiverIsLeftAloneByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const asked = 10 * time.Minute
		r := &reader{script: script{answer: always(Result{Outcome: Retry, Status: 429, RetryAfter: asked, Err: errors.New("busy")})}}
		b := newReader(r, message())
		b.store.inbox.Waiting = others(20, calm)
		begun := time.Now()
		calls := func() int { return len(r.sent) + len(r.digests) }
		require.Equal(t, asked, b.next(t, "dl_1", nil))
		require.Equal(t, 1, calls())
		rows := len(b.store.folded)
		for range 20 {
			time.Sleep(time.Second)
			require.Equal(t, asked-time.Since(begun), b.next(t, "dl_2", nil))
			require.Empty(t, b.store.out.Delivery.Attempts)
		}
		require.Equal(t, 1, calls(), "one call in all that time")
		require.Len(t, b.store.folded, rows, "and no more attempts")

		urgent := func(o *verifier.Outgoing) { o.Delivery.Body = []byte(urgentBody) }
		b.next(t, "dl_3", urgent)
		require.Equal(t, 2, calls(), "what is urgent goes")

		time.Sleep(asked)
		require.GreaterOrEqual(t, b.next(t, "dl_4", nil), asked)
		require.Equal(t, 3, calls(), "one finds out for all")

		r.answer = always(Result{Outcome: Delivered})
		b.next(t, "dl_5", urgent)
		require.Zero(t, b.next(t, "dl_6", nil), "it takes messages again")
		require.Equal(t, verifier.DeliveryDelivered, b.store.out.Delivery.State)
	})
}

// TestRoundsThatFail come ever less often, though each has a message of its own
// that was never tried; a reload begins anew.
func TestRoundsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := always(Result{Outcome: Retry, Err: errors.New("down")})
		b := newReader(&reader{script: script{answer: answer}}, message())
		for _, wait := range append(backoff, messageEvery, messageEvery) {
			again := b.next(t, "dl_1", nil)
			require.InDelta(t, wait, again, jitter*float64(wait)+1)
			time.Sleep(again)
		}
		b.next(t, "dl_1", nil)
		mended := &reader{}
		mended.answer = always(Result{Outcome: Delivered})
		b.receivers["oncall"] = mended
		require.Zero(t, b.next(t, "dl_2", nil))
		require.Len(t, mended.sent, 1)
	})
}

// TestStandingBackEnds after a day, as trying does.
func TestStandingBackEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{script: script{answer: always(Result{Outcome: Retry, RetryAfter: time.Hour, Err: errors.New("down")})}}
		b := newReader(r, message())
		old := func(age time.Duration, tried bool) func(*verifier.Outgoing) {
			return func(o *verifier.Outgoing) {
				o.Delivery.CreatedAt = time.Now().Add(-age)
				if tried {
					o.Delivery.Attempts = []verifier.Attempt{{At: time.Now().Add(-time.Hour), Result: string(Retry), Error: "down"}}
				}
			}
		}
		b.store.inbox.Waiting = others(20, calm)
		b.store.inbox.Waiting[0].CreatedAt = time.Now().Add(-messageFor)
		b.next(t, "dl_1", nil)
		last := b.store.folded[20]
		require.Equal(t, verifier.DeliveryDiscarded, last.State)
		require.Equal(t, "given up after 24h0m0s: down", last.Reason)
		require.Equal(t, verifier.DeliveryRetryable, b.store.folded[21].State)

		require.Equal(t, time.Minute, b.next(t, "dl_2", old(messageFor-time.Minute, true)))
		require.Zero(t, b.next(t, "dl_3", old(messageFor, true)))
		require.Equal(t, verifier.DeliveryDiscarded, b.store.out.Delivery.State)
		require.Equal(t, "given up after 1 attempts in 24h0m0s: down", b.store.out.Delivery.Reason)
		calls := len(r.sent) + len(r.digests)
		b.next(t, "dl_4", old(messageFor, false))
		require.Equal(t, calls+1, len(r.sent)+len(r.digests), "what was never tried is tried once")
	})
}
