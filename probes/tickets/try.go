package tickets

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Trial is what a feed answers when it is tried.
type Trial struct {
	Feed    string    `json:"feed"`
	Kind    string    `json:"kind"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Request string    `json:"request"` // the first one, without credentials
	Count   float64   `json:"count"`
	// First and Last are when the first and the last of the tickets that the
	// feed told of were created, those that it lists beside what was asked for
	// among them; nil where there are none, or where the feed doesn't tell.
	First *time.Time `json:"first_created_at"`
	Last  *time.Time `json:"last_created_at"`
	Notes []string   `json:"notes,omitempty"` // what to look at
}

// Try asks a feed once for the tickets created in [from, to), and for the first
// and the last of them. Errors are of kind Invalid or Unavailable; the trial
// then holds the request.
func (m *Measurer) Try(ctx context.Context, name string, t verifier.Target, from, to time.Time) (Trial, error) {
	f, ok := m.feeds[name]
	if !ok {
		names := make([]string, 0, len(m.feeds))
		for known := range m.feeds {
			names = append(names, known)
		}
		slices.Sort(names)
		if len(names) == 0 {
			return Trial{}, verifier.Errorf(verifier.Invalid, "there is no feed %q: the configuration has none", name)
		}
		return Trial{}, verifier.Errorf(verifier.Invalid, "there is no feed %q: the configuration has %s", name, strings.Join(names, ", "))
	}
	trial := Trial{Feed: name, Kind: f.Kind, From: from.UTC(), To: to.UTC()}
	request, err := f.example(t, from, to)
	if err != nil {
		return trial, verifier.Errorf(verifier.Invalid, "feed %q: %w", name, err)
	}
	trial.Request = request
	if f.Lag > 0 && time.Since(to) < f.Lag {
		trial.Notes = append(trial.Notes, fmt.Sprintf("the newest %s may not be complete: verifications leave them out (lag)", short(f.Lag)))
	}
	if f.numbers() {
		return trial, m.tryNumber(ctx, f, t, &trial)
	}
	w, err := m.walked(ctx, f, t, from, to)
	if err != nil {
		return trial, err
	}
	trial.Count = float64(len(w.counted(from, to)))
	for _, listed := range w.tickets {
		if at := listed.at; trial.First == nil || at.Before(*trial.First) {
			trial.First = &at
		}
		if at := listed.at; trial.Last == nil || at.After(*trial.Last) {
			trial.Last = &at
		}
	}
	if trial.Count == 0 && trial.First != nil {
		trial.Notes = append(trial.Notes, fmt.Sprintf("of the %d tickets listed none counts, for their time, service or reporter: look at first and last, and at the feed's time_zone, created_at, service and once_per_reporter", len(w.tickets)))
	}
	return trial, nil
}

func (m *Measurer) tryNumber(ctx context.Context, f *feed, t verifier.Target, trial *Trial) error {
	var err error
	if trial.Count, err = m.number(ctx, f, t, trial.From, trial.To); err != nil {
		return err
	}
	if f.sys.edge == nil {
		trial.Notes = append(trial.Notes, "a number alone doesn't tell when the tickets were created: compare it with what the system itself shows")
		return nil
	}
	for _, end := range []struct {
		last bool
		into **time.Time
	}{{false, &trial.First}, {true, &trial.Last}} {
		c, err := f.sys.edge(f.ask(t, trial.From, trial.To), end.last)
		if err != nil {
			return verifier.Errorf(verifier.Invalid, "feed %q: %w", f.Name, err)
		}
		document, err := m.send(ctx, f, c)
		if err != nil {
			return err
		}
		at, err := f.sys.edgeAt(document)
		if err != nil {
			return f.unread(err)
		}
		if !at.IsZero() {
			*end.into = &at
		}
	}
	trial.judge()
	return nil
}

// judge notes what doesn't fit together: most often a time zone.
func (t *Trial) judge() {
	for _, at := range []*time.Time{t.First, t.Last} {
		if at != nil && (at.Before(t.From) || !at.Before(t.To)) {
			t.Notes = append(t.Notes, fmt.Sprintf("a ticket of %s is outside of what was asked for: the system reads the times otherwise, look at the time zone of the account", at.UTC().Format(time.RFC3339)))
			return
		}
	}
	if (t.Count > 0) != (t.First != nil) {
		t.Notes = append(t.Notes, "the number and the list of tickets don't agree: the account may be allowed to count more than it may see")
	}
}
