// Package vendortest stands in for ticket systems in tests: each desk checks
// method, path, parameters, credentials and forms of times as the vendor's
// documentation says that the real one does, and answers with its payloads.
package vendortest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Ticket is a ticket at a desk.
type Ticket struct {
	ID       int
	At       time.Time
	Updated  time.Time // At when zero
	Tags     []string  // services, labels
	Reporter int
	Deleted  bool
}

func (t Ticket) updated() time.Time {
	if t.Updated.IsZero() {
		return t.At
	}
	return t.Updated
}

// Fault is what goes wrong with an answer.
type Fault string

// The faults. Those with a number are statuses.
const (
	Healthy    Fault = ""
	NotAllowed Fault = "401"
	Forbidden  Fault = "403"
	Limited    Fault = "429"
	Broken     Fault = "500"
	Malformed  Fault = "malformed"
	Truncated  Fault = "truncated"
	WrongType  Fault = "wrong type"
	TextCount  Fault = "count as text"
	TooLarge   Fault = "over 2 MiB"
	Incomplete Fault = "incomplete"
	Circle     Fault = "pages in a circle"
)

// Desk is one vendor's system.
type Desk struct {
	*httptest.Server
	vendor vendor

	mu       sync.Mutex
	tickets  []Ticket
	fault    Fault
	zone     *time.Location // of the account
	page     int            // tickets a page; the vendor's own when 0
	delay    time.Duration
	requests []string
	key      string
}

// vendor answers an authenticated request: a status and a payload.
type vendor struct {
	authentic func(d *Desk, r *http.Request) bool
	answer    func(d *Desk, r *http.Request, body []byte) (int, any)
	// incomplete changes a payload as the vendor does when it isn't whole; nil
	// where it never says so.
	incomplete func(payload any) any
}

var vendors = map[string]vendor{
	"zendesk":             {zendeskAuth, zendesk, nil},
	"zendesk_incremental": {zendeskAuth, zendeskExport, nil},
	"jira":                {jiraAuth, jiraCloud, nil},
	"jira_data_center":    {bearerAuth, jiraDataCenter, nil},
	"freshdesk":           {freshdeskAuth, freshdesk, nil},
	"servicenow":          {basicAuth("bot"), serviceNow, nil},
	"intercom":            {bearerAuth, intercom, nil},
	"github_issues":       {bearerAuth, github, githubIncomplete},
	"pagerduty":           {pagerDutyAuth, pagerDuty, nil},
}

// Key is what every desk takes as token, API key or password.
const Key = "s3cret-of-the-desk"

// New opens the desk of a preset with tickets.
func New(t testing.TB, preset string, tickets ...Ticket) *Desk {
	t.Helper()
	v, ok := vendors[preset]
	if !ok {
		t.Fatalf("no vendor %q", preset)
	}
	d := &Desk{vendor: v, tickets: tickets, zone: time.UTC, key: Key}
	d.Server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.Close)
	return d
}

// Set changes how the desk behaves.
func (d *Desk) Set(change func(d *Settings)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Settings{d.fault, d.zone, d.page, d.delay, d.tickets}
	change(&s)
	d.fault, d.zone, d.page, d.delay, d.tickets = s.Fault, s.Zone, s.Page, s.Delay, s.Tickets
}

// Settings are what may be changed.
type Settings struct {
	Fault   Fault
	Zone    *time.Location
	Page    int
	Delay   time.Duration
	Tickets []Ticket
}

// Requests returns what was asked so far: method, path and query.
func (d *Desk) Requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests)
}

func (d *Desk) serve(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		return
	}
	d.mu.Lock()
	delay := d.delay
	d.requests = append(d.requests, r.Method+" "+r.URL.RequestURI())
	d.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	status, payload := d.respond(r, body.Bytes())
	text, err := json.Marshal(payload)
	if err != nil {
		status = http.StatusInternalServerError
	}
	d.write(w, status, text)
}

// respond makes the answer without the faults of its text.
func (d *Desk) respond(r *http.Request, body []byte) (int, any) {
	if !d.vendor.authentic(d, r) || d.fault == NotAllowed {
		return http.StatusUnauthorized, object{"error": "Couldn't authenticate you"}
	}
	if status, err := strconv.Atoi(string(d.fault)); err == nil {
		return status, object{"message": http.StatusText(status)}
	}
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json" {
		return http.StatusUnsupportedMediaType, object{"error": "Unsupported Media Type"}
	}
	status, payload := d.vendor.answer(d, r, body)
	if status == http.StatusOK {
		payload = d.spoil(payload)
	}
	return status, payload
}

// spoil puts the fault into a payload.
func (d *Desk) spoil(payload any) any {
	switch {
	case d.fault == WrongType:
		return replaced(plain(payload), func(v any) any { return object{"unexpected": v} })
	case d.fault == TextCount:
		return replaced(plain(payload), func(v any) any {
			if n, ok := v.(float64); ok {
				return strconv.FormatFloat(n, 'f', -1, 64)
			}
			return v
		})
	case d.fault == Incomplete && d.vendor.incomplete != nil:
		return d.vendor.incomplete(payload)
	case d.fault == TooLarge:
		return object{"padding": strings.Repeat("x", 2<<20), "payload": payload}
	}
	return payload
}

func (d *Desk) write(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if d.fault == Limited {
		w.Header().Set("Retry-After", "90")
	}
	switch {
	case d.fault == Malformed && status == http.StatusOK:
		text = append([]byte("\x00"), text...)
	case d.fault == Truncated && status == http.StatusOK:
		text = text[:len(text)*2/3]
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // a caller that is gone missed it
}

type object = map[string]any

// keys hold what is counted or listed.
var keys = []string{"count", "total", "total_count", "tickets", "results", "incidents"}

func plain(payload any) any {
	text, err := json.Marshal(payload)
	if err != nil {
		return nil
	}
	var out any
	if json.Unmarshal(text, &out) != nil {
		return nil
	}
	return out
}

// replaced changes what is counted or listed in a payload.
func replaced(payload any, by func(any) any) any {
	switch v := payload.(type) {
	case []any:
		return by(v)
	case object:
		for key, value := range v {
			if slices.Contains(keys, key) {
				v[key] = by(value)
			} else {
				v[key] = replacedWithin(value, by)
			}
		}
	}
	return payload
}

func replacedWithin(value any, by func(any) any) any {
	if inner, ok := value.(object); ok {
		return replaced(inner, by)
	}
	return value
}

// between returns the tickets created in [from, to) with a tag, oldest first.
func (d *Desk) between(from, to time.Time, tag string) []Ticket {
	var out []Ticket
	for _, t := range d.tickets {
		if !t.At.Before(from) && t.At.Before(to) && (tag == "" || slices.Contains(t.Tags, tag)) && !t.Deleted {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b Ticket) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return out
}

func (d *Desk) perPage(own int) int {
	if d.page > 0 {
		return d.page
	}
	return own
}

func cut(list []Ticket, from, n int) []Ticket {
	from = min(max(from, 0), len(list))
	return list[from:min(len(list), from+n)]
}

func newestFirst(list []Ticket) []Ticket {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out
}

func bearerAuth(d *Desk, r *http.Request) bool {
	return r.Header.Get("Authorization") == "Bearer "+d.key
}

func basicAuth(user string) func(*Desk, *http.Request) bool {
	return func(d *Desk, r *http.Request) bool {
		name, password, _ := r.BasicAuth()
		return name == user && password == d.key
	}
}

func wrong(status int, what string) (int, any) { return status, object{"error": what} }
