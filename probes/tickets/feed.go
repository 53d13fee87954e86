package tickets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// Feed is a ticket system's answer to "how many tickets were opened from then
// to then". Some kinds ask for the number, some for the tickets themselves.
type Feed struct {
	Name string
	// Kind is one of Kinds; "" is json.
	Kind string
	// URL is the base address of a preset; for json and csv a template over
	// .Service, .Environment, .Version, .From and .To, of which the last two
	// are of type time.Time in Location, so .From.Unix is seconds.
	URL string
	// Filter is a template over .Service, .Environment and .Version in the
	// preset's own query language: which tickets count.
	Filter string
	// Count is the RFC 9535 path of the number in a json answer, a whole number
	// or a string that holds one.
	Count string
	// Tickets is the path of the list in a json answer, instead of Count; the
	// paths of CreatedAt, ID, Reporter and Service start at a ticket. For csv
	// they are names of columns. Presets that list tickets know all but
	// Service. Next is the path of the address of the next page.
	Tickets, CreatedAt, ID, Reporter, Service, Next string
	// OncePerReporter lets a ticket count only when the same reporter opened
	// none in that time before it; 0 counts every ticket. For kinds that list.
	OncePerReporter time.Duration
	// Location is where times without an offset are; nil is UTC.
	Location *time.Location
	// Lag is how long a ticket may take to be counted: the newest Lag is never
	// asked for. What is not written takes the kind's own.
	Lag time.Duration
	// PerMinute is how many requests a minute the feed may be asked, half of
	// them for history; 0 is the kind's own.
	PerMinute int
	// BearerToken, or else Username and Password, are sent along where set, in
	// the way of the preset.
	BearerToken, Username, Password string
	// Query answers for the kind prometheus: the number in [from, to). An
	// error of kind Invalid is the configuration's.
	Query func(ctx context.Context, t verifier.Target, from, to time.Time) (float64, error)
	// QueryText is what Query asks, for people; Rendered is that of [from, to),
	// nil where QueryText says it. Errors are of kind Invalid.
	QueryText string
	Rendered  func(t verifier.Target, from, to time.Time) (string, error)
}

// Transports are the ways out to hosts written in the configuration and to
// those that come out of a template.
type Transports = outbound.Transports

// feed is a Feed made ready, with what must be remembered between requests.
type feed struct {
	Feed
	sys system
	// looks and past pace what is asked for a verification under way and for
	// history: neither takes the other's requests.
	looks, past *rate.Limiter

	mu       sync.Mutex
	paused   time.Time // not to be asked before
	why      string
	readings map[string]*reading // of history, by question
}

func newFeed(f Feed) (*feed, error) {
	if f.Kind == "" {
		f.Kind = kindJSON
	}
	if f.Location == nil {
		f.Location = time.UTC
	}
	kind, ok := kinds[f.Kind]
	if !ok {
		return nil, verifier.Errorf(verifier.Invalid, "feed %q: there is no kind %q of feed: %s", f.Name, f.Kind, strings.Join(Kinds(), ", "))
	}
	if f.PerMinute <= 0 {
		f.PerMinute = kind.perMinute
	}
	sys, err := kind.build(f)
	if err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "feed %q: %w", f.Name, err)
	}
	if f.OncePerReporter > 0 && (sys.count != nil || f.Query != nil) {
		return nil, verifier.Errorf(verifier.Invalid, "feed %q: once_per_reporter needs a feed that lists tickets: %s only tells their number", f.Name, f.Kind)
	}
	half := rate.Limit(float64(f.PerMinute) / 60 / 2)
	if f.Kind == kindPush { // asks nobody
		half = rate.Inf
	}
	made := &feed{Feed: f, sys: sys, looks: rate.NewLimiter(half, max(5, f.PerMinute/20)), past: rate.NewLimiter(half, max(1, f.PerMinute/120)),
		readings: map[string]*reading{}}
	example := time.Unix(1_700_000_000, 0)
	if _, err := made.first(verifier.Target{Service: "service", Environment: "environment", Version: "version"}, example, example.Add(time.Minute)); err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "feed %q: %w", f.Name, err)
	}
	return made, nil
}

// question is what a feed is asked about: the tickets created in [From, To).
type question struct {
	verifier.Target
	From time.Time
	To   time.Time
}

// ask makes the question of a stretch, in the feed's own time zone.
func (f *feed) ask(t verifier.Target, from, to time.Time) question {
	return question{Target: t, From: from.In(f.Location), To: to.In(f.Location)}
}

// first returns the first request of a question; that of a feed that makes
// none is empty. Errors are of kind Invalid.
func (f *feed) first(t verifier.Target, from, to time.Time) (call, error) {
	q := f.ask(t, from, to)
	switch {
	case f.sys.count != nil:
		return f.sys.count(q)
	case f.sys.list != nil:
		return f.sys.list(q, "")
	}
	return call{}, nil
}

// example returns the first request that is sent to find the tickets of
// [from, to), as people may see it. Errors are of kind Invalid.
func (f *feed) example(t verifier.Target, from, to time.Time) (string, error) {
	if f.Rendered != nil {
		return f.Rendered(t, from, to)
	}
	c, err := f.first(t, f.reaches(from), to)
	if err != nil {
		return "", err
	}
	return f.shown(c), nil
}

// reaches returns from when on tickets are asked for to count those since a
// time: earlier ones tell who has reported before.
func (f *feed) reaches(from time.Time) time.Time { return from.Add(-f.OncePerReporter) }

// question names what is asked, but for the times: answers to the same may be
// shared.
func (f *feed) question(t verifier.Target) (string, error) {
	epoch := time.Unix(0, 0)
	c, err := f.first(t, epoch, epoch.Add(time.Hour))
	if err != nil {
		return "", err
	}
	parts := []string{f.Kind, c.method, "", c.body, f.Count, f.Tickets, f.CreatedAt, f.ID, f.Reporter, f.Service, f.OncePerReporter.String(), f.Location.String(), f.QueryText}
	if c.address.URL != nil {
		parts[2] = c.address.URL.String()
	}
	if f.Service != "" || f.Kind == kindPush || f.Query != nil {
		parts = append(parts, t.Service, t.Environment)
	}
	if f.Query != nil {
		parts = append(parts, t.Version)
	}
	digest := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(digest[:16]), nil
}

// shown is a request as people may see it: without credentials, and without
// the parameters of an address that the operator wrote out, which may hold
// some.
func (f *feed) shown(c call) string {
	switch {
	case f.Kind == kindPush:
		return "what is pushed to /api/v1/feeds/" + f.Name
	case f.Query != nil:
		return f.QueryText
	case f.Kind == kindJSON || f.Kind == kindCSV:
		return c.verb() + " " + render.Shown(f.URL, c.address.URL)
	}
	text := c.verb() + " " + readable(c.address.URL)
	if c.body != "" {
		text += " " + c.body
	}
	return text
}

// pausedUntil returns until when the feed asked to be left alone, and why.
func (f *feed) pausedUntil(now time.Time) (time.Time, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.paused) {
		return f.paused, f.why
	}
	return time.Time{}, ""
}

func (f *feed) pause(until time.Time, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if until.After(f.paused) {
		f.paused, f.why = until, why
	}
}

func (f *feed) unavailable(reason string) error {
	return verifier.Errorf(verifier.Unavailable, "feed %q: %s", f.Name, reason)
}

// incompleteError is an answer that says of itself that it isn't whole: there
// is nothing to count, and nothing is broken.
type incompleteError struct{ reason string }

func (e incompleteError) Error() string { return e.reason }

func incomplete(format string, args ...any) error {
	return incompleteError{fmt.Sprintf(format, args...)}
}
