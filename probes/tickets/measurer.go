// Package tickets counts the tickets that people open, by asking a ticket
// system's JSON API for the number in a stretch of time.
package tickets

import (
	"context"
	"fmt"
	"time"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/verifier"
)

// Observe is told of every request to a feed, by the feed's name.
type Observe = outbound.Observe

// historyRequests is how many requests a history is read with.
const historyRequests = 56

// Measurer measures ticket signals.
type Measurer struct {
	feeds      map[string]*feed
	transports Transports
	observe    Observe
}

// New returns a measurer over feeds. A feed whose URL template or count path
// can't be used is an error of kind Invalid. observe may be nil.
func New(feeds []Feed, transports Transports, observe Observe) (*Measurer, error) {
	m := &Measurer{feeds: map[string]*feed{}, transports: transports, observe: observe}
	for _, f := range feeds {
		made, err := newFeed(f)
		if err != nil {
			return nil, err
		}
		m.feeds[f.Name] = made
	}
	return m, nil
}

// Prepare renders the feed's URL for the target, with the baseline's end as
// the example in Query. It makes no request. Errors are of kind Invalid.
func (m *Measurer) Prepare(_ context.Context, s verifier.Signal, t verifier.Target, step time.Duration, _, until time.Time) (verifier.Plan, error) {
	f, err := m.feed(s)
	if err != nil {
		return verifier.Plan{}, err
	}
	address, err := f.address(t, until.Add(-step), until)
	if err != nil {
		return verifier.Plan{}, fmt.Errorf("prepare signal %q: %w", s.Name, err)
	}
	p := verifier.Plan{Query: upstream(address.URL)}
	if f.Lag > 0 {
		p.Note = fmt.Sprintf("counted %s late, for tickets take that long to be found", f.Lag)
	}
	return p, nil
}

// Measure returns one observation that covers all whole steps of (from, to]
// that are older than the feed's lag, and nothing while there is none.
func (m *Measurer) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	f, err := m.feed(s)
	if err != nil {
		return []verifier.Observation{{At: to, Span: verifier.Duration(to.Sub(from)), Outcome: verifier.Failed, Message: err.Error()}}
	}
	end := wholeSteps(from, to.Add(-f.Lag), step)
	if !end.After(from) {
		return nil
	}
	o := verifier.Observation{At: end, Span: verifier.Duration(end.Sub(from))}
	if o.Count, err = m.ask(ctx, f, t, from, end); err != nil {
		o.Outcome, o.Message = verifier.Failed, err.Error()
	} else {
		o.Outcome = verifier.Measured
	}
	return []verifier.Observation{o}
}

// History returns the counts of (since, until] in equal blocks of whole steps,
// at most 56, asked for one after the other at a polite pace. It stops at the
// first that fails, and returns those before with the error.
func (m *Measurer) History(ctx context.Context, s verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	f, err := m.feed(s)
	if err != nil {
		return nil, err
	}
	if known := time.Now().Add(-f.Lag); until.After(known) {
		until = known
	}
	block := blockOf(until.Sub(since), step)
	if block <= 0 {
		return nil, nil
	}
	var out []verifier.Observation
	for from := since; !from.Add(block).After(until); from = from.Add(block) {
		to := from.Add(block)
		if err := f.pace.Wait(ctx); err != nil {
			return out, verifier.Errorf(verifier.Unavailable, "feed %q: wait for the next request: %w", f.Name, err)
		}
		n, err := m.ask(ctx, f, t, from, to)
		if err != nil {
			return out, fmt.Errorf("read history of signal %q: %w", s.Name, err)
		}
		out = append(out, verifier.Observation{At: to, Span: verifier.Duration(block), Outcome: verifier.Measured, Count: n})
	}
	return out, nil
}

// wholeSteps returns the end of the last whole step after from that is not
// after to.
func wholeSteps(from, to time.Time, step time.Duration) time.Time {
	if step <= 0 || !to.After(from) {
		return from
	}
	return from.Add(to.Sub(from) / step * step)
}

// blockOf returns the smallest number of whole steps that covers a range in
// historyRequests blocks; 0 where there is no whole step.
func blockOf(all, step time.Duration) time.Duration {
	if step <= 0 || all < step {
		return 0
	}
	steps := all / step
	return (steps + historyRequests - 1) / historyRequests * step
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
