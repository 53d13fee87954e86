package tickets

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/probes/internal/render"
	"github.com/postflight/postflight/verifier"
)

// system is how one kind of ticket system is asked: for the number of tickets
// (count), or for the tickets themselves (list). A kind without either has no
// requests: Query and push.
type system struct {
	count  func(q question) (call, error)
	number func(document any) (float64, error)
	// edge asks for the first or the last ticket of a question, where only a
	// number is told; edgeAt reads when it was created, zero where there is
	// none.
	edge   func(q question, last bool) (call, error)
	edgeAt func(document any) (time.Time, error)

	// list asks for a page of tickets; cursor is "" for the first, else what
	// the page before named. It may return tickets outside of the question.
	list func(q question, cursor string) (call, error)
	page func(document any, q question, cursor string) (page, error)
	// newestFirst: the pages go from the newest ticket back, and can't begin
	// elsewhere.
	newestFirst bool
	// past lists a stretch that is over, for kinds whose list goes on to the
	// present; pastPage reads it. nil where list serves.
	past     func(q question, cursor string) (call, error)
	pastPage func(document any, q question, cursor string) (page, error)

	// decode reads an answer; nil is JSON.
	decode func(body []byte) (any, error)
	// refused looks for a wish to be left alone in an answer that is no
	// success; nil where only 429 and 503 hold one.
	refused func(status int, h http.Header, now time.Time) (pause time.Duration)
}

// call is one request to a ticket system.
type call struct {
	method  string // "" is GET
	address render.Address
	header  map[string]string
	body    string // JSON
}

func (c call) verb() string { return cmp.Or(c.method, http.MethodGet) }

// page is a part of a list.
type page struct {
	tickets []ticket
	next    string // cursor of the next page; "" on the last one
}

// ticket is one ticket of a list.
type ticket struct {
	id       string // "" where the system tells none
	at       time.Time
	reporter string
	about    []string // services or tags
}

// kind is a kind of feed.
type kind struct {
	title     string
	perMinute int
	build     func(f Feed) (system, error)
	asks      string        // the request, for the table of presets
	counts    bool          // tells the number, not the tickets
	auth      string        // how it authenticates, for the table
	lag       time.Duration // how long tickets take to be found
	filter    string        // what a filter is, "" where there is none
}

// The kinds that are no presets.
const (
	kindJSON       = "json"
	kindCSV        = "csv"
	kindPrometheus = "prometheus"
	kindPush       = "push"
)

var kinds map[string]kind

func init() { // the builders know newFeed's types, which know the kinds
	kinds = map[string]kind{
		kindJSON:       {title: "any JSON over HTTP", perMinute: 1200, build: jsonSystem},
		kindCSV:        {title: "any CSV over HTTP", perMinute: 60, build: csvSystem},
		kindPrometheus: {title: "a Prometheus query", perMinute: 1200, build: querySystem},
		kindPush:       {title: "pushed tickets", perMinute: 6000, build: pushSystem},
	}
	maps.Copy(kinds, presets)
}

// Kinds returns the kinds of feeds, in alphabetical order.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Preset is what people need to know of a ticket system that postflight knows.
type Preset struct {
	Name, Title, Asks, Auth, Filter string
	Counts                          bool // tells the number, not the tickets
	PerMinute                       int
	Lag                             time.Duration
}

// Presets returns the ticket systems that postflight knows, by name.
func Presets() []Preset {
	var out []Preset
	for _, name := range slices.Sorted(maps.Keys(presets)) {
		k := presets[name]
		out = append(out, Preset{name, k.title, k.asks, k.auth, k.filter, k.counts, k.perMinute, k.lag})
	}
	return out
}

// DefaultLag returns how long tickets take to be found in a kind of feed.
func DefaultLag(name string) time.Duration { return kinds[name].lag }

// base is the address of a preset, to which paths are added.
type base struct{ url *url.URL }

func baseOf(f Feed) (base, error) {
	u, err := url.Parse(f.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return base{}, fmt.Errorf("url must be an absolute http or https address")
	}
	return base{u}, nil
}

func (b base) at(path string, query url.Values) render.Address {
	u := *b.url
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawPath, u.RawQuery = "", query.Encode()
	return render.Address{URL: &u}
}

// credentials are the header that tells a preset who asks.
func credentials(f Feed, bearer func(token string) string) map[string]string {
	h := map[string]string{}
	if f.BearerToken != "" {
		h["Authorization"] = bearer(f.BearerToken)
	}
	return h
}

func asBearer(token string) string { return "Bearer " + token }

// filterOf returns a function that fills in a filter. A value may hold only
// what is a plain word in every query language.
func filterOf(f Feed) func(t verifier.Target) (string, error) {
	return func(t verifier.Target) (string, error) { return render.Words(f.Filter, t) }
}

// instant is a time as most systems take it.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// readable is an address with its parameters as they are meant.
func readable(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.RawQuery == "" {
		return shown.String()
	}
	plain, err := url.QueryUnescape(u.RawQuery)
	if err != nil {
		plain = "…"
	}
	return shown.String() + "?" + plain
}
