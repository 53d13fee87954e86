package tickets

import (
	"net/url"
	"sync"
	"time"

	"github.com/theory/jsonpath"
	"golang.org/x/time/rate"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// Feed is a ticket system's answer to "how many tickets were opened from then
// to then": a JSON document over HTTP with a count in it.
type Feed struct {
	Name string
	// URL is a template over .Service, .Environment, .Version, .From and .To;
	// the last two are of type time.Time in UTC, so .From.Unix is seconds.
	URL string
	// Count is the RFC 9535 path of the count, a whole number or a string that
	// holds one.
	Count string
	// Lag is how long a ticket may take to be counted: the newest Lag is never
	// asked for.
	Lag time.Duration
	// BearerToken, or else Username and Password, are sent along where set.
	BearerToken string
	Username    string
	Password    string
}

// Transports are the ways out to hosts written in the configuration and to
// those that come out of a template.
type Transports = outbound.Transports

// feed is a Feed made ready, with what must be remembered between requests.
type feed struct {
	Feed
	count *jsonpath.Path
	pace  *rate.Limiter

	mu     sync.Mutex
	paused time.Time // not to be asked before
	why    string
}

// The pace at which history is read.
const (
	requestsPerSecond = 10
	burst             = 10
)

func newFeed(f Feed) (*feed, error) {
	count, err := jsonpath.Parse(f.Count)
	if err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "feed %q: count %q is no JSONPath: %w", f.Name, f.Count, err)
	}
	made := &feed{Feed: f, count: count, pace: rate.NewLimiter(requestsPerSecond, burst)}
	example := time.Unix(0, 0)
	if _, err := made.address(verifier.Target{Service: "service", Environment: "environment", Version: "version"}, example, example); err != nil {
		return nil, verifier.Errorf(verifier.Invalid, "feed %q: url: %w", f.Name, err)
	}
	return made, nil
}

// question is what a feed's URL template may name.
type question struct {
	verifier.Target
	From time.Time
	To   time.Time
}

func (f *feed) address(t verifier.Target, from, to time.Time) (render.Address, error) {
	return render.URL(f.URL, question{Target: t, From: from.UTC(), To: to.UTC()})
}

// upstream is what may be shown of a feed's address.
func upstream(u *url.URL) string { return "GET " + outbound.Redact(u) }

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
