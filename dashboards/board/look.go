package board

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// look is everything that a verdict page is made of: one verification at one
// moment. Its methods are pure.
type look struct {
	v          verifier.Verification
	evidence   verifier.Evidence
	noEvidence bool // it could not be read
	now        time.Time
	prefix     string
	decisions  bool
	feedback   bool
	decided    *decisions             // what people may decide; nil for nothing
	next       *verifier.Verification // of the deployment that came after, where known
	// around are other deploys of the environment near this one, known where
	// askedAround.
	around      []verifier.Verification
	askedAround bool
	brake       *Brake            // how it is now; nil: not asked
	servers     map[string]string // addresses of Prometheus servers by name
	room        room
}

// pageBytes is the most that a verdict page or a page of the board may weigh.
const pageBytes = 100_000

// room is how much a page holds of what can grow without end; the record has
// all of it.
type room struct {
	signals, unknown, events, deliveries, attempts int // rows; attempts of one delivery
	charts, points                                 int // points of all charts together
	query                                          int // characters of all queries together
}

// fullRoom is enough for what people really run.
var fullRoom = room{signals: 40, unknown: 40, events: 60, deliveries: 30, attempts: 6, charts: 16, points: 1600, query: 24000}

func (r room) half() room {
	for _, n := range []*int{&r.signals, &r.unknown, &r.events, &r.deliveries, &r.attempts, &r.charts, &r.points, &r.query} {
		*n = max(*n/2, 1)
	}
	return r
}

// verdictView is a verdict page, in the order in which it is read.
type verdictView struct {
	ID                            string
	Service, Environment, Version string
	Status                        badge
	Action                        *badge // where something was, or was not, done about the verdict
	Headline, Done                string
	Rollback                      string   // why the deploy itself is one; "" when it is none
	Gate                          *trouble // that it went against a no-go
	Conditions                    []string // under which it was approved
	MoreConditions                int
	Facts                         []fact
	Progress                      *progress
	Truth                         []truth
	Open                          []step
	Decisions                     *decisions
	Signals                       []signalView
	MoreSignals                   int
	Around                        []surroundingView
	MoreAround                    int
	AroundNote                    string
	Brake                         *trouble // where it is engaged now
	Asked                         []string // names of signals that were not judged yet
	Unknown                       []string
	Missing                       bool // Unknown names something that was not known
	Timeline                      []event
	MoreEvents                    int
	Charts                        []chart
	ChartNote                     string
	Picture                       string // address of the charts as PNG; "" where there are none
	Deliveries                    []deliveryView
	MoreDeliveries                int
	Record, Evidence              string // addresses of the raw JSON
}

// fact is a line of the small print under the headline.
type fact struct {
	Name, Text, Link string
	At               *moment
}

type progress struct {
	Done, Whole int // seconds
	Text        string
}

func (l look) title() string {
	d := l.v.Deployment
	b := l.status()
	return fmt.Sprintf("%s %s %s %s (%s)", b.Mark, b.Word, clean(d.Service, 40), clean(d.Version, 40), clean(d.Environment, 40))
}

// refresh says how often a page that still changes asks again.
func (l look) refresh() int {
	if !l.v.State.Final() || l.v.Action.Open() {
		return 5
	}
	return 0
}

func (l look) view() verdictView {
	v, d := l.v, l.v.Deployment
	path := l.prefix + "/api/v1/verifications/" + url.PathEscape(v.ID)
	out := verdictView{
		ID: name(v.ID), Service: name(d.Service), Environment: name(d.Environment), Version: name(d.Version),
		Status: l.status(), Headline: l.headline(), Done: l.done(),
		Facts: l.facts(), Progress: l.progress(), Truth: l.truth(), Open: l.open(), Decisions: l.decided,
		Signals: l.signals(), Record: path, Evidence: path + "/evidence",
	}
	if a := v.Action; a.State != verifier.ActionNone && a.State != "" {
		b := actionBadge(a)
		out.Action = &b
	}
	if d.Rollback {
		out.Rollback = cmp.Or(clean(d.RollbackWhy, 200), "its source says so")
	}
	out.Gate = gateTrouble(d)
	out.Conditions, out.MoreConditions = conditionsOf(d, l.room.signals)
	out.MoreSignals = len(v.Signals) - len(out.Signals)
	if len(out.Signals) == 0 {
		for _, s := range l.evidence.Policy.Signals {
			out.Asked = append(out.Asked, name(s.Name))
		}
	}
	out.Unknown, out.Missing = l.unknown()
	out.Around, out.MoreAround, out.AroundNote = l.surroundings()
	if l.brake != nil && l.brake.Engaged {
		brake := l.brake.trouble()
		out.Brake = &brake
	}
	out.Timeline, out.MoreEvents = l.timeline()
	out.Charts, out.ChartNote = l.charts()
	if len(out.Charts) > 0 {
		out.Picture = l.pageOf(v) + "/chart.png"
	}
	out.Deliveries, out.MoreDeliveries = l.deliveries()
	return out
}

// headline is the verdict in one sentence.
func (l look) headline() string {
	v := l.v
	switch {
	case overruled(v):
		o := v.Override
		return fmt.Sprintf("%s decided %s: %s. The verdict had been %s: %s", name(o.By), o.Decision,
			strings.TrimRight(clean(o.Reason, sentenceLength), "."), v.Verdict.Decision, clean(v.Verdict.Summary, sentenceLength))
	case v.Verdict != nil:
		if s := clean(v.Verdict.Summary, sentenceLength); s != "" {
			return s
		}
		return "The verdict is " + string(v.Verdict.Decision) + "."
	case v.State == verifier.StateSuperseded:
		return "A newer deploy of " + name(v.Deployment.Service) + " came before this one was judged: there is no verdict."
	case v.State == verifier.StateCancelled:
		return "A person ended this verification: there is no verdict."
	case v.State == verifier.StatePending:
		return "Announced and stored; the service's past is being read, then the watch begins."
	}
	bad := l.namesIn(verifier.SignalBad)
	switch dark, since := l.dark(); {
	case len(dark) > 0:
		return "Blind since " + clock(since) + ": " + list(dark) + " can't be measured. What is not measured never reverts."
	case v.Attribution != nil && v.Attribution.Waiting != "" && len(bad) > 0:
		return "Looks bad: " + list(bad) + ". No verdict yet: " + clean(v.Attribution.Waiting, sentenceLength) + "."
	case len(bad) > 0:
		return "Looks bad: " + list(bad) + ". No verdict yet."
	case v.ClearedAt != nil:
		return "Cleared: harm of twice the expected level is ruled out, waiting pipelines may go on. Watched to the end of the window all the same."
	}
	return "Nothing bad so far. No verdict yet."
}

func (l look) namesIn(state verifier.SignalState) []string {
	var out []string
	for _, f := range l.v.Signals {
		if f.State == state {
			out = append(out, name(f.Name))
		}
	}
	return out
}

func (l look) facts() []fact {
	v, d := l.v, l.v.Deployment
	finished := momentAt(d.FinishedAt)
	deployed := fact{Name: "deployed", At: &finished}
	if d.Actor != "" {
		deployed.Text = "by " + name(d.Actor)
	}
	out := []fact{deployed}
	if d.Previous != "" {
		out = append(out, fact{Name: "before it (as told)", Text: name(d.Previous)})
	}
	source := fact{Name: "announced by", Text: name(d.Source), Link: webLink(d.URL)}
	if d.DeploymentID != "" {
		source.Text += ", " + name(d.DeploymentID)
	}
	if d.URL != "" && source.Link == "" {
		source.Text += " (its address is no http link)"
	}
	mode := "shadow: judges and tells, calls nothing"
	if v.Mode == verifier.Enforce {
		mode = "enforce: a revert calls the rollback"
	}
	opened, closes := momentAt(v.OpenedAt), momentAt(v.ClosesAt)
	if g := d.Gate; g != nil {
		asked := momentAt(g.At)
		out = append(out, fact{Name: "gate", At: &asked, Text: string(g.Decision), Link: l.prefix + "/record?" + url.Values{"service": {d.Service}, "version": {d.Version}}.Encode()})
	}
	return append(out, source,
		fact{Name: "mode", Text: mode},
		fact{Name: "opened", At: &opened},
		fact{Name: "window ends", At: &closes, Text: "(" + words(v.ClosesAt.Sub(d.FinishedAt)) + " after the deploy)"},
		fact{Name: "policy", Text: name(v.Policy) + ", " + name(v.PolicyHash)},
	)
}

// progress is nil once nothing more will be measured.
func (l look) progress() *progress {
	v := l.v
	if v.State.Final() {
		return nil
	}
	from := v.Deployment.FinishedAt
	whole := v.ClosesAt.Sub(from)
	done := min(max(l.now.Sub(from), 0), whole)
	p := progress{Done: int(done.Seconds()), Whole: max(int(whole.Seconds()), 1)}
	p.Text = fmt.Sprintf("%s of %s, %s left", words(done), words(whole), words(whole-done))
	if done == whole {
		p.Text = "The window is over; the verdict is due."
	}
	return &p
}

// list joins names as people do: a, b and c.
func list(names []string) string {
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return names[0]
	case n > 6:
		return list(append(slices.Clone(names[:5]), fmt.Sprintf("%d more", n-5)))
	default:
		out := names[0]
		for _, s := range names[1 : n-1] {
			out += ", " + s
		}
		return out + " and " + names[n-1]
	}
}
