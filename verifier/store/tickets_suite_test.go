package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

func ticket(id string, at time.Time) verifier.Ticket {
	return verifier.Ticket{ID: id, CreatedAt: at, Service: "checkout", Environment: "production", Reporter: "r" + id, Tags: []string{"urgent", "checkout"}}
}

// testTickets: what was pushed is kept once, in the order of creation, whenever
// it arrives, and survives the store's end.
func testTickets(t *testing.T, db database) {
	url := db.place(t)
	s, err := store.Open(t.Context(), url, virtual)
	require.NoError(t, err)
	stored, err := s.SaveTickets(t.Context(), "desk", []verifier.Ticket{ticket("2", later(2)), ticket("1", later(1)), ticket("2", later(9))}, later(3))
	require.NoError(t, err)
	require.Equal(t, 2, stored, "the second with the same id is the first one again")
	stored, err = s.SaveTickets(t.Context(), "desk", []verifier.Ticket{ticket("1", later(30)), ticket("0", start)}, later(60))
	require.NoError(t, err)
	require.Equal(t, 1, stored, "one that arrives late belongs to the time it was created")
	stored, err = s.SaveTickets(t.Context(), "other", []verifier.Ticket{ticket("1", later(1))}, later(60))
	require.NoError(t, err)
	require.Equal(t, 1, stored, "ids are of a feed")
	require.NoError(t, s.Close())

	s = open(t, url)
	got, err := s.Tickets(t.Context(), "desk", start, later(2), 10)
	require.NoError(t, err)
	first, second := ticket("0", utc(start)), ticket("1", utc(later(1)))
	require.Equal(t, []verifier.Ticket{first, second}, got, "the end is not part of it")
	got, err = s.Tickets(t.Context(), "desk", start, later(60), 2)
	require.NoError(t, err)
	require.Len(t, got, 2)

	require.Equal(t, 1, prune(t, s, later(1).Add(verifier.KeepTickets), keeping()).Tickets)
	got, err = s.Tickets(t.Context(), "desk", start, later(60), 10)
	require.NoError(t, err)
	require.Len(t, got, 2, "the oldest went")
}

func testTicketCounts(t *testing.T, db database) {
	s := open(t, db.place(t))
	count := func(at time.Time, span time.Duration, n float64) verifier.TicketCount {
		return verifier.TicketCount{At: utc(at), Span: verifier.Duration(span), Count: n, ReadAt: utc(at.Add(time.Hour))}
	}
	all := []verifier.TicketCount{count(later(60), time.Hour, 3), count(later(120), time.Hour, 4)}
	require.NoError(t, s.SaveTicketCounts(t.Context(), "desk", "q", append(all, count(later(60), time.Minute, 9))))
	require.NoError(t, s.SaveTicketCounts(t.Context(), "desk", "other", []verifier.TicketCount{count(later(60), time.Hour, 8)}))
	got, err := s.TicketCounts(t.Context(), "desk", "q", time.Hour, start, later(120))
	require.NoError(t, err)
	require.Equal(t, all, got)
	all[0].Count = 5
	require.NoError(t, s.SaveTicketCounts(t.Context(), "desk", "q", all[:1]))
	got, err = s.TicketCounts(t.Context(), "desk", "q", time.Hour, start, later(119))
	require.NoError(t, err)
	require.Equal(t, all[:1], got, "the later answer counts")
	require.Equal(t, 3, prune(t, s, later(90).Add(verifier.KeepTickets), keeping()).Tickets)
	got, err = s.TicketCounts(t.Context(), "desk", "q", time.Hour, start, later(120))
	require.NoError(t, err)
	require.Len(t, got, 1)
}
