// Package grafana marks deploys and verdicts in Grafana's graphs, as
// annotations of the whole organisation: dashboards ask for them by their tags
// postflight, service:NAME, env:NAME and verdict:WORD. Each verification has
// one annotation, which begins with its deploy and grows with what is told.
package grafana

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/alerting/internal/standing"
	"github.com/postflight/postflight/verifier"
)

const (
	// maxTag is how many characters a tag is given; Grafana's column takes 100.
	maxTag = 100
	// maxText bounds the line of an annotation, in characters.
	maxText = 500
)

// Settings say where annotations go.
type Settings struct {
	URL   string // of Grafana, with its path where it has one
	Token string // of a service account that may write annotations
	// Dashboard is the uid of the only dashboard that shows them; "" is every
	// dashboard that asks for their tags.
	Dashboard string
}

// Receiver writes annotations to Grafana.
type Receiver struct {
	address string
	s       Settings
	call    *call.Caller
}

var (
	_ alerting.Editor = (*Receiver)(nil)
	_ alerting.Prober = (*Receiver)(nil)
)

// New makes the receiver of that name; transport is as of webhook.New. An
// address that is none is an error of kind Invalid.
func New(name string, s Settings, transport http.RoundTripper) (*Receiver, error) {
	who := fmt.Sprintf("grafana %q", name)
	base, err := call.Base(who, s.URL)
	if err != nil {
		return nil, err
	}
	return &Receiver{address: base.String() + "/api/annotations", s: s, call: call.New(who, transport, append(call.Credentials(base), s.Token)...)}, nil
}

// WithTimeout bounds each attempt at d, and returns r.
func (r *Receiver) WithTimeout(d time.Duration) *Receiver {
	r.call.WithTimeout(d)
	return r
}

// annotation is the body of POST /api/annotations. Times are in milliseconds;
// one with an end is a region.
type annotation struct {
	Dashboard string   `json:"dashboardUID,omitempty"`
	Time      int64    `json:"time"`
	TimeEnd   int64    `json:"timeEnd,omitempty"`
	Tags      []string `json:"tags"`
	Text      string   `json:"text"`
}

// Edits reports that each verification has one annotation, which later
// deliveries change.
func (r *Receiver) Edits() bool { return true }

// Send writes the annotation of what the message tells, or changes the one that
// an earlier message wrote. Where somebody has deleted that one, there is a new
// one.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	a := annotate(e)
	id, err := strconv.ParseInt(d.Earlier, 10, 64)
	if err != nil {
		return r.create(ctx, a)
	}
	body, err := json.Marshal(a)
	if err != nil {
		return r.call.Refuse("write the annotation: %w", err)
	}
	result, _ := r.call.Do(ctx, http.MethodPatch, fmt.Sprintf("%s/%d", r.address, id), r.header(), body)
	if result.Status == http.StatusNotFound {
		return r.create(ctx, a)
	}
	result.Reference = d.Earlier
	return result
}

func (r *Receiver) create(ctx context.Context, a annotation) alerting.Result {
	a.Dashboard = r.s.Dashboard
	body, err := json.Marshal(a)
	if err != nil {
		return r.call.Refuse("write the annotation: %w", err)
	}
	result, answer := r.call.Post(ctx, r.address, r.header(), body)
	var said struct{ ID int64 }
	if json.Unmarshal(answer.Body, &said) == nil && said.ID > 0 && result.Outcome == alerting.Delivered {
		result.Reference = strconv.FormatInt(said.ID, 10)
	}
	return result
}

func (r *Receiver) header() map[string]string {
	return map[string]string{"Accept": "application/json", "Authorization": "Bearer " + r.s.Token}
}

// annotate marks the time from the deploy's start to its finish, and from then
// on to what is told.
func annotate(e verifier.Event) annotation {
	v, d := e.Data, e.Data.Deployment
	s := standing.Of(v)
	a := annotation{Tags: []string{"postflight", "deploy", "service:" + d.Service, "env:" + d.Environment}}
	a.Time, a.TimeEnd = region(d.StartedAt, e.Timestamp)
	if e.Type == verifier.EventOpened {
		a.Time, a.TimeEnd = region(d.StartedAt, d.FinishedAt)
	}
	if v.State.Final() {
		a.Tags = append(a.Tags, "verdict:"+word(v))
	}
	if v.Action.State != verifier.ActionNone && v.Action.State != "" {
		a.Tags = append(a.Tags, "action:"+string(v.Action.State))
	}
	for i, tag := range a.Tags {
		a.Tags[i] = alerting.Cut(tag, maxTag)
	}
	// Grafana shows text as HTML, and makes what isn't harmless harmless itself.
	a.Text = html.EscapeString(alerting.Cut(alerting.Name(d.Service)+" "+alerting.Name(d.Version)+" in "+alerting.Name(d.Environment)+": "+s.Line, maxText))
	if v.URL != "" {
		a.Text += ` <a href="` + html.EscapeString(v.URL) + `">postflight</a>`
	}
	return a
}

// word is what came of the verification: its verdict, as it counts now, or its
// state where it has none.
func word(v verifier.Verification) string {
	if v.Effective != "" {
		return string(v.Effective)
	}
	return string(v.State)
}

// region returns times in milliseconds, without an end where that is none.
func region(from, to time.Time) (start, end int64) {
	if from.IsZero() || !to.After(from) {
		return to.UnixMilli(), 0
	}
	return from.UnixMilli(), to.UnixMilli()
}
