package tickets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

const (
	// maxPages bounds what one look reads of a list, in pages; maxPastPages
	// what one stretch of history may hold.
	maxPages     = 50
	maxPastPages = 1000
	// maxPushed is how many pushed tickets are read at once.
	maxPushed = 200_000
)

// number asks a feed that tells only numbers for that of [from, to).
func (m *Measurer) number(ctx context.Context, f *feed, t verifier.Target, from, to time.Time) (float64, error) {
	if f.Query != nil {
		n, err := f.Query(ctx, t, from, to)
		if err != nil {
			return 0, &verifier.Error{Kind: verifier.KindOf(err), Message: "feed \"" + f.Name + "\": " + err.Error(), Err: err}
		}
		return n, nil
	}
	c, err := f.sys.count(f.ask(t, from, to))
	if err != nil {
		return 0, verifier.Errorf(verifier.Invalid, "feed %q: %w", f.Name, err)
	}
	document, err := m.send(ctx, f, c)
	if err != nil {
		return 0, err
	}
	n, err := f.sys.number(document)
	return n, f.unread(err)
}

// unread explains an answer that can't be taken for what was asked.
func (f *feed) unread(err error) error {
	var cut incompleteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &cut):
		return &verifier.Error{Kind: verifier.Unavailable, Message: "feed \"" + f.Name + "\": " + cut.reason, Err: cut}
	}
	return f.unavailable(err.Error())
}

// opened returns when the tickets that count were created in [from, to), in
// order of time.
func (m *Measurer) opened(ctx context.Context, f *feed, t verifier.Target, from, to time.Time) ([]time.Time, error) {
	w, err := m.walked(ctx, f, t, from, to)
	if err != nil {
		return nil, err
	}
	return w.counted(from, to), nil
}

// walked reads the list of which the tickets created in [from, to) are a part.
func (m *Measurer) walked(ctx context.Context, f *feed, t verifier.Target, from, to time.Time) (*walk, error) {
	w := &walk{m: m, f: f, target: t, from: f.reaches(from), to: to, most: maxPages}
	w.wait = func(ctx context.Context) error {
		if w.pages == 0 { // the caller's
			return nil
		}
		if err := f.looks.Wait(ctx); err != nil {
			return f.unavailable(fmt.Sprintf("at %d requests a minute there was no time for more than %d pages", f.PerMinute, w.pages))
		}
		return nil
	}
	if err := w.all(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// walk reads a list, page by page.
type walk struct {
	m        *Measurer
	f        *feed
	target   verifier.Target
	from, to time.Time
	past     bool                            // what is over
	most     int                             // pages
	wait     func(ctx context.Context) error // before each page; nil is at once
	seen     func(tickets []ticket, cursor string) error

	cursor  string // to begin at
	pages   int
	tickets []ticket
}

// all reads every page.
func (w *walk) all(ctx context.Context) error {
	if w.f.Kind == kindPush {
		return w.pushed(ctx)
	}
	q := w.f.ask(w.target, w.from, w.to)
	ask, read := w.f.sys.list, w.f.sys.page
	if w.past && w.f.sys.past != nil {
		ask, read = w.f.sys.past, w.f.sys.pastPage
	}
	been := map[string]bool{}
	for cursor := w.cursor; ; {
		if been[cursor] {
			return w.f.unavailable("its pages go in a circle")
		}
		been[cursor] = true
		if w.pages == w.most {
			return w.f.unread(incomplete("there are more than %d pages of tickets: narrow down which ones", w.most))
		}
		if w.wait != nil {
			if err := w.wait(ctx); err != nil {
				return err
			}
		}
		c, err := ask(q, cursor)
		if err != nil {
			return w.f.unavailable(err.Error())
		}
		document, err := w.m.send(ctx, w.f, c)
		if err != nil {
			return err
		}
		w.pages++
		p, err := read(document, q, cursor)
		if err != nil {
			return w.f.unread(err)
		}
		if err := w.ahead(p.tickets); err != nil {
			return w.f.unread(err)
		}
		w.tickets = append(w.tickets, p.tickets...)
		if w.seen != nil && len(p.tickets) > 0 {
			if err := w.seen(p.tickets, cursor); err != nil {
				return err
			}
		}
		if p.next == "" {
			return nil
		}
		cursor = p.next
	}
}

// ahead refuses tickets of the future: their times were not read as they were
// meant, and those of now would be counted as none.
func (w *walk) ahead(tickets []ticket) error {
	latest := time.Now()
	if w.to.After(latest) {
		latest = w.to
	}
	for _, t := range tickets {
		if t.at.After(latest.Add(verifier.ClockTolerance)) {
			return fmt.Errorf("a ticket was created at %s, which is still to come: say in time_zone where its times are written, and in created_at which field holds them", t.at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// pushed reads what was pushed.
func (w *walk) pushed(ctx context.Context) error {
	if w.m.o.Shelf == nil {
		return w.f.unavailable("what was pushed is with the daemon")
	}
	list, err := w.m.o.Shelf.Tickets(ctx, w.f.Name, w.from, w.to, maxPushed+1)
	if err != nil {
		return err
	}
	if len(list) > maxPushed {
		return w.f.unread(incomplete("more than %d tickets were pushed", maxPushed))
	}
	for _, t := range list {
		if t.About(w.target) {
			w.tickets = append(w.tickets, ticket{id: t.ID, at: t.CreatedAt, reporter: t.Reporter})
		}
	}
	return nil
}

// counted returns when the tickets that count were created in [from, to): each
// once, about the service, and by reporters who opened none just before.
func (w *walk) counted(from, to time.Time) []time.Time {
	list := make([]ticket, 0, len(w.tickets))
	ids := map[string]bool{}
	for _, t := range w.tickets {
		if t.id != "" && ids[t.id] || w.f.Service != "" && w.f.Kind != kindPush && !slices.Contains(t.about, w.target.Service) {
			continue
		}
		ids[t.id] = true
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(a, b ticket) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	var out []time.Time
	last := map[string]time.Time{}
	for _, t := range list {
		before, again := last[t.reporter]
		last[t.reporter] = t.at
		if w.f.OncePerReporter > 0 && t.reporter != "" && again && t.at.Sub(before) < w.f.OncePerReporter {
			continue
		}
		if !t.at.Before(from) && t.at.Before(to) {
			out = append(out, t.at)
		}
	}
	return out
}

// within counts the times in [from, to).
func within(times []time.Time, from, to time.Time) float64 {
	n := 0
	for _, at := range times {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return float64(n)
}
