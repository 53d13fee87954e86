// Package alerts measures in how much of the time an alert was firing about a
// service, by what an alerting system has sent.
package alerts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Lag is how long an alert may take to be told: Alertmanager gathers a group
// for 30 s by default before it sends it. The newest Lag is never measured.
const Lag = time.Minute

// historySteps is how many observations a history has at most.
const historySteps = 20_000

// Book is where the alerts are written down that were told.
type Book interface {
	// AlertHistory returns the alerts of a source about a service and
	// environment that were firing at some time from since to until, and when
	// the source told anything at all. An error may pass.
	AlertHistory(ctx context.Context, source, service, environment string, since, until time.Time) (verifier.AlertHistory, error)
}

// Measurer measures alerts signals. It asks nobody but its book.
type Measurer struct {
	book    Book
	sources []string
}

// New returns a measurer over the alerts of those configured sources.
func New(book Book, sources []string) *Measurer { return &Measurer{book: book, sources: sources} }

// Prepare says which alerts count. A source that is not configured is an error
// of kind Invalid.
func (m *Measurer) Prepare(_ context.Context, s verifier.Signal, t verifier.Target, _ time.Duration, _, _ time.Time) (verifier.Plan, error) {
	if s.AlertSource == nil {
		return verifier.Plan{}, verifier.Errorf(verifier.Invalid, "signal %q is not measured by alerts", s.Name)
	}
	if !slices.Contains(m.sources, s.AlertSource.Source) {
		return verifier.Plan{}, verifier.Errorf(verifier.Invalid, "signal %q reads the alerts of source %q, which is not configured", s.Name, s.AlertSource.Source)
	}
	query := fmt.Sprintf("alerts of %s about %s in %s", s.AlertSource.Source, t.Service, t.Environment)
	for _, name := range slices.Sorted(maps.Keys(s.AlertSource.Labels)) {
		query += fmt.Sprintf(", %s like %s", name, s.AlertSource.Labels[name])
	}
	return verifier.Plan{Query: query, Note: fmt.Sprintf("counted %s late, for alerts take that long to be told", Lag)}, nil
}

// Measure is MeasureAgain without anything measured before.
func (m *Measurer) Measure(ctx context.Context, s verifier.Signal, t verifier.Target, p verifier.Plan, step time.Duration, from, to time.Time) []verifier.Observation {
	return m.MeasureAgain(ctx, s, t, p, step, from, to, nil)
}

// MeasureAgain returns one observation for every step of (from, to] that is
// older than Lag: bad where an alert was firing in it. Those measured before
// are returned again where they changed: an alert that joins a group which was
// told already waits for group_interval, five minutes by default.
func (m *Measurer) MeasureAgain(ctx context.Context, s verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, from, to time.Time, measured []verifier.Observation) []verifier.Observation {
	changed, err := m.revisit(ctx, s, t, measured)
	var out []verifier.Observation
	if err == nil {
		out, err = m.observe(ctx, s, t, step, 1, from, to.Add(-Lag))
	}
	if err != nil {
		return []verifier.Observation{{At: to, Span: verifier.Duration(to.Sub(from)), Outcome: verifier.Failed, Message: err.Error()}}
	}
	return append(changed, out...)
}

// revisit reads again what was measured, and returns what is different now.
func (m *Measurer) revisit(ctx context.Context, s verifier.Signal, t verifier.Target, measured []verifier.Observation) ([]verifier.Observation, error) {
	measured = slices.DeleteFunc(slices.Clone(measured), func(o verifier.Observation) bool { return o.Outcome != verifier.Measured || o.Span <= 0 })
	if s.AlertSource == nil || len(measured) == 0 {
		return nil, nil
	}
	since, until := measured[0].At.Add(-measured[0].Span.D()), measured[0].At
	for _, o := range measured {
		if began := o.At.Add(-o.Span.D()); began.Before(since) {
			since = began
		}
		if o.At.After(until) {
			until = o.At
		}
	}
	h, err := m.read(ctx, s, t, since, until)
	if err != nil {
		return nil, err
	}
	var changed []verifier.Observation
	for _, o := range measured {
		if now := seen(h.Alerts, o, o.Span.D()); now.Bad != o.Bad {
			changed = append(changed, now)
		}
	}
	return changed, nil
}

// read returns the alerts that count for a signal.
func (m *Measurer) read(ctx context.Context, s verifier.Signal, t verifier.Target, from, to time.Time) (verifier.AlertHistory, error) {
	h, err := m.book.AlertHistory(ctx, s.AlertSource.Source, t.Service, t.Environment, from, to)
	if err != nil {
		return h, fmt.Errorf("signal %q: %w", s.Name, err)
	}
	h.Alerts = slices.DeleteFunc(h.Alerts, func(a verifier.Alert) bool { return !s.AlertSource.Matches(a) })
	return h, nil
}

// seen returns o with the number of its steps in which an alert was firing.
func seen(alerts []verifier.Alert, o verifier.Observation, step time.Duration) verifier.Observation {
	o.Bad, o.Message = 0, ""
	for end := o.At.Add(-o.Span.D() + step); !end.After(o.At); end = end.Add(step) {
		if names := firing(alerts, end.Add(-step), end); len(names) > 0 {
			o.Bad++
			o.Message = "firing: " + strings.Join(names, ", ")
		}
	}
	return o
}

// History returns the same over the past, several steps in one observation
// where there would be more than 20,000.
func (m *Measurer) History(ctx context.Context, s verifier.Signal, t verifier.Target, _ verifier.Plan, step time.Duration, since, until time.Time) ([]verifier.Observation, error) {
	if step <= 0 {
		return nil, nil
	}
	if known := time.Now().Add(-Lag); until.After(known) {
		until = known
	}
	together := until.Sub(since)/step/historySteps + 1
	return m.observe(ctx, s, t, step, int(together), since, until)
}

// observe returns one observation for each whole group of steps in (from, to].
func (m *Measurer) observe(ctx context.Context, s verifier.Signal, t verifier.Target, step time.Duration, together int, from, to time.Time) ([]verifier.Observation, error) {
	span := step * time.Duration(together)
	if s.AlertSource == nil || span <= 0 || to.Sub(from) < span {
		return nil, nil
	}
	h, err := m.read(ctx, s, t, from, to)
	if err != nil {
		return nil, err
	}
	var out []verifier.Observation
	for at := from.Add(span); !at.After(to); at = at.Add(span) {
		o := verifier.Observation{At: at, Span: verifier.Duration(span)}
		if why := unknown(h, *s.AlertSource, at); why != "" {
			o.Outcome, o.Message = verifier.NoData, why
			out = append(out, o)
			continue
		}
		o.Outcome, o.Total = verifier.Measured, float64(together)
		out = append(out, seen(h.Alerts, o, step))
	}
	return out, nil
}

// unknown says why it isn't known whether an alert was firing at a time. What
// is quiet and what is gone look alike, so that a source which never told
// anything, or no longer does, says nothing good.
func unknown(h verifier.AlertHistory, s verifier.AlertSource, at time.Time) string {
	switch {
	case h.First.IsZero():
		return fmt.Sprintf("source %q has not told anything yet", s.Source)
	case at.Before(h.First):
		return fmt.Sprintf("source %q had not told anything yet", s.Source)
	case s.Heartbeat > 0 && at.After(h.Last.Add(s.Heartbeat.D())):
		return fmt.Sprintf("source %q has told nothing since %s", s.Source, h.Last.UTC().Format(time.RFC3339))
	}
	return ""
}

// shownAlerts is how many alerts a message names.
const shownAlerts = 5

// firing returns the names of the alerts that were firing in (from, to].
func firing(alerts []verifier.Alert, from, to time.Time) []string {
	var names []string
	for _, a := range alerts {
		name := a.Name
		if name == "" {
			name = a.Fingerprint
		}
		if a.StartsAt.Before(to) && a.Until().After(from) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > shownAlerts {
		names = append(names[:shownAlerts], "and more")
	}
	return names
}
