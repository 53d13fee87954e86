package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

func testVitals(t *testing.T, db database) {
	s, err := store.Open(t.Context(), db.place(t), virtual)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	none, err := s.Vitals(t.Context(), start)
	require.NoError(t, err)
	require.Empty(t, none.Notified)
	require.Empty(t, none.Replicas)
	require.True(t, none.DueSince.IsZero())
	require.Equal(t, []store.QueueVitals{{Kind: verifier.RollbackDelivery}, {Kind: verifier.MessageDelivery}}, none.Queues)

	v := opened(t, s, "1", start)
	accept(t, s, of("cart", finished("1", later(2))), later(2))
	require.NoError(t, s.NoteAlerts(t.Context(), "alerts", nil, later(3)))
	got, err := s.Vitals(t.Context(), later(10))
	require.NoError(t, err)
	require.Len(t, got.Notified, 2)
	require.WithinDuration(t, later(3), got.Notified["alerts"], time.Microsecond)
	require.WithinDuration(t, later(2), got.Notified[v.Deployment.Source], time.Microsecond)
	require.Equal(t, 2, got.Pending)
	require.Equal(t, 0, got.Leased)
	require.Equal(t, 2, got.Overdue)
	require.False(t, got.DueSince.Before(start.Truncate(time.Microsecond)))
	require.True(t, got.DueSince.Before(later(2)))

	claimed, err := s.Claim(t.Context(), later(10), time.Minute, 1)
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	got, err = s.Vitals(t.Context(), later(10))
	require.NoError(t, err)
	require.Equal(t, 1, got.Leased)
	require.Equal(t, 1, got.Overdue)

	decide(t, s, v, verifier.Revert, later(11))
	got, err = s.Vitals(t.Context(), later(12))
	require.NoError(t, err)
	require.Equal(t, 1, got.Pending, "what is decided is not open")
	require.Equal(t, verifier.RollbackDelivery, got.Queues[0].Kind)
	waiting := got.Queues[0].Pending + got.Queues[1].Pending
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	require.Len(t, stored.Deliveries, waiting)
	require.Positive(t, waiting)
	oldest := got.Queues[0].Oldest
	if got.Queues[0].Pending == 0 {
		oldest = got.Queues[1].Oldest
	}
	require.WithinDuration(t, later(11), oldest, time.Minute)
}

func testReplicas(t *testing.T, db database) {
	s := open(t, db.place(t))
	see := func(id string, minute int) {
		require.NoError(t, s.SeeReplica(t.Context(), store.Replica{ID: id, Name: "host-" + id, Version: "1.2.0",
			StartedAt: later(0), SeenAt: later(minute), LeaseUntil: later(minute + 1)}))
	}
	names := func() (out []string) {
		v, err := s.Vitals(t.Context(), later(5))
		require.NoError(t, err)
		for _, r := range v.Replicas {
			out = append(out, r.Name)
		}
		return out
	}
	alive := func(minute int) int {
		c, err := s.Counts(t.Context(), later(minute))
		require.NoError(t, err)
		return c.Replicas
	}
	see("a", 0)
	see("b", 0)
	require.Equal(t, 2, alive(0))
	see("a", 5)
	require.Equal(t, 1, alive(5), "b has not been heard for five minutes")
	require.Equal(t, []string{"host-a", "host-b"}, names())
	v, err := s.Vitals(t.Context(), later(5))
	require.NoError(t, err)
	require.WithinDuration(t, later(5), v.Replicas[0].SeenAt, time.Microsecond)
	require.WithinDuration(t, later(6), v.Replicas[0].LeaseUntil, time.Microsecond)

	see("a", 24*60+2) // b has been gone for a day
	require.Equal(t, []string{"host-a"}, names())
	require.NoError(t, s.ForgetReplica(t.Context(), "a"))
	require.Empty(t, names())
	require.Zero(t, alive(24*60+2))
}

func testAround(t *testing.T, db database) {
	s := open(t, db.place(t))
	for service, minutes := range map[string]int{"early": -31, "first": -30, "second": 3, "last": 30, "late": 31} {
		accept(t, s, of(service, finished("1", later(minutes))), later(minutes))
	}
	other := of("elsewhere", finished("1", later(1)))
	other.Deployment.Environment = "staging"
	accept(t, s, other, later(1))
	names := func(limit int) (out []string) {
		found, err := s.Around(t.Context(), "production", later(-30), later(30), limit)
		require.NoError(t, err)
		for _, v := range found {
			out = append(out, v.Deployment.Service)
		}
		return out
	}
	require.Equal(t, []string{"first", "second", "last"}, names(10))
	require.Equal(t, []string{"first"}, names(1))
}

// testReceiverVitals has a receiver take a message, refuse one, fail at one and
// skip one.
func testReceiverVitals(t *testing.T, db database) {
	s := open(t, db.place(t))
	_, list := fourMessages(t, s)
	change := func(id string, c verifier.DeliveryChange) {
		require.NoError(t, s.UpdateDelivery(t.Context(), id, later(6), func(verifier.Outgoing) (verifier.DeliveryChange, error) { return c, nil }))
	}
	vitals := func(minute int) []store.ReceiverVitals {
		v, err := s.Vitals(t.Context(), later(minute))
		require.NoError(t, err)
		return v.Receivers
	}
	require.Empty(t, vitals(7), "nothing was tried")
	try := func(i, minute int, result, wrong string, state verifier.DeliveryState) {
		begun := verifier.Attempt{At: utc(later(minute)), Result: verifier.AttemptStarted}
		change(list[i].ID, verifier.DeliveryChange{Attempt: &begun})
		ended := begun
		ended.Result, ended.Error = result, wrong
		change(list[i].ID, verifier.DeliveryChange{Attempt: &ended, State: state, Reason: wrong})
	}
	try(0, 10, "delivered", "", verifier.DeliveryDelivered)
	require.Equal(t, []store.ReceiverVitals{{Name: "chat", Kind: verifier.MessageDelivery, Delivered: utc(later(10))}}, vitals(11))
	try(1, 12, "failed", "chat answered 410", verifier.DeliveryDiscarded)
	try(2, 14, "retry", "chat gave no answer", verifier.DeliveryRetryable)
	try(3, 15, "skipped", "no commit", verifier.DeliveryDiscarded)
	want := store.ReceiverVitals{Name: "chat", Kind: verifier.MessageDelivery, Delivered: utc(later(10)), Failed: utc(later(14)), Refused: utc(later(12)),
		Refusals: 1, Skipped: 1, Retrying: 1, Error: "chat gave no answer"}
	require.Equal(t, []store.ReceiverVitals{want}, vitals(16))
	begun := verifier.Attempt{At: utc(later(20)), Result: verifier.AttemptStarted}
	change(list[2].ID, verifier.DeliveryChange{Attempt: &begun})
	require.Equal(t, []store.ReceiverVitals{want}, vitals(21), "what is under way has not failed again")
	require.Empty(t, vitals(21+25*60), "a day later")
}
