package alerting

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// display shows a state, but for change events.
type display struct{ script }

func (d *display) ShowsState(delivery verifier.Delivery) bool {
	return delivery.Event != verifier.EventOpened
}

// other is another message about the same verification, made that much later.
func other(after time.Duration, state verifier.DeliveryState, attempts ...verifier.Attempt) verifier.Delivery {
	d := message().Delivery
	d.ID, d.State, d.Attempts, d.CreatedAt = "dl_0", state, attempts, time.Now().Add(after)
	return d
}

// TestAStateDoesNotGoBackwards where a receiver shows one: what a later message
// has overtaken is not told any more.
func TestAStateDoesNotGoBackwards(t *testing.T) {
	type ends struct {
		thread func() verifier.Delivery
		event  verifier.EventType
		again  time.Duration
		state  verifier.DeliveryState
	}
	started := func() verifier.Attempt {
		return verifier.Attempt{At: time.Now().Add(-time.Second), Result: verifier.AttemptStarted}
	}
	change := func(d verifier.Delivery) verifier.Delivery {
		d.Event = verifier.EventOpened
		return d
	}
	inBubble(t, map[string]ends{
		"a later one was taken":      {func() verifier.Delivery { return other(1, verifier.DeliveryDelivered) }, "", 0, verifier.DeliveryDiscarded},
		"an earlier one was taken":   {func() verifier.Delivery { return other(-1, verifier.DeliveryDelivered) }, "", 0, verifier.DeliveryDelivered},
		"a later one was refused":    {func() verifier.Delivery { return other(1, verifier.DeliveryDiscarded) }, "", 0, verifier.DeliveryDelivered},
		"a later one is going":       {func() verifier.Delivery { return other(1, verifier.DeliveryPending, started()) }, "", afterEarlier, verifier.DeliveryPending},
		"an earlier one is going":    {func() verifier.Delivery { return other(-1, verifier.DeliveryRetryable, started()) }, "", afterEarlier, verifier.DeliveryPending},
		"a later one is to go":       {func() verifier.Delivery { return other(1, verifier.DeliveryPending) }, "", 0, verifier.DeliveryDelivered},
		"an earlier one is to go":    {func() verifier.Delivery { return other(-1, verifier.DeliveryPending) }, "", afterEarlier, verifier.DeliveryPending},
		"a later change was taken":   {func() verifier.Delivery { return change(other(1, verifier.DeliveryDelivered)) }, "", 0, verifier.DeliveryDelivered},
		"a later change is going":    {func() verifier.Delivery { return change(other(1, verifier.DeliveryPending, started())) }, "", 0, verifier.DeliveryDelivered},
		"a change and a later state": {func() verifier.Delivery { return other(1, verifier.DeliveryDelivered) }, verifier.EventOpened, 0, verifier.DeliveryDelivered},
	}, func(t *testing.T, c ends) {
		out := message()
		out.Thread = []verifier.Delivery{c.thread()}
		if c.event != "" {
			out.Delivery.Event = c.event
		}
		b := newBench(out, nil)
		d := &display{script{answer: always(Result{Outcome: Delivered})}}
		b.receivers["oncall"] = d
		again, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Equal(t, c.again, again)
		require.Equal(t, c.state, b.store.out.Delivery.State)
		require.Equal(t, c.state == verifier.DeliveryDelivered, len(d.sent) == 1)
		require.Equal(t, c.state == verifier.DeliveryDiscarded, b.store.out.Delivery.Reason != "")
	})
}

// TestNewsAfterTheOutcome are not told: that a deploy is watched is no news
// after its revert.
func TestNewsAfterTheOutcome(t *testing.T) {
	inBubble(t, map[string]struct {
		event verifier.EventType
		body  string
		after time.Duration
		state verifier.DeliveryState
	}{
		"a deploy seen":                {verifier.EventOpened, calm, 1, verifier.DeliveryDiscarded},
		"cleared":                      {verifier.EventCleared, calm, 1, verifier.DeliveryDiscarded},
		"a deploy seen, told in order": {verifier.EventOpened, calm, -1, verifier.DeliveryDelivered},
		"a verdict":                    {verifier.EventDecided, calm, 1, verifier.DeliveryDelivered},
		"something urgent":             {verifier.EventCleared, urgentBody, 1, verifier.DeliveryDelivered},
	}, func(t *testing.T, c struct {
		event verifier.EventType
		body  string
		after time.Duration
		state verifier.DeliveryState
	}) {
		out := message()
		out.Delivery.Event, out.Delivery.Body = c.event, []byte(c.body)
		out.Thread = []verifier.Delivery{other(c.after, verifier.DeliveryDelivered)}
		r := &reader{}
		b := newReader(r, out)
		_, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Equal(t, c.state, b.store.out.Delivery.State)
		require.Equal(t, c.state == verifier.DeliveryDelivered, len(r.sent) == 1)
	})
}

// TestNewsAfterTheOutcomeStayOutOfDigests, and those who are machines get them.
func TestNewsAfterTheOutcomeStayOutOfDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := message()
		r := &reader{}
		b := newReader(r, out)
		b.store.inbox.Waiting = others(14, calm)
		b.store.inbox.Waiting[0].Event = verifier.EventOpened
		b.store.inbox.Overtaken = []string{"dl_other0", "dl_other1"}
		_, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Len(t, r.digests, 1)
		require.Len(t, r.digests[0], 14, "a verdict is told, and what was watched is not")

		machine := message()
		machine.Delivery.Event = verifier.EventOpened
		machine.Thread = []verifier.Delivery{other(1, verifier.DeliveryDelivered)}
		b = newBench(machine, always(Result{Outcome: Delivered}))
		_, err = b.Deliver(t.Context(), machine.Delivery.ID)
		require.NoError(t, err)
		require.Len(t, b.receiver.sent, 1, "a webhook is told each change")
	})
}

// TestWhatIsUrgentWaitsForNothingCalm that has not begun: what is calm waits for
// the limit.
func TestWhatIsUrgentWaitsForNothingCalm(t *testing.T) {
	inBubble(t, map[string]struct {
		body     string
		attempts func() []verifier.Attempt
		again    time.Duration
	}{
		"a calm one is to go": {calm, nil, 0},
		"a calm one is going": {calm, func() []verifier.Attempt {
			return []verifier.Attempt{{At: time.Now().Add(-time.Second), Result: verifier.AttemptStarted}}
		}, afterEarlier},
		"an urgent one is to go": {urgentBody, nil, afterEarlier},
	}, func(t *testing.T, c struct {
		body     string
		attempts func() []verifier.Attempt
		again    time.Duration
	}) {
		out := message()
		out.Delivery.Body = []byte(urgentBody)
		earlier := other(-1, verifier.DeliveryPending)
		earlier.Body = []byte(c.body)
		if c.attempts != nil {
			earlier.Attempts = c.attempts()
		}
		out.Thread = []verifier.Delivery{earlier}
		r := &reader{edits: true}
		b := newReader(r, out)
		b.store.inbox.Taken = 12
		again, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Equal(t, c.again, again)
		require.Equal(t, c.again == 0, len(r.sent) == 1)
	})
}

// TestWhatIsUrgentIsOvertakenByItsLike, or by what settles it and stands by
// itself, and not by a line in a digest.
func TestWhatIsUrgentIsOvertakenByItsLike(t *testing.T) {
	const accepted = `{"type":"action.changed","data":{"effective":"revert","action":{"state":"accepted"}}}`
	const confirmed = `{"type":"action.changed","data":{"effective":"revert","action":{"state":"confirmed"}}}`
	const kept = `{"type":"action.changed","data":{"effective":"keep","action":{"state":"withheld"}}}`
	inBubble(t, map[string]struct {
		body, reference string
		state           verifier.DeliveryState
	}{
		"an urgent one":             {urgentBody, "C1/1.2", verifier.DeliveryDiscarded},
		"settled, by itself":        {confirmed, "C1/1.2", verifier.DeliveryDiscarded},
		"kept, by itself":           {kept, "C1/1.2", verifier.DeliveryDiscarded},
		"settled, in a digest":      {confirmed, "", verifier.DeliveryDelivered},
		"not settled, by itself":    {accepted, "C1/1.2", verifier.DeliveryDelivered},
		"not settled, in a digest":  {accepted, "", verifier.DeliveryDelivered},
		"not to be read, by itself": {`{"urgent":false,"data":7}`, "C1/1.2", verifier.DeliveryDelivered},
	}, func(t *testing.T, c struct {
		body, reference string
		state           verifier.DeliveryState
	}) {
		out := message()
		out.Delivery.Body = []byte(urgentBody)
		later := other(1, verifier.DeliveryDelivered, verifier.Attempt{At: time.Now(), Result: "delivered", Reference: c.reference})
		later.Body = []byte(c.body)
		out.Thread = []verifier.Delivery{later}
		b := newReader(&reader{edits: true}, out)
		_, err := b.Deliver(t.Context(), out.Delivery.ID)
		require.NoError(t, err)
		require.Equal(t, c.state, b.store.out.Delivery.State)
	})
}
