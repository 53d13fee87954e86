package alerting

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// reader is a receiver for people.
type reader struct {
	script
	edits   bool
	digests [][]verifier.Delivery
}

func (r *reader) Edits() bool { return r.edits }

func (r *reader) SendDigest(ctx context.Context, d []verifier.Delivery) Result {
	r.digests = append(r.digests, d)
	return r.answer(ctx, len(r.digests))
}

// others are messages that wait for the same receiver.
func others(n int, body string) (out []verifier.Delivery) {
	for i := range n {
		d := message().Delivery
		d.ID, d.VerificationID = fmt.Sprintf("dl_other%d", i), fmt.Sprintf("vf_other%d", i)
		d.Body, d.CreatedAt = []byte(body), time.Now().Add(-time.Second)
		out = append(out, d)
	}
	return out
}

const calm, urgentBody = `{"type":"verification.decided"}`, `{"type":"verification.decided","urgent":true}`

func newReader(r *reader, out verifier.Outgoing) *bench {
	b := newBench(out, always(Result{Outcome: Delivered}))
	if r.answer == nil {
		r.answer = always(Result{Outcome: Delivered, Reference: "C1/1.2"})
	}
	b.receivers["oncall"] = r
	return b
}

func TestDigestAboveTenAMinute(t *testing.T) {
	inBubble(t, map[string]struct {
		taken, waiting int
		urgent         bool // the message itself
		folded         int
		waits          bool
	}{
		"alone":                       {},
		"ten in all":                  {taken: 4, waiting: 5},
		"eleven in all":               {taken: 4, waiting: 6, folded: 6},
		"a flood":                     {waiting: 200, folded: 200},
		"ten were told already":       {taken: 10, waits: true},
		"ten were told, others wait":  {taken: 10, waiting: 30, waits: true},
		"an urgent one after ten":     {taken: 10, waiting: 30, urgent: true},
		"an urgent one amid a flood":  {waiting: 200, urgent: true},
		"nine were told and one more": {taken: 9},
	}, func(t *testing.T, c struct {
		taken, waiting int
		urgent         bool
		folded         int
		waits          bool
	}) {
		out := message()
		if c.urgent {
			out.Delivery.Body = []byte(urgentBody)
		}
		r := &reader{}
		b := newReader(r, out)
		b.store.inbox = verifier.Inbox{Taken: c.taken, Waiting: append(others(c.waiting, calm), out.Delivery)}
		again, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		if c.waits {
			require.Equal(t, standBack, again)
			require.Empty(t, b.store.out.Delivery.Attempts)
			require.Empty(t, b.store.folded)
			b.store.set(func(*verifier.Outgoing) { b.store.inbox.Taken = 0 })
			_, err = b.Deliver(t.Context(), out.Delivery.ID)
			require.NoError(t, err)
			require.Equal(t, verifier.DeliveryDelivered, b.store.out.Delivery.State, "nothing is lost")
			return
		}
		require.Zero(t, again)
		require.Equal(t, verifier.DeliveryDelivered, b.store.out.Delivery.State)
		if c.folded == 0 {
			require.Len(t, r.sent, 1)
			require.Empty(t, r.digests)
			require.Empty(t, b.store.folded)
			return
		}
		require.Empty(t, r.sent)
		require.Len(t, r.digests, 1)
		require.Len(t, r.digests[0], c.folded+1)
		require.True(t, slices.IsSortedFunc(r.digests[0], func(a, b verifier.Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) }))
		require.Len(t, b.store.folded, 2*c.folded, "each begins and ends")
		for i, f := range b.store.folded {
			want := verifier.Folded{ID: f.ID, Attempt: verifier.Attempt{At: f.Attempt.At, Result: verifier.AttemptStarted}}
			if i >= c.folded {
				want.State, want.Attempt.Result = verifier.DeliveryDelivered, "delivered"
			}
			require.Equal(t, want, f)
		}
	})
}

// TestWhatIsUrgentStaysOutOfDigests, and what is on its way or can't be read.
func TestWhatIsUrgentStaysOutOfDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := message()
		r := &reader{}
		b := newReader(r, out)
		waiting := others(13, calm)
		waiting[0].Body = []byte(urgentBody)
		waiting[1].Attempts = []verifier.Attempt{{At: time.Now().Add(-time.Second), Result: verifier.AttemptStarted}}
		waiting[2].Body = []byte("no JSON")
		waiting[3].Attempts = []verifier.Attempt{{At: time.Now().Add(-time.Minute), Result: verifier.AttemptStarted}} // its process died
		b.store.inbox.Waiting = waiting
		_, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Len(t, r.digests, 1)
		var ids []string
		for _, d := range r.digests[0] {
			ids = append(ids, d.ID)
		}
		require.Len(t, ids, 11)
		for _, never := range []string{"dl_other0", "dl_other1", "dl_other2"} {
			require.NotContains(t, ids, never)
		}
		require.Contains(t, ids, "dl_other3")
	})
}

// TestADigestThatFails is told again, all of it.
func TestADigestThatFails(t *testing.T) {
	inBubble(t, map[string]struct {
		answer Result
		state  verifier.DeliveryState
		reason string
	}{
		"for now":  {Result{Outcome: Retry, Err: errors.New("busy")}, verifier.DeliveryRetryable, ""},
		"for good": {Result{Outcome: Rejected, Err: errors.New("no such channel")}, verifier.DeliveryDiscarded, "refused by oncall: no such channel"},
	}, func(t *testing.T, c struct {
		answer Result
		state  verifier.DeliveryState
		reason string
	}) {
		out := message()
		b := newReader(&reader{script: script{answer: always(c.answer)}}, out)
		b.store.inbox.Waiting = others(10, calm)
		_, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Equal(t, c.state, b.store.out.Delivery.State)
		require.Len(t, b.store.folded, 20)
		for _, f := range b.store.folded[10:] {
			require.Equal(t, c.state, f.State)
			require.Equal(t, c.reason, f.Reason)
		}
	})
}

// TestMachinesGetNoDigest: a webhook is told each change.
func TestMachinesGetNoDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(message(), always(Result{Outcome: Delivered}))
		b.store.inbox = verifier.Inbox{Taken: 100, Waiting: others(100, calm)}
		b.drive(t)
		require.Len(t, b.receiver.sent, 1)
	})
}

// TestEditsGoInOrder: what changes a message waits until that is there, and
// what is overtaken doesn't undo what came after it.
func TestEditsGoInOrder(t *testing.T) {
	earlier := func(state verifier.DeliveryState, attempts ...verifier.Attempt) verifier.Delivery {
		d := message().Delivery
		d.ID, d.CreatedAt, d.State, d.Attempts = "dl_0", time.Now().Add(-time.Second), state, attempts
		return d
	}
	inBubble(t, map[string]struct {
		thread func() []verifier.Delivery
		again  time.Duration
		state  verifier.DeliveryState
	}{
		"the first":               {state: verifier.DeliveryDelivered},
		"an earlier one is to go": {thread: func() []verifier.Delivery { return []verifier.Delivery{earlier(verifier.DeliveryPending)} }, again: afterEarlier, state: verifier.DeliveryPending},
		"an earlier one is going": {thread: func() []verifier.Delivery {
			return []verifier.Delivery{earlier(verifier.DeliveryRetryable, verifier.Attempt{At: time.Now().Add(-time.Second), Result: verifier.AttemptStarted})}
		}, again: afterEarlier, state: verifier.DeliveryPending},
		"an earlier one failed": {thread: func() []verifier.Delivery {
			return []verifier.Delivery{earlier(verifier.DeliveryRetryable, verifier.Attempt{At: time.Now().Add(-time.Second), Result: "retry"})}
		}, state: verifier.DeliveryDelivered},
		"a later one went already": {thread: func() []verifier.Delivery {
			d := earlier(verifier.DeliveryDelivered)
			d.CreatedAt = time.Now().Add(time.Second)
			return []verifier.Delivery{d}
		}, state: verifier.DeliveryDiscarded},
	}, func(t *testing.T, c struct {
		thread func() []verifier.Delivery
		again  time.Duration
		state  verifier.DeliveryState
	}) {
		out := message()
		if c.thread != nil {
			out.Thread = c.thread()
		}
		b := newReader(&reader{edits: true}, out)
		again, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Equal(t, c.again, again)
		require.Equal(t, c.state, b.store.out.Delivery.State)
		if c.state == verifier.DeliveryDelivered {
			require.Equal(t, "C1/1.2", b.store.out.Delivery.Attempts[0].Reference, "a restart knows it")
		}
	})
}
