package tickets

import (
	"context"
	"errors"
	"time"
)

// resumption is where the reading of a list that only goes back from now was
// left: stretches from whole on are kept, and the page at cursor begins with
// tickets of theirs.
type resumption struct {
	cursor string
	whole  time.Time
}

// errMoved is a page that no longer begins where it did.
var errMoved = errors.New("tickets were removed: the list has moved")

// back lists from the newest ticket back to the oldest missing stretch, and
// keeps each stretch as soon as the pages are past it, so that a later call
// goes on near where this one was left.
func (h *history) back(ctx context.Context, missing []time.Time) error {
	begin := missing[0]
	for _, at := range missing {
		if at.Before(begin) {
			begin = at
		}
	}
	begin = begin.Add(-h.block)
	err := h.backFrom(ctx, begin, h.resume(begin))
	if errors.Is(err, errMoved) {
		err = h.backFrom(ctx, begin, resumption{whole: h.last()})
	}
	return err
}

// resume returns where to begin: at the newest ticket, or where the last call
// was left.
func (h *history) resume(begin time.Time) resumption {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	if r := h.r.back; r.cursor != "" && r.whole.After(begin) {
		return r
	}
	return resumption{whole: h.last()}
}

// pageSeen is a page of the walk, by the last of its tickets.
type pageSeen struct {
	cursor string
	last   time.Time
}

func (h *history) backFrom(ctx context.Context, begin time.Time, r resumption) error {
	w := h.walk(begin, h.last())
	w.cursor = r.cursor
	var pages []pageSeen
	w.seen = func(tickets []ticket, cursor string) error {
		if len(pages) == 0 && r.cursor != "" && tickets[0].at.Before(r.whole) {
			return errMoved // to pages before this one
		}
		last := tickets[len(tickets)-1].at
		pages = append(pages, pageSeen{cursor, last})
		// Whole are the stretches whose tickets, and what their reporters
		// opened before, have all been seen.
		whole := last.Add(h.f.OncePerReporter + h.block).Truncate(h.block)
		if whole.Before(begin) {
			whole = begin
		}
		if !whole.Before(r.whole) {
			return nil
		}
		err := h.keep(ctx, h.counts(w, whole, r.whole)...)
		r.whole = whole
		h.leave(resumption{pageBefore(pages, whole), whole})
		return err
	}
	err := w.all(ctx)
	switch {
	case errors.Is(err, errMoved):
		return err
	case err != nil:
		return h.gap(ctx, err, begin, r.whole)
	}
	h.leave(resumption{})
	if r.whole.After(begin) {
		return h.keep(ctx, h.counts(w, begin, r.whole)...)
	}
	return nil
}

func (h *history) leave(r resumption) {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	h.r.back = r
}

// pageBefore returns the last page that has nothing older than at: what is
// older begins on the next one. "" is to begin anew.
func pageBefore(pages []pageSeen, at time.Time) string {
	cursor := ""
	for _, p := range pages {
		if p.last.Before(at) {
			break
		}
		cursor = p.cursor
	}
	return cursor
}
