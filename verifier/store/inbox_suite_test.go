package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// testInbox sends three of four messages to a receiver: one by itself, and two
// in a digest.
func testInbox(t *testing.T, db database) {
	s := open(t, db.place(t))
	v, list := fourMessages(t, s)
	inbox := func(since time.Time, limit int) verifier.Inbox {
		in, err := s.Inbox(t.Context(), "chat", since, limit)
		require.NoError(t, err)
		return in
	}
	update := func(id string, c verifier.DeliveryChange, look func(verifier.Outgoing)) error {
		return s.UpdateDelivery(t.Context(), id, later(20), func(o verifier.Outgoing) (verifier.DeliveryChange, error) {
			if look != nil {
				look(o)
			}
			return c, nil
		})
	}
	first := inbox(start, 10)
	require.Zero(t, first.Taken)
	require.Len(t, first.Waiting, 4)
	require.Equal(t, list[0].ID, first.Waiting[0].ID)
	require.Equal(t, list[0].Body, first.Waiting[0].Body)
	require.Len(t, inbox(start, 2).Waiting, 2)
	other, err := s.Inbox(t.Context(), "mail", start, 10)
	require.NoError(t, err)
	require.Empty(t, other)
	require.Empty(t, first.Overtaken)

	// The second message goes first, by itself, and is called something.
	at := utc(later(21))
	begun := verifier.Attempt{At: at, Result: verifier.AttemptStarted}
	ended := verifier.Attempt{At: at, Status: 200, Result: "delivered", Reference: "C1/1.2"}
	require.NoError(t, update(list[1].ID, verifier.DeliveryChange{Attempt: &begun}, nil))
	require.Equal(t, []verifier.Attempt{begun}, inbox(start, 10).Waiting[1].Attempts)
	require.NoError(t, update(list[1].ID, verifier.DeliveryChange{Attempt: &ended, State: verifier.DeliveryDelivered}, nil))
	require.Equal(t, []string{list[0].ID}, inbox(start, 10).Overtaken)
	require.NoError(t, update(list[0].ID, verifier.DeliveryChange{}, func(o verifier.Outgoing) {
		require.Len(t, o.Thread, 3)
		require.Equal(t, list[1].ID, o.Thread[0].ID)
		require.Equal(t, list[1].Body, o.Thread[0].Body)
		require.Equal(t, verifier.DeliveryDelivered, o.Thread[0].State)
		require.Equal(t, []verifier.Attempt{{At: at, Result: "delivered", Reference: "C1/1.2"}}, o.Thread[0].Attempts)
		require.Equal(t, verifier.DeliveryPending, o.Thread[1].State)
		require.Equal(t, "C1/1.2", o.Delivery.Earlier)
	}))
	require.NoError(t, update(list[2].ID, verifier.DeliveryChange{}, func(o verifier.Outgoing) {
		require.Len(t, o.Thread, 3, "never the delivery itself")
		require.Equal(t, "C1/1.2", o.Delivery.Earlier, "a restart edits it")
	}))

	// The fourth takes the third along.
	at = utc(later(22))
	begun.At, ended = at, verifier.Attempt{At: at, Status: 200, Result: "delivered"}
	fold := func(a verifier.Attempt, state verifier.DeliveryState) verifier.DeliveryChange {
		return verifier.DeliveryChange{Attempt: &a, State: state, Folded: []verifier.Folded{{ID: list[2].ID, Attempt: a, State: state}}}
	}
	require.NoError(t, update(list[3].ID, fold(begun, ""), nil))
	again := begun
	again.At = at.Add(time.Second)
	requireKind(t, verifier.Conflict, update(list[0].ID, verifier.DeliveryChange{Attempt: &again, Folded: []verifier.Folded{{ID: list[2].ID, Attempt: again}}}, nil))
	require.NoError(t, update(list[3].ID, fold(ended, verifier.DeliveryDelivered), nil))
	again.At = at.Add(2 * time.Second)
	requireKind(t, verifier.Conflict, update(list[0].ID, verifier.DeliveryChange{Attempt: &again, Folded: []verifier.Folded{{ID: list[1].ID, Attempt: again, After: at.Add(time.Hour)}}}, nil))

	now := inbox(start, 10)
	require.Equal(t, 2, now.Taken, "a digest is one message")
	require.Len(t, now.Waiting, 1)
	require.Empty(t, now.Waiting[0].Attempts, "a fold that was refused left nothing behind")
	require.Equal(t, 1, inbox(at.Add(-time.Second), 10).Taken)
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	for _, d := range stored.Deliveries {
		if d.ID == list[2].ID {
			require.Equal(t, verifier.DeliveryDelivered, d.State)
			require.Equal(t, []verifier.Attempt{ended}, d.Attempts)
		}
	}
}

// fourMessages stores as many to one receiver about one verification.
func fourMessages(t *testing.T, s *store.Store) (verifier.Verification, []verifier.Delivery) {
	t.Helper()
	v := decide(t, s, opened(t, s, "1", start), verifier.Revert, later(5))
	stored, err := s.Verification(t.Context(), v.ID)
	require.NoError(t, err)
	var list []verifier.Delivery
	for i := range 4 {
		messages, err := verifier.Messages(verifier.EventActionChanged, v, policy(), later(6+i))
		require.NoError(t, err)
		list = append(list, messages[0])
	}
	require.NoError(t, s.UpdateDelivery(t.Context(), stored.Deliveries[0].ID, later(6), func(verifier.Outgoing) (verifier.DeliveryChange, error) {
		return verifier.DeliveryChange{Messages: list}, nil
	}))
	return v, list
}
