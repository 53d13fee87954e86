package tickets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/probes/tickets/vendortest"
	"github.com/postflight/postflight/verifier"
)

// memory is a shelf that is durable while the test lasts.
type memory struct {
	mu     sync.Mutex
	counts map[string]verifier.TicketCount
	pushed []verifier.Ticket
}

func (s *memory) Tickets(_ context.Context, _ string, from, to time.Time, limit int) ([]verifier.Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []verifier.Ticket
	for _, t := range s.pushed {
		if !t.CreatedAt.Before(from) && t.CreatedAt.Before(to) && len(out) < limit {
			out = append(out, t)
		}
	}
	return out, nil
}

func (s *memory) TicketCounts(_ context.Context, feed, question string, span time.Duration, since, until time.Time) ([]verifier.TicketCount, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []verifier.TicketCount
	for key, c := range s.counts {
		if key == fmt.Sprint(feed, question, span, c.At.Unix()) && c.At.After(since) && !c.At.After(until) {
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *memory) SaveTicketCounts(ctx context.Context, feed, question string, counts []verifier.TicketCount) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]verifier.TicketCount{}
	}
	for _, c := range counts {
		s.counts[fmt.Sprint(feed, question, c.Span.D(), c.At.Unix())] = c
	}
	return nil
}

// past is a feed of numbers over a simulated network: each answer is the
// stretch's own number.
type past struct {
	asked []time.Time // begin of each stretch
	at    []time.Time
	shelf memory
	log   bytes.Buffer
	body  func(from time.Time) (int, string)
}

func (p *past) measurer(t *testing.T, change func(*tickets.Feed)) *tickets.Measurer {
	t.Helper()
	transport := answers(func(r *http.Request) *http.Response {
		seconds, err := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
		require.NoError(t, err)
		from := time.Unix(seconds, 0)
		p.asked, p.at = append(p.asked, from), append(p.at, time.Now())
		if p.body != nil {
			status, body := p.body(from)
			return reply(status, body, nil)
		}
		return reply(200, fmt.Sprintf(`{"count":%d}`, from.Hour()), nil)
	})
	f := tickets.Feed{Name: "desk", URL: "http://h/?from={{ .From.Unix }}&to={{ .To.Unix }}&service={{ .Service }}", Count: "$.count", PerMinute: 60}
	if change != nil {
		change(&f)
	}
	m, err := tickets.New([]tickets.Feed{f}, tickets.Options{Transports: tickets.Transports{Written: transport}, Shelf: &p.shelf, Log: slog.New(slog.NewTextHandler(&p.log, nil))})
	require.NoError(t, err)
	return m
}

const week = 7 * 24 * time.Hour

func history(t *testing.T, m *tickets.Measurer, until time.Time) ([]verifier.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // as the engine has it
	defer cancel()
	return m.History(ctx, signal, shop, verifier.Plan{}, step, until.Add(-week), until)
}

func TestAWeekIsReadPolitelyAndTakenUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(17 * time.Minute)
		var p past
		until := time.Now().Truncate(step)
		m := p.measurer(t, nil)
		require.Equal(t, "its past is still being read", m.HistoryProgress(signal, shop))
		_, err := history(t, m, until)
		require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
		require.Regexp(t, `has told 6[01] of 167 stretches of 1h of its past so far`, err.Error())
		require.Regexp(t, `^its past is still being read: feed "desk" has told 6[01] of 167 stretches of 1h, at 30 requests a minute$`, m.HistoryProgress(signal, shop))
		for i := 1; i < len(p.at); i++ {
			require.GreaterOrEqual(t, p.at[i].Sub(p.at[i-1]), 2*time.Second, "half of 60 a minute")
		}
		age := func(i int) time.Duration { return until.Sub(p.asked[i]) }
		require.Less(t, age(0), 2*time.Hour, "right before the deploy first")
		require.InDelta(t, week.Hours(), age(7).Hours(), 4, "then the same hours a week ago")

		m = p.measurer(t, nil) // as after a restart
		for range 2 {
			_, err = history(t, m, until)
		}
		require.NoError(t, err)
		got, err := history(t, m, until)
		require.NoError(t, err)
		seen := map[int64]int{}
		for _, from := range p.asked {
			seen[from.Unix()]++
		}
		fresh, cut := 0, 0
		for from, n := range seen {
			switch {
			case n == 1:
			case until.Sub(time.Unix(from, 0)) < 2*time.Hour:
				fresh++
			default:
				cut++
			}
		}
		require.LessOrEqual(t, fresh, 2, "what may still change is asked for again")
		require.LessOrEqual(t, cut, 2, "and what was under way when the time was over, twice")
		require.Len(t, got, 167+1)
		for i, o := range got[:167] {
			require.Equal(t, verifier.Duration(time.Hour), o.Span)
			require.Equal(t, o.At.Truncate(time.Hour), o.At, "full hours, the same for all")
			require.Equal(t, float64(o.At.Add(-time.Hour).Hour()), o.Count)
			if i > 0 {
				require.Equal(t, got[i-1].At.Add(time.Hour), o.At)
			}
		}
		require.Equal(t, until, got[167].At, "and the rest up to the deploy")
		require.Contains(t, p.log.String(), "reading the past of a ticket feed")
		require.Contains(t, p.log.String(), "the past of a ticket feed is read")

		before := len(p.asked)
		time.Sleep(26 * time.Hour)
		next, err := history(t, m, time.Now().Truncate(step))
		require.NoError(t, err)
		require.Len(t, next, 167+1)
		require.LessOrEqual(t, len(p.asked)-before, 26+3, "a day later only the day is asked for")
		other, err := m.History(t.Context(), signal, verifier.Target{Service: "cart"}, verifier.Plan{}, step, until.Add(-2*time.Hour), until)
		require.NoError(t, err)
		require.NotEmpty(t, other)
	})
}

func TestHistoryEndsWhereTheFeedDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(13 * time.Minute)
		p := past{body: func(time.Time) (int, string) { return 500, "" }}
		until := time.Now().Truncate(step)
		_, err := history(t, p.measurer(t, nil), until)
		require.ErrorContains(t, err, "answered 500 Internal Server Error (0 of 167 stretches of its past are read)")
		require.Len(t, p.asked, 1, "it isn't pressed")

		p = past{}
		m := p.measurer(t, func(f *tickets.Feed) { f.Lag, f.PerMinute = time.Hour, 6000 })
		got, err := history(t, m, until)
		require.NoError(t, err)
		require.False(t, got[len(got)-1].At.After(time.Now().Add(-time.Hour)), "the lag is left out")
		short, err := m.History(t.Context(), signal, shop, verifier.Plan{}, step, until.Add(-time.Hour-3*step), until)
		require.NoError(t, err)
		require.LessOrEqual(t, len(short), 3)
		for _, o := range short {
			require.GreaterOrEqual(t, o.Span.D(), step)
		}
	})
}

// TestTwoReadOnce: verifications that ask at the same time share the answers.
func TestTwoReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24*time.Hour + 40*time.Minute)
		var p past
		m := p.measurer(t, func(f *tickets.Feed) { f.PerMinute = 6000 })
		until := time.Now().Add(-30 * time.Minute).Truncate(step)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := m.History(t.Context(), signal, shop, verifier.Plan{}, step, until.Add(-4*time.Hour), until)
				require.NoError(t, err)
			})
		}
		wg.Wait()
		asked := map[int64]int{}
		for _, from := range p.asked {
			asked[from.Unix()]++
		}
		repeated := 0
		for _, n := range asked {
			if n > 1 {
				repeated++
			}
		}
		require.LessOrEqual(t, repeated, 1, "but for the rest, which is nobody else's")
	})
}

// TestIncompleteHoursAreLeftOut: what the feed can't tell whole is no number,
// and too much of it no history.
func TestIncompleteHoursAreLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		every int
		want  error
	}{"some": {10, nil}, "most": {2, errors.New("could not tell")}} {
		t.Run(name, func(t *testing.T) {
			d := vendortest.New(t, "github_issues")
			asked := 0
			var mu sync.Mutex
			f := configured("github_issues", d.URL)
			transport := answers(func(r *http.Request) *http.Response {
				mu.Lock()
				defer mu.Unlock()
				asked++
				return reply(200, fmt.Sprintf(`{"total_count":1,"incomplete_results":%t,"items":[]}`, asked%c.every == 0), nil)
			})
			m, err := tickets.New([]tickets.Feed{f}, tickets.Options{Transports: tickets.Transports{Written: transport}})
			require.NoError(t, err)
			until := time.Now().Truncate(step)
			got, err := m.History(t.Context(), signal, checkout, verifier.Plan{}, step, until.Add(-week), until)
			if c.want != nil {
				require.ErrorContains(t, err, c.want.Error())
				return
			}
			require.NoError(t, err)
			require.Less(t, len(got), 168)
			require.Greater(t, len(got), 140)
			require.NotContains(t, fmt.Sprint(got), "error")
		})
	}
}

// TestAListThatGoesBackIsTakenUpAgain: Freshdesk can't be asked for the past
// alone. What was read before the time was over is kept, the next call goes on
// there, and comes to the same numbers.
func TestAListThatGoesBackIsTakenUpAgain(t *testing.T) {
	until := time.Now().Add(-time.Hour).Truncate(step)
	var list []vendortest.Ticket
	for i := range 2400 {
		list = append(list, vendortest.Ticket{ID: i, At: until.Add(-time.Duration(i) * 4 * time.Minute).Truncate(time.Second), Tags: []string{"checkout"}, Reporter: i})
	}
	d := vendortest.New(t, "freshdesk", list...)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	let := &letThrough{next: transport}
	var shelf memory
	m, err := tickets.New([]tickets.Feed{configured("freshdesk", d.URL)}, tickets.Options{Transports: tickets.Transports{Written: let}, Shelf: &shelf})
	require.NoError(t, err)
	var got []verifier.Observation
	calls := 0
	for ; ; calls++ {
		require.Less(t, calls, 200)
		ctx, cancel := context.WithCancel(t.Context())
		let.thenEnd(6, cancel)
		got, err = m.History(ctx, signal, checkout, verifier.Plan{}, step, until.Add(-week), until)
		cancel()
		if err == nil {
			break
		}
		require.Equal(t, verifier.Unavailable, verifier.KindOf(err))
		if calls == 2 { // the list moves on meanwhile, and loses some
			d.Set(func(s *vendortest.Settings) {
				for i := range 150 {
					s.Tickets = append(s.Tickets, vendortest.Ticket{ID: 10_000 + i, At: time.Now().Add(-time.Minute), Tags: []string{"checkout"}})
				}
			})
		}
		if calls == 3 {
			d.Set(func(s *vendortest.Settings) { s.Tickets = slices.Delete(s.Tickets, 0, 1) })
		}
	}
	require.Greater(t, calls, 1, "it took several")
	total := 0.0
	for _, o := range got {
		want := 0.0
		for _, ticket := range list {
			if !ticket.At.Before(o.At.Add(-o.Span.D())) && ticket.At.Before(o.At) {
				want++
			}
		}
		require.InDelta(t, want, o.Count, 0, "%s", o.At)
		total += o.Count
	}
	require.Greater(t, total, 2000.0)
	require.Less(t, len(d.Requests()), 80, "pages are not read over and over")
}

// letThrough lets so many requests through and ends the caller's time with the
// one after them: not by a clock, so that it is the same on every machine.
type letThrough struct {
	next http.RoundTripper
	mu   sync.Mutex
	left int
	end  context.CancelFunc
}

func (l *letThrough) thenEnd(n int, end context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.end = n, end
}

func (l *letThrough) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	l.left--
	over := l.left < 0
	if over {
		l.end()
	}
	l.mu.Unlock()
	if over {
		return nil, context.Canceled
	}
	return l.next.RoundTrip(r)
}
