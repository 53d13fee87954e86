package app

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/verifier"
)

// deskSignal is the tickets of a feed, beside the errors.
func (b *bench) deskSignal() {
	b.policy.Signals = append(b.policy.Signals, verifier.Signal{Name: "tickets", Kind: verifier.Count, Role: verifier.Advisory, Delta: 0.5, Epsilon: 0.5,
		TicketSource: &verifier.TicketSource{Feed: "desk"}})
}

// feed lets a feed over the bench's store measure the tickets.
func (b *bench) feed(f tickets.Feed, network http.RoundTripper, log io.Writer) {
	b.t.Helper()
	m, err := tickets.New([]tickets.Feed{f}, tickets.Options{Transports: tickets.Transports{Written: network}, Shelf: &App{store: b.store},
		Log: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(b.t, err)
	b.desk = m
}

func (b *bench) push(ids string, n int, at time.Time) {
	b.t.Helper()
	var list []verifier.Ticket
	for i := range n {
		list = append(list, verifier.Ticket{ID: fmt.Sprint(ids, i), CreatedAt: at, Service: "checkout"})
	}
	_, err := b.store.SaveTickets(b.t.Context(), "desk", list, clockNow())
	require.NoError(b.t, err)
}

// tickets is the evidence of the tickets' signal.
func (b *bench) tickets(id string) verifier.SignalEvidence {
	b.t.Helper()
	ev, err := b.store.Evidence(b.t.Context(), id)
	require.NoError(b.t, err)
	for _, s := range ev.Signals {
		if s.Signal == "tickets" {
			return s
		}
	}
	return verifier.SignalEvidence{}
}

func counted(s verifier.SignalEvidence) float64 {
	n := 0.0
	for _, o := range s.Observations {
		n += o.Count
	}
	return n
}

// story runs in virtual time, with an engine that begins when start is called.
func deskStory(t *testing.T, story func(*bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.deskSignal()
		defer func() {
			if b.end != nil {
				b.end()
			}
			require.NoError(t, b.store.Close())
		}()
		story(b)
	})
}

// TestTicketsThatArriveLate: a ticket belongs to the time it was created, while
// the verdict is not reached; afterwards the evidence stays what the verdict
// rests on.
func TestTicketsThatArriveLate(t *testing.T) {
	deskStory(t, func(b *bench) {
		b.feed(tickets.Feed{Name: "desk", Kind: "push"}, nil, io.Discard)
		b.push("old", 4, time.Now().Add(-time.Hour))
		b.start()
		began := time.Now()
		id := b.deploy("1.1")
		time.Sleep(20 * time.Second)
		require.Zero(t, counted(b.tickets(id)))
		created := began.Add(9 * time.Second)
		b.push("late", 3, created)
		b.push("late", 3, created) // the same again
		b.push("cart", 2, created) // and of another service
		_, err := b.store.SaveTickets(b.t.Context(), "desk", []verifier.Ticket{{ID: "other", CreatedAt: created, Service: "cart"}}, clockNow())
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		s := b.tickets(id)
		require.Equal(t, 5.0, counted(s))
		for _, o := range s.Observations {
			if o.Count > 0 {
				require.False(t, created.Before(o.At.Add(-o.Span.D())) || !created.Before(o.At), "at its own time")
			}
		}
		time.Sleep(theWindow)
		require.Equal(t, verifier.Keep, b.record(id).Verdict.Decision)
		before := b.tickets(id)
		b.push("after", 9, began.Add(30*time.Second))
		time.Sleep(time.Minute)
		require.Equal(t, before, b.tickets(id))
		b.recomputed(id)
	})
}

// counting is a ticket system on a simulated network.
type counting struct{ asked int }

func (c *counting) RoundTrip(*http.Request) (*http.Response, error) {
	c.asked++
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(`{"count":"1"}`)))}, nil
}

// TestASlowPastDelaysNothing: the verdict falls when it is due, with what is
// missing named; the next deploy finds what was read, after a restart as well.
func TestASlowPastDelaysNothing(t *testing.T) {
	deskStory(t, func(b *bench) {
		var log bytes.Buffer
		desk := &counting{}
		f := tickets.Feed{Name: "desk", URL: "http://desk.example/", Count: "$.count", PerMinute: 40}
		b.feed(f, desk, &log)
		time.Sleep(3 * time.Hour)
		b.start()
		id := b.deploy("1.1")
		time.Sleep(10 * time.Second)
		s := b.tickets(id)
		require.Empty(t, s.Calibration)
		require.Regexp(t, `its past is still being read: feed "desk" has told \d+ of \d+ stretches of 1m, at 20 requests a minute`, s.Plan.Note)
		require.Contains(t, s.Observations[0].Message, "its past is still being read")
		time.Sleep(theWindow)
		v := b.record(id)
		require.Equal(t, verifier.Keep, v.Verdict.Decision, v.Verdict.Summary)
		require.WithinDuration(t, v.ClosesAt, v.Verdict.DecidedAt, 5*time.Second)
		require.Equal(t, verifier.SignalUnknown, v.Signals[1].State)
		require.Contains(t, v.Signals[1].Message, "past")
		b.recomputed(id)
		require.Contains(t, log.String(), "reading the past of a ticket feed")
		b.end()

		asked := desk.asked
		b.feed(f, desk, &log) // a new process
		b.start()
		for i := range 8 {
			id = b.deploy(fmt.Sprint("1.", i+2))
			time.Sleep(theWindow)
		}
		require.NotEmpty(t, b.tickets(id).Calibration, b.tickets(id).Plan.Note)
		require.Less(t, desk.asked, asked+8*60, "what is known is not asked for again")
		require.Positive(t, counted(b.tickets(id)))
		b.recomputed(id)
	})
}
