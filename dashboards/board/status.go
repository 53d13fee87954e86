package board

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Status is how a daemon and its store are at one moment: what an operator
// looks at when deploys are not judged as expected. Its JSON is what GET /status
// answers to Accept: application/json.
type Status struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
	Database string    `json:"database"` // sqlite or postgres
	Bytes    int64     `json:"storage_bytes"`
	Brake    Brake     `json:"brake"`
	// Freezes are those in force, of people first, then those by the caps.
	Freezes []verifier.Freeze `json:"freezes"`
	// Reverts are the rollbacks that were asked for within the last day.
	Reverts   int        `json:"reverts_24h"`
	Intake    []Intake   `json:"intake"`
	Feeds     []Feed     `json:"feeds"`
	Upstreams []Upstream `json:"upstreams"`
	Checks    Checks     `json:"checks"`
	Queues    []Queue    `json:"queues"`
	Receivers []Receiver `json:"receivers"`
	Replicas  []Replica  `json:"replicas"`
}

// Brake is what stops all automatic reverts at once.
type Brake struct {
	Engaged    bool                `json:"engaged"`
	Held       *verifier.BrakeHold `json:"held,omitempty"` // by a person; nil: too many automatic reverts engaged it, if it is
	ReleasedAt *time.Time          `json:"released_at"`    // by a person, last; nil: never
}

// Intake is a configured source of notifications. A source that was heard of
// once and is silent for long may be dead: nothing else would tell.
type Intake struct {
	Name   string     `json:"name"`
	Format string     `json:"format"`
	LastAt *time.Time `json:"last_at"` // of the last notification that was taken; nil: none is kept
}

// Feed is a configured source of tickets.
type Feed struct {
	Name string `json:"name"`
	// Kind says how it tells: pushed to us, or asked by us.
	Kind   string     `json:"kind"`
	LastAt *time.Time `json:"last_at"` // of the last ticket or answer; nil: none is kept
}

// Upstream is a source of evidence as this replica saw it last.
type Upstream struct {
	Name    string    `json:"name"`
	Up      bool      `json:"up"`
	AskedAt time.Time `json:"asked_at"`
	// UpAt is when it answered last; nil: not since the start.
	UpAt *time.Time `json:"up_at"`
}

// Checks are the looks at verifications that are open.
type Checks struct {
	Pending   int `json:"pending"`
	Observing int `json:"observing"`
	Leased    int `json:"leased"`  // being looked at now, by any replica
	Overdue   int `json:"overdue"` // due, and not being looked at
	// LagSeconds is for how long the one that waits longest has been due.
	LagSeconds float64 `json:"lag_seconds"`
}

// Queue is what waits to be sent.
type Queue struct {
	Kind     verifier.DeliveryKind `json:"kind"`
	Pending  int                   `json:"pending"`   // no attempt was made yet
	Retrying int                   `json:"retryable"` // an attempt failed, another will follow
	OldestAt *time.Time            `json:"oldest_at"` // of both; nil when nothing waits
}

// Replica is a daemon on the same store.
type Replica struct {
	Name       string    `json:"name"`
	Version    string    `json:"version"`
	StartedAt  time.Time `json:"started_at"`
	SeenAt     time.Time `json:"seen_at"`
	LeaseUntil time.Time `json:"lease_until"` // gone, unless it is seen again before
	Self       bool      `json:"self"`        // who answers
}

// Accuracy is what people said of verdicts afterwards.
type Accuracy struct {
	Right int
	Wrong int
	Since time.Time // of the oldest verdict that they spoke about; zero: not told
	// Precision is the share of so many Reverts that were right, Recall the share
	// of so many Bad deploys that were reverted, both 0 to 1.
	Precision, Recall float64
	Reverts, Bad      int
	MinutesToRevert   float64 // median of those that were right; 0: not known
}

const (
	// lateCheck is a lag of checks that is worth a look, twice the usual
	// interval.
	lateCheck = 30 * time.Second
	// staleDelivery is an age of a delivery that is worth a look: by then the
	// third attempt has failed.
	staleDelivery = 2 * time.Minute
)

// statusView is the status page: what is wrong first.
type statusView struct {
	Word     badge
	Troubles []string
	At       moment
	Status   Status
	Rows     []statusSection
	JSON     string
}

// statusSection is a table of the page.
type statusSection struct {
	Title   string
	Columns []string
	Rows    []statusRow
	Empty   string // said where there is no row
}

type statusRow struct {
	State badge
	Name  string
	Cells []statusCell
}

type statusCell struct {
	Label, Text string
	At          *moment
}

func (h *Handler) serveStatus(w http.ResponseWriter, r *http.Request) {
	s, err := h.opts.Status(r.Context())
	if err != nil {
		h.problem(w, r, err)
		return
	}
	if wantsJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Vary", "Accept")
		_ = json.NewEncoder(w).Encode(s) // the reader has gone away: nobody is left to tell
		return
	}
	view := s.view(h.opts.Now())
	h.render(w, http.StatusOK, statusPage, page{Title: view.Word.Mark + " " + view.Word.Word, Refresh: 15, Body: view})
}

func (s Status) view(now time.Time) statusView {
	out := statusView{Word: badge{"✔", "All is well", "good"}, Troubles: s.troubles(now), At: momentAt(now), Status: s}
	if n := len(out.Troubles); n > 0 {
		out.Word = badge{"⚠", plural(n, "thing needs a look", "things need a look"), "warn"}
	}
	out.Rows = []statusSection{s.heldBack(now), s.intake(now), s.upstreams(now), s.feeds(now), s.checks(now), s.queues(now), s.receivers(now), s.replicas(now)}
	return out
}

// troubles are what an operator should look at, a sentence each.
func (s Status) troubles(now time.Time) []string {
	var out []string
	if s.Brake.Engaged {
		out = append(out, s.Brake.sentence())
	}
	for _, u := range s.Upstreams {
		if !u.Up {
			out = append(out, name(u.Name)+" does not answer: what it would have shown is not measured, and never reverts.")
		}
	}
	if lag := seconds(s.Checks.LagSeconds); lag >= lateCheck {
		out = append(out, "Checks are "+words(lag)+" late: verdicts come late as well.")
	}
	for _, q := range s.Queues {
		if q.OldestAt != nil && now.Sub(*q.OldestAt) >= staleDelivery {
			out = append(out, "A "+string(q.Kind)+" has waited for "+words(now.Sub(*q.OldestAt))+" to be delivered.")
		}
	}
	for _, r := range s.Receivers {
		if trouble := r.trouble(now); trouble != "" {
			out = append(out, trouble)
		}
	}
	for _, p := range s.Replicas {
		if p.LeaseUntil.Before(now) {
			out = append(out, "Replica "+name(p.Name)+" has not been seen for "+words(now.Sub(p.SeenAt))+".")
		}
	}
	return out
}

// sentence says that the brake is engaged, and by whom where a person did it.
func (b Brake) sentence() string {
	if b.Held == nil {
		return "The brake is engaged: no automatic revert is sent until a person releases it."
	}
	return fmt.Sprintf("The brake is engaged, by %s at %s (%s): no automatic revert is sent until a person releases it.",
		name(b.Held.By), momentAt(b.Held.At).Text, clean(b.Held.Reason, 200))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// ago is a time as an operator reads it: how long since.
func ago(label string, t *time.Time, now time.Time, never string) statusCell {
	if t == nil || t.IsZero() {
		return statusCell{Label: label, Text: never}
	}
	m := momentAt(*t)
	return statusCell{Label: label, Text: words(max(0, now.Sub(*t))) + " ago", At: &m}
}

func (b Brake) why() string {
	if b.Held == nil {
		return "too many automatic reverts at once"
	}
	return name(b.Held.By) + ": " + clean(b.Held.Reason, 200)
}

func (s Status) heldBack(now time.Time) statusSection {
	out := statusSection{Title: "Held back", Columns: []string{"What", "Why", "Until"}}
	if s.Brake.Engaged {
		out.Rows = append(out.Rows, statusRow{badge{"‖", "brake engaged", "bad"}, "every service",
			[]statusCell{{Label: "Why", Text: s.Brake.why()}, {Label: "Until", Text: "a person releases it: postflight brake release"}}})
	}
	for _, f := range s.Freezes {
		until := statusCell{Label: "Until", Text: "a person unfreezes it"}
		if !f.Until.IsZero() {
			m := momentAt(f.Until)
			until.Text, until.At = "in "+words(max(0, f.Until.Sub(now))), &m
		}
		out.Rows = append(out.Rows, statusRow{badge{"❄", "frozen", "warn"}, name(f.Service) + " in " + name(f.Environment),
			[]statusCell{{Label: "Why", Text: name(f.By) + ": " + clean(f.Reason, 200)}, until}})
	}
	out.Empty = "Nothing: the brake is released, and no service is frozen."
	return out
}

func (s Status) intake(now time.Time) statusSection {
	out := statusSection{Title: "Notifications", Columns: []string{"Source", "Format", "Last"}, Empty: "No source is configured."}
	for _, i := range s.Intake {
		state := badge{"✔", "heard", "good"}
		if i.LastAt == nil {
			state = badge{"?", "silent", "warn"}
		}
		out.Rows = append(out.Rows, statusRow{state, name(i.Name), []statusCell{{Label: "Format", Text: name(i.Format)}, ago("Last", i.LastAt, now, "none that is kept")}})
	}
	return out
}

func (s Status) upstreams(now time.Time) statusSection {
	out := statusSection{Title: "Sources of evidence", Columns: []string{"Source", "Last asked", "Last answer"}, Empty: "No Prometheus and no feed was asked since the start; probes ask the service itself."}
	all := slices.Clone(s.Upstreams)
	slices.SortStableFunc(all, func(a, b Upstream) int {
		return cmp.Or(down(b)-down(a), cmp.Compare(a.Name, b.Name))
	})
	for _, u := range all {
		state := badge{"✔", "up", "good"}
		if !u.Up {
			state = badge{"✖", "down", "bad"}
		}
		out.Rows = append(out.Rows, statusRow{state, name(u.Name), []statusCell{ago("Last asked", &u.AskedAt, now, "never"), ago("Last answer", u.UpAt, now, "none since the start")}})
	}
	return out
}

func down(u Upstream) int {
	if u.Up {
		return 0
	}
	return 1
}

func (s Status) feeds(now time.Time) statusSection {
	out := statusSection{Title: "Tickets", Columns: []string{"Feed", "Kind", "Last"}, Empty: "No feed is configured."}
	for _, f := range s.Feeds {
		state := badge{"✔", "heard", "good"}
		if f.LastAt == nil {
			state = badge{"?", "silent", "warn"}
		}
		out.Rows = append(out.Rows, statusRow{state, name(f.Name), []statusCell{{Label: "Kind", Text: name(f.Kind)}, ago("Last", f.LastAt, now, "none that is kept")}})
	}
	return out
}

func (s Status) checks(time.Time) statusSection {
	c := s.Checks
	state := badge{"✔", "on time", "good"}
	if lag := seconds(c.LagSeconds); lag >= lateCheck {
		state = badge{"⚠", words(lag) + " late", "warn"}
	}
	return statusSection{Title: "Checks", Columns: []string{"What", "Open", "Now"}, Rows: []statusRow{{state, "verifications", []statusCell{
		{Label: "Open", Text: plural(c.Observing, "observed", "observed") + ", " + plural(c.Pending, "waiting for its past", "waiting for their past")},
		{Label: "Now", Text: plural(c.Leased, "being looked at", "being looked at") + ", " + plural(c.Overdue, "due", "due")},
	}}}}
}

func (s Status) queues(now time.Time) statusSection {
	out := statusSection{Title: "Deliveries", Columns: []string{"Kind", "Waiting", "Oldest"}, Empty: "Nothing waits to be sent."}
	for _, q := range s.Queues {
		state := badge{"✔", "moving", "good"}
		if q.OldestAt == nil {
			state = badge{"✔", "empty", "good"}
		} else if now.Sub(*q.OldestAt) >= staleDelivery {
			state = badge{"⚠", "stuck", "warn"}
		} else if q.Retrying > 0 {
			state = badge{"↻", "trying again", "warn"}
		}
		out.Rows = append(out.Rows, statusRow{state, string(q.Kind), []statusCell{
			{Label: "Waiting", Text: plural(q.Pending, "new", "new") + ", " + plural(q.Retrying, "to be tried again", "to be tried again")}, ago("Oldest", q.OldestAt, now, "none"),
		}})
	}
	return out
}

func (s Status) replicas(now time.Time) statusSection {
	out := statusSection{Title: "Replicas", Columns: []string{"Replica", "Version", "Started", "Seen"}, Empty: "None is known."}
	for _, r := range s.Replicas {
		state := badge{"✔", "alive", "good"}
		if r.LeaseUntil.Before(now) {
			state = badge{"⚠", "gone", "warn"}
		}
		called := name(r.Name)
		if r.Self {
			called += " (this one)"
		}
		out.Rows = append(out.Rows, statusRow{state, called, []statusCell{{Label: "Version", Text: name(r.Version)}, ago("Started", &r.StartedAt, now, ""), ago("Seen", &r.SeenAt, now, "")}})
	}
	return out
}
