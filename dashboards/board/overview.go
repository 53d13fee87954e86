package board

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// overview is what the board says before it lists deploys; each part is left
// out where nobody knows it.
type overview struct {
	Troubles []trouble // what holds reverts back, or makes verdicts blind
	Status   string    // address of the status page; "" for none
	Watched  []watched
	More     int // under way, and not among Watched
	Waiting  []waiting
	// MoreWaiting says that there are others than Waiting at the gate.
	MoreWaiting bool
	Places      []placeRow
	// MorePlaces says that there are others than Places in the list.
	MorePlaces bool
	Accuracy   string
}

// trouble is something that everybody who deploys should know.
type trouble struct {
	Status badge
	Text   string
}

// watched is a verification under way.
type watched struct {
	row
	Left     string // of the window
	Progress progress
	Gate     badge // whether a pipeline that waits for it may go on
}

// placeRow is a service in an environment with its last verdicts, the newest first.
type placeRow struct {
	Service, Environment, Link string
	Marks                      []placeMark
}

type placeMark struct {
	Status badge
	Link   string
	Label  string // for those who can't see the mark
}

const (
	watchedMost = 30 // of each state
	marksMost   = 10
	// placeLink is the longest address, in bytes, that lists a place's deploys; one
	// with longer names has its newest deploy behind its name.
	placeLink = 300
)

// overview reads what is under way for the places of a filter, and how the
// daemon is. What can't be read is left out and logged: the list below is worth
// more than an error.
func (h *Handler) overview(ctx context.Context, f verifier.Filter, found []verifier.Verification, now time.Time) *overview {
	out := overview{Places: h.places(found)}
	out.Waiting, out.MoreWaiting = h.waiting(ctx, f, now)
	for _, state := range []verifier.State{verifier.StateObserving, verifier.StatePending} {
		open, next, err := h.reader.Verifications(ctx, verifier.Filter{Service: f.Service, Environment: f.Environment, State: state, Limit: watchedMost})
		if err != nil {
			h.opts.Log.Error("read what is under way", "state", state, "error", err)
			continue
		}
		if next != "" {
			out.More++
		}
		for _, v := range open {
			out.Watched = append(out.Watched, h.watched(v, now))
		}
	}
	if h.opts.Status != nil {
		out.Status = h.prefix() + "/status"
		if s, err := h.opts.Status(ctx); err != nil {
			h.opts.Log.Error("read status", "error", err)
		} else {
			out.Troubles = s.everybodys(f, now)
		}
	}
	if h.opts.Accuracy != nil {
		if a, err := h.opts.Accuracy(ctx); err != nil {
			h.opts.Log.Error("read accuracy", "error", err)
		} else {
			out.Accuracy = a.sentence()
		}
	}
	return &out
}

func (h *Handler) watched(v verifier.Verification, now time.Time) watched {
	l := look{v: v, now: now}
	out := watched{row: h.row(v, now), Gate: badge{"◔", "pipelines wait", "live"}}
	if p := l.progress(); p != nil {
		out.Progress = *p
		out.Left = words(max(0, v.ClosesAt.Sub(now))) + " left"
	}
	switch {
	case v.Deployment.Rollback:
		out.Gate = badge{"–", "a rollback: nobody waits", "quiet"}
	case v.ClearedAt != nil:
		out.Gate = badge{"✓", "cleared: pipelines may go on", "good"}
	}
	return out
}

// places groups deploys by service and environment, in the order of their
// newest deploys.
func (h *Handler) places(found []verifier.Verification) []placeRow {
	var out []placeRow
	index := map[verifier.Location]int{}
	for _, v := range found {
		where := v.Deployment.Location()
		i, known := index[where]
		if !known {
			i = len(out)
			index[where] = i
			link := h.prefix() + "/?" + url.Values{"service": {where.Service}, "environment": {where.Environment}}.Encode()
			if len(link) > placeLink {
				link = h.prefix() + "/verifications/" + url.PathEscape(v.ID)
			}
			out = append(out, placeRow{Service: clean(where.Service, 40), Environment: clean(where.Environment, 40), Link: link})
		}
		if len(out[i].Marks) < marksMost {
			b := stateBadge(v)
			label := b.Word
			if v.Action.State != verifier.ActionNone && v.Action.State != "" {
				label += ", " + actionBadge(v.Action).Word
			}
			out[i].Marks = append(out[i].Marks, placeMark{Status: b, Link: h.prefix() + "/verifications/" + url.PathEscape(v.ID),
				Label: shortVersion(v.Deployment.Version) + ": " + label})
		}
	}
	return out
}

// everybodys are the troubles that concern who deploys, not only who operates
// the daemon: what a filter leaves of them.
func (s Status) everybodys(f verifier.Filter, now time.Time) []trouble {
	var out []trouble
	if s.Brake.Engaged {
		out = append(out, s.Brake.trouble())
	}
	for _, z := range s.Freezes {
		if f.Service != "" && f.Service != z.Service || f.Environment != "" && f.Environment != z.Environment {
			continue
		}
		until := "until a person unfreezes it"
		if !z.Until.IsZero() {
			until = "for " + words(max(0, z.Until.Sub(now))) + " more"
		}
		out = append(out, trouble{badge{"❄", "frozen", "warn"}, fmt.Sprintf("%s in %s, %s (%s: %s).", name(z.Service), name(z.Environment), until, name(z.By), clean(z.Reason, 120))})
	}
	var downs []string
	for _, u := range s.Upstreams {
		if !u.Up {
			downs = append(downs, name(u.Name))
		}
	}
	if len(downs) > 0 {
		slices.Sort(downs)
		verb := " does"
		if len(downs) > 1 {
			verb = " do"
		}
		out = append(out, trouble{badge{"✖", "down", "bad"}, list(downs) + verb + " not answer: what is not measured never reverts."})
	}
	return out
}

func (b Brake) trouble() trouble {
	why := "there were too many at once."
	if b.Held != nil {
		why = name(b.Held.By) + " engaged it at " + momentAt(b.Held.At).Text + " (" + clean(b.Held.Reason, 120) + ")."
	}
	return trouble{badge{"‖", "brake", "bad"}, "No automatic revert is sent until a person releases it: " + why}
}

func (a Accuracy) sentence() string {
	all := a.Right + a.Wrong
	if all == 0 {
		return "Nobody has said yet whether a keep or revert was right."
	}
	out := fmt.Sprintf("People called %d of %s right (%s%%)", a.Right, plural(all, "keep or revert", "keeps and reverts"), number(100*float64(a.Right)/float64(all)))
	if !a.Since.IsZero() {
		out += " since " + a.Since.UTC().Format(time.DateOnly)
	}
	out += "."
	if a.Reverts > 0 {
		out += fmt.Sprintf(" Of the reverts that they spoke of, %s%% were right (precision)", number(100*a.Precision))
		if a.MinutesToRevert > 0 {
			out += ", half of those within " + words(time.Duration(a.MinutesToRevert*float64(time.Minute)))
		}
		out += "."
	}
	if a.Bad > 0 {
		out += fmt.Sprintf(" Of the bad deploys that they told of, %s%% were reverted (recall).", number(100*a.Recall))
	}
	return out
}
