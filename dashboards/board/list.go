package board

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// pageLength is how many verifications a board page holds.
const pageLength = 50

// filterLength is the longest filter that is looked for, in bytes.
const filterLength = 500

// What the filters may say; "" is everything.
var (
	verdicts = []verifier.Decision{verifier.Keep, verifier.Revert, verifier.Inconclusive}
	states   = []verifier.State{verifier.StatePending, verifier.StateObserving, verifier.StateDecided, verifier.StateSuperseded, verifier.StateCancelled}
)

// boardView is a page of the board.
type boardView struct {
	Overview    *overview // on the first page of what no state or verdict was picked from
	Filter      verifier.Filter
	Filtered    bool
	Verdicts    []verifier.Decision
	States      []verifier.State
	Rows        []row
	Next        string // address of the next page; "" on the last
	Later       bool   // not the first page
	ExternalURL string
}

// row is one verification.
type row struct {
	Link, Service, Environment, Version string
	FullVersion                         string
	Status, Action                      badge
	Rollback                            bool
	Effective                           string // a person's decision, where it differs from the verdict
	Mode                                string
	Age                                 string
	At                                  moment
}

func (h *Handler) serveBoard(w http.ResponseWriter, r *http.Request) {
	filter, err := readFilter(r.URL.Query())
	if err != nil {
		h.problem(w, r, err)
		return
	}
	found, next, err := h.reader.Verifications(r.Context(), filter)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	now := h.opts.Now()
	view := boardView{
		Filter: filter, Filtered: filter.Service+filter.Environment+filter.Version+string(filter.Verdict)+string(filter.State) != "",
		Verdicts: verdicts, States: states, Later: filter.Cursor != "",
		ExternalURL: strings.TrimRight(h.opts.ExternalURL(), "/"),
	}
	if view.ExternalURL == "" {
		view.ExternalURL = "http://" + clean(r.Host, 100)
	}
	refresh := 0
	if filter.Cursor == "" && filter.Version+string(filter.Verdict)+string(filter.State) == "" {
		if o := h.overview(r.Context(), filter, found, now); len(found) > 0 || len(o.Waiting) > 0 {
			view.Overview, refresh = o, 15
		}
	}
	for _, v := range found {
		view.Rows = append(view.Rows, h.row(v, now))
	}
	if next != "" {
		q := r.URL.Query()
		q.Set("cursor", next)
		view.Next = h.prefix() + "/?" + q.Encode()
	}
	body, err := h.fitBoard(page{Title: "Deploys", Refresh: refresh}, view)
	if err != nil {
		h.opts.Log.Error("render page", "page", "Deploys", "error", err)
		http.Error(w, "This page could not be rendered; the same facts are under /api/v1/verifications.", http.StatusInternalServerError)
		return
	}
	h.send(w, http.StatusOK, body)
}

// boardRoom is how much of what pageBytes may not hold is shown.
type boardRoom struct {
	name, title              int // characters
	watched, places, trouble int
	waiting                  int
}

// boardRooms become narrower until a page fits. The list is never cut short:
// its next page begins after it.
var boardRooms = []boardRoom{{20, 40, 15, 25, 20, 10}, {12, 20, 8, 12, 8, 5}, {8, 8, 4, 6, 4, 2}}

// fitBoard renders the board with as much as pageBytes hold.
func (h *Handler) fitBoard(p page, view boardView) ([]byte, error) {
	p.Body = view
	body, err := h.execute(boardPage, p)
	for _, room := range boardRooms {
		if err != nil || len(body) <= pageBytes {
			break
		}
		view.narrow(room)
		p.Body = view
		body, err = h.execute(boardPage, p)
	}
	return body, err
}

// narrow cuts what is there to the room.
func (b *boardView) narrow(room boardRoom) {
	for i := range b.Rows {
		b.Rows[i].narrow(room)
	}
	o := b.Overview
	if o == nil {
		return
	}
	if len(o.Watched) > room.watched {
		o.Watched, o.More = o.Watched[:room.watched], o.More+1
	}
	for i := range o.Watched {
		o.Watched[i].narrow(room)
	}
	if len(o.Waiting) > room.waiting {
		o.Waiting, o.MoreWaiting = o.Waiting[:room.waiting], true
	}
	for i := range o.Waiting {
		o.Waiting[i].narrow(room)
	}
	if len(o.Places) > room.places {
		o.Places, o.MorePlaces = o.Places[:room.places], true
	}
	for i := range o.Places {
		p := &o.Places[i]
		p.Service, p.Environment = clean(p.Service, room.name), clean(p.Environment, room.name)
	}
	if left := len(o.Troubles) - room.trouble; left > 0 {
		o.Troubles = append(o.Troubles[:room.trouble:room.trouble], trouble{badge{"⚠", "more", "warn"}, fmt.Sprintf("%d more are on the status page.", left)})
	}
}

func (w *waiting) narrow(room boardRoom) {
	w.Service, w.Environment, w.Version = clean(w.Service, room.name), clean(w.Environment, room.name), clean(w.Version, room.name)
	w.FullVersion = clean(w.FullVersion, room.title)
	for i := range w.For {
		w.For[i] = clean(w.For[i], 2*room.title)
	}
}

func (r *row) narrow(room boardRoom) {
	r.Service, r.Environment, r.Version = clean(r.Service, room.name), clean(r.Environment, room.name), clean(r.Version, room.name)
	r.FullVersion = clean(r.FullVersion, room.title)
}

// readFilter reads the address's filters; empty ones are as good as none.
func readFilter(q url.Values) (verifier.Filter, error) {
	f := verifier.Filter{
		Service: q.Get("service"), Environment: q.Get("environment"), Version: q.Get("version"),
		State: verifier.State(q.Get("state")), Verdict: verifier.Decision(q.Get("verdict")),
		Limit: pageLength, Cursor: q.Get("cursor"),
	}
	for field, value := range map[string]string{"service": f.Service, "environment": f.Environment, "version": f.Version, "cursor": f.Cursor} {
		if len(value) > filterLength {
			return f, verifier.InvalidFields(fmt.Sprintf("%s is longer than %d characters.", field, filterLength),
				verifier.FieldError{Field: field, Message: "too long", Value: name(value)})
		}
	}
	if f.State != "" && !slices.Contains(states, f.State) {
		return f, notOneOf("state", string(f.State), states)
	}
	if f.Verdict != "" && !slices.Contains(verdicts, f.Verdict) {
		return f, notOneOf("verdict", string(f.Verdict), verdicts)
	}
	return f, nil
}

func notOneOf[T ~string](field, got string, allowed []T) error {
	return verifier.InvalidFields(fmt.Sprintf("%s %q is none of %q.", field, got, allowed),
		verifier.FieldError{Field: field, Message: "unknown value", Value: got})
}

// shortVersion is as much of a version as tells it from others at a glance, such
// as a commit's first characters.
func shortVersion(s string) string { return clean(s, 12) }

func (h *Handler) row(v verifier.Verification, now time.Time) row {
	d := v.Deployment
	out := row{
		Link: h.prefix() + "/verifications/" + url.PathEscape(v.ID), Service: clean(d.Service, 40),
		Environment: clean(d.Environment, 40), Version: shortVersion(d.Version), FullVersion: name(d.Version), Status: stateBadge(v), Action: deedBadge(v.Action),
		Rollback: d.Rollback, Mode: string(v.Mode), Age: words(now.Sub(d.FinishedAt)), At: momentAt(d.FinishedAt),
	}
	if overruled(v) {
		out.Effective = string(v.Effective)
	}
	return out
}
