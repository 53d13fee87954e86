package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

func testUpdateDelivery(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	id := stored.Deliveries[0].ID
	at := later(6).UTC().Truncate(time.Microsecond)
	update := func(c verifier.DeliveryChange, failure error) error {
		return s.UpdateDelivery(t.Context(), id, later(6), func(o verifier.Outgoing) (verifier.DeliveryChange, error) {
			require.Equal(t, v.ID, o.Verification.ID)
			require.Equal(t, "argo", o.Policy.Rollback)
			require.Equal(t, "1", o.Facts.Current.Version)
			return c, failure
		})
	}
	require.NoError(t, update(verifier.DeliveryChange{Attempt: &verifier.Attempt{At: at, Result: "started"}}, nil))
	attempt := verifier.Attempt{At: at, Duration: verifier.Duration(70 * time.Millisecond), Status: 503, Result: "retry", Error: "busy"}
	require.NoError(t, update(verifier.DeliveryChange{State: verifier.DeliveryRetryable, Attempt: &attempt}, nil))
	second := verifier.Attempt{At: at.Add(time.Second), Status: 202, Result: "delivered"}
	action, err := v.Action.Move(verifier.ActionAccepted, "", "", later(6))
	require.NoError(t, err)
	messages, err := verifier.Messages(verifier.EventActionChanged, v, policy(), later(6))
	require.NoError(t, err)
	begun := second
	begun.Status, begun.Result = 0, verifier.AttemptStarted
	requireKind(t, verifier.Conflict, update(verifier.DeliveryChange{Attempt: &second}, nil))
	require.NoError(t, update(verifier.DeliveryChange{Attempt: &begun}, nil))
	late := attempt
	late.Result = "delivered"
	requireKind(t, verifier.Conflict, update(verifier.DeliveryChange{State: verifier.DeliveryDelivered, Attempt: &late}, nil))
	whole := verifier.DeliveryChange{State: verifier.DeliveryDelivered, Attempt: &second, Action: &action, Messages: messages}
	refusal := errors.New("no")
	require.ErrorIs(t, update(whole, refusal), refusal)
	twice := whole
	twice.Messages = append(messages, messages...)
	requireKind(t, verifier.Internal, update(twice, nil))

	stored, err = s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Len(t, stored.Deliveries, 1, "a failed change changes nothing")
	require.Equal(t, verifier.ActionRequested, stored.Action.State)
	require.Equal(t, verifier.DeliveryRetryable, stored.Deliveries[0].State)
	require.Equal(t, []verifier.Attempt{attempt, begun}, stored.Deliveries[0].Attempts)

	require.NoError(t, update(whole, nil))
	stored, err = s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, verifier.ActionAccepted, stored.Action.State)
	require.Len(t, stored.Deliveries, 2)
	require.Equal(t, verifier.DeliveryDelivered, stored.Deliveries[0].State)
	require.Equal(t, []verifier.Attempt{attempt, second}, stored.Deliveries[0].Attempts)

	require.NoError(t, s.UpdateDelivery(t.Context(), messages[0].ID, later(7), func(o verifier.Outgoing) (verifier.DeliveryChange, error) {
		require.Equal(t, messages[0].Body, o.Delivery.Body)
		require.Empty(t, o.Facts, "messages need none")
		return verifier.DeliveryChange{State: verifier.DeliveryDiscarded, Reason: "gone"}, nil
	}))
	stored, err = s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, "gone", stored.Deliveries[1].Reason)
}

// deliverFunc makes a Deliverer of a function.
type deliverFunc func(ctx context.Context, id string) (time.Duration, error)

func (f deliverFunc) Deliver(ctx context.Context, id string) (time.Duration, error) {
	return f(ctx, id)
}

// calls records when Deliver was called with which id.
type calls struct {
	mu sync.Mutex
	at map[string][]time.Time
	ch chan string
}

func newCalls() *calls { return &calls{at: map[string][]time.Time{}, ch: make(chan string, 100)} }

func (c *calls) add(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at[id] = append(c.at[id], time.Now())
	c.ch <- id
	return len(c.at[id])
}

func (c *calls) times(id string) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Time(nil), c.at[id]...)
}

func (c *calls) wait(t *testing.T, id string) {
	t.Helper()
	timeout := time.After(time.Minute) // only what fails waits so long
	for {
		select {
		case got := <-c.ch:
			if got == id {
				return
			}
		case <-timeout:
			require.Fail(t, "not delivered", id)
		}
	}
}

func run(t *testing.T, s *store.Store, d store.Deliverer, opts store.DeliveryOptions) (stop func()) {
	t.Helper()
	end, err := s.StartDeliveries(t.Context(), d, opts)
	require.NoError(t, err)
	var once sync.Once
	stop = func() {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			require.NoError(t, end(ctx))
		})
	}
	t.Cleanup(stop)
	return stop
}

// deliveryOf returns the id of the only delivery of a verification.
func deliveryOf(t *testing.T, s *store.Store, id string) string {
	t.Helper()
	v, err := s.Verification(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, v.Deliveries, 1)
	return v.Deliveries[0].ID
}

func testDeliveriesRun(t *testing.T, db database) {
	s := open(t, db.place(t))
	seen := newCalls()
	run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		if seen.add(id) == 1 {
			return 600 * time.Millisecond, nil
		}
		return 0, nil
	}), store.DeliveryOptions{})
	v := opened(t, s, "1", start)
	decide(t, s, v, verifier.Revert, later(5))
	committed := time.Now()
	id := deliveryOf(t, s, v.ID)
	seen.wait(t, id)
	seen.wait(t, id)
	at := seen.times(id)
	require.Less(t, at[0].Sub(committed), 2*time.Second, "polled, not waited for")
	require.GreaterOrEqual(t, at[1].Sub(at[0]), 600*time.Millisecond, "never early")
	time.Sleep(500 * time.Millisecond)
	require.Len(t, seen.times(id), 2, "and no more once it is at its end")
}

// testDeliveriesStartUnpolled: where nobody looks for jobs for an hour, what a
// transaction of this process queues starts all the same, whichever kind of
// transaction it is and however soon after another.
func testDeliveriesStartUnpolled(t *testing.T, db database) {
	s := open(t, db.place(t))
	seen := newCalls()
	v := opened(t, s, "1", start)
	message := func() verifier.Delivery {
		return verifier.Delivery{ID: verifier.NewID("dl_"), VerificationID: v.ID, Kind: verifier.MessageDelivery, Receiver: "chat", State: verifier.DeliveryPending, CreatedAt: start, Body: []byte(`{}`)}
	}
	told, next := message(), message()
	run(t, s, deliverFunc(func(ctx context.Context, id string) (time.Duration, error) {
		if seen.add(id); id != told.ID {
			return 0, nil
		}
		return 0, s.UpdateDelivery(ctx, id, later(1), func(out verifier.Outgoing) (verifier.DeliveryChange, error) {
			return verifier.DeliveryChange{State: verifier.DeliveryDelivered, Messages: []verifier.Delivery{next}}, nil
		})
	}), store.DeliveryOptions{Poll: time.Hour, Sweep: time.Hour})
	require.NoError(t, s.Record(t.Context(), claim(t, s, v.ID, later(1)), nil, later(2), []verifier.Delivery{told}))
	seen.wait(t, told.ID)
	seen.wait(t, next.ID)
	decide(t, s, v, verifier.Revert, later(5))
	v, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	for _, d := range v.Deliveries {
		if d.Kind == verifier.RollbackDelivery {
			seen.wait(t, d.ID)
		}
	}
	require.Len(t, seen.at, 3)
}

func testDeliveriesResume(t *testing.T, db database) {
	url := db.place(t)
	s, err := store.Open(t.Context(), url, virtual)
	require.NoError(t, err)
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	id := deliveryOf(t, s, v.ID)
	first := newCalls()
	stop := run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		first.add(id)
		return time.Second, nil
	}), store.DeliveryOptions{})
	first.wait(t, id)
	stop()
	require.NoError(t, s.Close())

	s = open(t, url)
	second := newCalls()
	run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		second.add(id)
		return 0, nil
	}), store.DeliveryOptions{})
	second.wait(t, id)
}

func testQueuesIndependent(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1", start)
	opened(t, s, "2", later(1)) // tells that 1 is superseded
	message := deliveryOf(t, s, v.ID)
	seen := newCalls()
	stuck := deliverFunc(func(ctx context.Context, id string) (time.Duration, error) {
		seen.add(id)
		if id == message {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return 0, nil
	})
	end, err := s.StartDeliveries(t.Context(), stuck, store.DeliveryOptions{Messages: 1, Rollbacks: 1})
	require.NoError(t, err)
	seen.wait(t, message)
	last := opened(t, s, "3", later(2)) // one more message, behind the one that hangs
	decide(t, s, last, verifier.Revert, later(5))
	seen.wait(t, deliveryOf(t, s, last.ID))
	require.Len(t, seen.at, 2, "the second message waits, the rollback does not")

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, end(ctx), "a delivery that hangs is ended with its context")
}

func testDeliveryFault(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	id := deliveryOf(t, s, v.ID)
	seen := newCalls()
	run(t, s, deliverFunc(func(_ context.Context, id string) (time.Duration, error) {
		if seen.add(id) == 1 {
			return 0, errors.New("store busy")
		}
		return 0, nil
	}), store.DeliveryOptions{})
	seen.wait(t, id)
	seen.wait(t, id)
}

func testStopWaits(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	id := deliveryOf(t, s, v.ID)
	seen := newCalls()
	done := make(chan struct{})
	stop := run(t, s, deliverFunc(func(ctx context.Context, id string) (time.Duration, error) {
		seen.add(id)
		time.Sleep(300 * time.Millisecond)
		close(done)
		return 0, ctx.Err()
	}), store.DeliveryOptions{})
	seen.wait(t, id)
	stop()
	select {
	case <-done:
	default:
		require.Fail(t, "stop returned before the delivery had ended")
	}
	require.Len(t, seen.times(id), 1)
}

// patient is a Deliverer that has room for all receivers but one.
type patient struct {
	deliverFunc
	crowded string
	asked   map[string]int // how often, of each receiver
	mu      sync.Mutex
}

func (p *patient) StandBack(receiver string, _ bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[receiver]++
	if receiver == p.crowded {
		return time.Hour
	}
	return 0
}

// testDeliveriesOfALongQueue: hundreds of messages wait for a receiver that
// hangs. None of them costs a transaction, an urgent message passes all that
// wait, and another receiver's has to wait for each of them once at most.
func testDeliveriesOfALongQueue(t *testing.T, db database) {
	s := open(t, db.place(t))
	v := opened(t, s, "1", start)
	message := func(receiver, body string) verifier.Delivery {
		return verifier.Delivery{ID: verifier.NewID("dl_"), VerificationID: v.ID, Kind: verifier.MessageDelivery, Receiver: receiver,
			State: verifier.DeliveryPending, CreatedAt: start, Body: []byte(body)}
	}
	const waiting = 300
	var all []verifier.Delivery
	for range waiting {
		all = append(all, message("hangs", `{}`))
	}
	all = append(all, message("good", `{}`), message("pager", `{"urgent":true}`))
	require.NoError(t, s.Record(t.Context(), claim(t, s, v.ID, later(1)), nil, later(2), all))
	seen := newCalls()
	p := &patient{crowded: "hangs", asked: map[string]int{}}
	before := 0 // of those that wait, asked before the urgent one
	p.deliverFunc = func(_ context.Context, id string) (time.Duration, error) {
		if id == all[waiting+1].ID {
			p.mu.Lock()
			before = p.asked["hangs"]
			p.mu.Unlock()
		}
		seen.add(id)
		return 0, nil
	}
	stop := run(t, s, p, store.DeliveryOptions{Messages: 4, Poll: 5 * time.Millisecond})
	seen.wait(t, all[waiting].ID)
	stop()
	require.Less(t, before, waiting/10, "the urgent one came first")
	require.Len(t, seen.times(all[waiting+1].ID), 1)
	require.Len(t, seen.at, 2, "nothing was begun for those that stand back")
	require.LessOrEqual(t, p.asked["hangs"], waiting, "each stands back once")
}
