// Package tickets counts the tickets that people open: by asking a ticket
// system for their number or for the tickets themselves in a stretch of time,
// or from what it pushed here.
//
// A number is only what the system gave for exactly what was asked. What is
// cut off, incomplete, refused or malformed is no number, with the reason.
package tickets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// Observe is told of every request to a feed, by the feed's name.
type Observe = outbound.Observe

// Shelf is the durable memory of feeds: what was pushed, and what they told of
// the past.
type Shelf interface {
	// Tickets returns the oldest limit tickets that were pushed to a feed and
	// created in [from, to).
	Tickets(ctx context.Context, feed string, from, to time.Time, limit int) ([]verifier.Ticket, error)
	// TicketCounts returns what a feed answered to a question for spans of
	// that length that end in (since, until].
	TicketCounts(ctx context.Context, feed, question string, span time.Duration, since, until time.Time) ([]verifier.TicketCount, error)
	// SaveTicketCounts keeps answers; a later one about a span replaces the
	// earlier.
	SaveTicketCounts(ctx context.Context, feed, question string, counts []verifier.TicketCount) error
}

// Options is what a measurer is made of. Every field may be left out.
type Options struct {
	Transports Transports
	Observe    Observe
	// Shelf remembers; without one, nothing is pushed and every history is read
	// anew.
	Shelf Shelf
	// Log is told how far the reading of histories is.
	Log *slog.Logger
}

// Measurer measures ticket signals.
type Measurer struct {
	feeds map[string]*feed
	o     Options
}

// New returns a measurer over feeds. A feed that can't be used as it is
// written is an error of kind Invalid.
func New(feeds []Feed, o Options) (*Measurer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Measurer{feeds: map[string]*feed{}, o: o}
	for _, f := range feeds {
		made, err := newFeed(f)
		if err != nil {
			return nil, err
		}
		m.feeds[f.Name] = made
	}
	return m, nil
}

// Prepare renders the feed's request for the target, with the baseline's end as
// the example in Query. It makes no request. Errors are of kind Invalid.
func (m *Measurer) Prepare(_ context.Context, s verifier.Signal, t verifier.Target, step time.Duration, _, until time.Time) (verifier.Plan, error) {
	f, err := m.feed(s)
	if err != nil {
		return verifier.Plan{}, err
	}
	request, err := f.example(t, until.Add(-step), until)
	if err != nil {
		return verifier.Plan{}, verifier.Errorf(verifier.Invalid, "prepare signal %q: feed %q: %w", s.Name, f.Name, err)
	}
	p := verifier.Plan{Query: request}
	if f.Lag > 0 {
		p.Note = fmt.Sprintf("counted %s late, for tickets take that long to be found", f.Lag)
	}
	return p, nil
}

// Measure is MeasureAgain without anything measured before.
func (m *Measurer) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	return m.MeasureAgain(ctx, s, t, p, step, from, to, nil)
}

// MeasureAgain covers all whole steps of (from, to] that are older than the
// feed's lag: by one observation where the feed tells a number, by one for each
// step where it lists tickets; by nothing while there is no such step, or while
// the feed's rate allows no request. It asks again for those of the measured
// observations that have since become older than twice the lag, and for any
// where that costs nothing, and returns those that changed: tickets arrive
// late.
func (m *Measurer) MeasureAgain(ctx context.Context, s verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, from, to time.Time, measured []verifier.Observation) []verifier.Observation {
	f, err := m.feed(s)
	if err != nil {
		return []verifier.Observation{{At: to, Span: verifier.Duration(to.Sub(from)), Outcome: verifier.Failed, Message: err.Error()}}
	}
	end := wholeSteps(from, to.Add(-f.Lag), step)
	if !end.After(from) || !f.looks.Allow() {
		return nil
	}
	again := f.revisited(measured, from, end)
	if f.numbers() {
		return append(m.recount(ctx, f, t, again), m.counted(ctx, f, t, from, end))
	}
	return m.listed(ctx, f, t, step, from, end, again)
}

// numbers reports whether the feed tells numbers and no tickets.
func (f *feed) numbers() bool { return f.sys.count != nil || f.Query != nil }

// mostRevisited bounds how many observations one look asks for again, where
// each is a request.
const mostRevisited = 4

// revisited chooses what to ask for again: each observation once, when it is
// a lag older than when it was asked for first. What was pushed is asked for
// every time.
func (f *feed) revisited(measured []verifier.Observation, from, end time.Time) []verifier.Observation {
	var out []verifier.Observation
	for _, o := range measured {
		if o.Outcome != verifier.Measured || o.Span <= 0 || o.At.After(from) {
			continue
		}
		due := verifier.Span{From: from.Add(-f.Lag), To: end.Add(-f.Lag)}
		if f.Kind == kindPush || f.Lag > 0 && due.Contains(o.At) {
			out = append(out, o)
		}
	}
	if f.numbers() && len(out) > mostRevisited {
		out = out[len(out)-mostRevisited:]
	}
	return out
}

// recount asks for observations again, one request each.
func (m *Measurer) recount(ctx context.Context, f *feed, t verifier.Target, again []verifier.Observation) []verifier.Observation {
	var changed []verifier.Observation
	for _, o := range again {
		if !f.looks.Allow() {
			break
		}
		n, err := m.number(ctx, f, t, o.At.Add(-o.Span.D()), o.At)
		if err != nil {
			break // what was measured stands
		}
		if n != o.Count {
			o.Count = n
			changed = append(changed, o)
		}
	}
	return changed
}

func (m *Measurer) counted(ctx context.Context, f *feed, t verifier.Target, from, end time.Time) verifier.Observation {
	o := verifier.Observation{At: end, Span: verifier.Duration(end.Sub(from)), Outcome: verifier.Measured}
	n, err := m.number(ctx, f, t, from, end)
	if err != nil {
		return unmeasured(o, err)
	}
	o.Count = n
	return o
}

// unmeasured says why there is no number: an answer that isn't whole is no
// data, everything else an error.
func unmeasured(o verifier.Observation, err error) verifier.Observation {
	o.Outcome, o.Message = verifier.Failed, err.Error()
	if errors.As(err, new(incompleteError)) {
		o.Outcome = verifier.NoData
	}
	return o
}

// listed makes an observation of every step of (from, end], and of those again
// that changed, from one list.
func (m *Measurer) listed(ctx context.Context, f *feed, t verifier.Target, step time.Duration, from, end time.Time, again []verifier.Observation) []verifier.Observation {
	start := from
	for _, o := range again {
		if began := o.At.Add(-o.Span.D()); began.Before(start) {
			start = began
		}
	}
	times, err := m.opened(ctx, f, t, start, end)
	if err != nil {
		return []verifier.Observation{unmeasured(verifier.Observation{At: end, Span: verifier.Duration(end.Sub(from))}, err)}
	}
	var out []verifier.Observation
	for _, o := range again {
		if n := within(times, o.At.Add(-o.Span.D()), o.At); n != o.Count {
			o.Count = n
			out = append(out, o)
		}
	}
	for at := from.Add(step); !at.After(end); at = at.Add(step) {
		out = append(out, verifier.Observation{At: at, Span: verifier.Duration(step), Outcome: verifier.Measured, Count: within(times, at.Add(-step), at)})
	}
	return out
}

// wholeSteps returns the end of the last whole step after from that is not
// after to.
func wholeSteps(from, to time.Time, step time.Duration) time.Time {
	if step <= 0 || !to.After(from) {
		return from
	}
	return from.Add(to.Sub(from) / step * step)
}

func (m *Measurer) feed(s verifier.Signal) (*feed, error) {
	if s.TicketSource == nil {
		return nil, verifier.Errorf(verifier.Invalid, "signal %q is not measured by a ticket feed", s.Name)
	}
	if f, ok := m.feeds[s.TicketSource.Feed]; ok {
		return f, nil
	}
	return nil, verifier.Errorf(verifier.Invalid, "signal %q asks feed %q, which is not configured", s.Name, s.TicketSource.Feed)
}
