// Package poll asks GitHub for the deployments that its webhook did not bring.
// GitHub sends no webhook again that was not answered: what happened while
// postflight was away is found here, and goes the same way as a notification.
package poll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v84/github"

	"github.com/postflight/postflight/verifier"
)

// Settings say what is asked.
type Settings struct {
	Source       string   // name of the configured source that the events are of
	Repositories []string // OWNER/NAME
	Token        string
	URL          string        // of the API
	Interval     time.Duration // from one round to the next
	Within       time.Duration // how old a status may be to count
}

// Options is what a poller is made of.
type Options struct {
	Settings
	Transport http.RoundTripper
	// Take takes an event in, as the source's notification. Errors of kind
	// Unavailable may pass: the event is taken again in the next round.
	Take func(ctx context.Context, h http.Header, body []byte) error
	Now  func() time.Time
	Log  *slog.Logger
}

const (
	perPage = 100
	// maxPages bounds how far back one repository is read: a thousand
	// deployments.
	maxPages = 10
	// waits is how long a deployment may wait for an approval and still be
	// found.
	waits = 24 * time.Hour
	// maxPause bounds what a rate limit may ask for.
	maxPause = time.Hour
	timeout  = 20 * time.Second
)

// Poller asks for the deployments of some repositories.
type Poller struct {
	o      Options
	client *gh.Client
	taken  map[int64]time.Time // statuses, by id, that need not be taken again
	ended  map[int64]string    // deployments that have ended, with when they changed last
}

// New returns a poller; Run starts it. An address that is none is an error of
// kind Invalid.
func New(o Options) (*Poller, error) {
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/") + "/")
	if err != nil || base.Host == "" {
		return nil, verifier.Errorf(verifier.Invalid, "poll of source %q: %q is not the address of an API", o.Source, o.URL)
	}
	client := gh.NewClient(&http.Client{
		Timeout: timeout, Transport: &etags{next: o.Transport, last: map[string]answered{}},
		// A repository that was renamed is found; the token goes to no other host.
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != base.Host || r.URL.Scheme != base.Scheme || len(via) > 3 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}).WithAuthToken(o.Token)
	client.BaseURL = base
	client.UserAgent = "postflight"
	return &Poller{o: o, client: client, taken: map[int64]time.Time{}, ended: map[int64]string{}}, nil
}

// Run asks until ctx ends: at once, and then every interval. What is wrong is
// logged, and asked again later.
func (p *Poller) Run(ctx context.Context) {
	for {
		wait := p.o.Interval + rand.N(p.o.Interval/10+1) // #nosec G404 -- so that replicas part
		if err := p.Round(ctx); err != nil && ctx.Err() == nil {
			pause := pauseOf(err, p.o.Now())
			p.o.Log.Warn("ask GitHub for deployments", "source", p.o.Source, "err", err, "again_in", max(wait, pause).String())
			wait = max(wait, pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Round asks every repository once. It goes on after one that fails, but stops
// at a rate limit.
func (p *Poller) Round(ctx context.Context) error {
	p.forget()
	var errs []error
	for _, repository := range p.o.Repositories {
		err := p.repository(ctx, repository)
		if err != nil {
			errs = append(errs, fmt.Errorf("repository %s: %w", repository, err))
		}
		if pauseOf(err, p.o.Now()) > 0 || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// forget drops what is too old to be met again.
func (p *Poller) forget() {
	for id, at := range p.taken {
		if p.o.Now().Sub(at) > p.o.Within+waits {
			delete(p.taken, id)
		}
	}
	if len(p.ended) > maxPages*perPage*len(p.o.Repositories) {
		clear(p.ended)
	}
}

// pauseOf is how long a rate limit asks to be left alone, 0 where err is none.
func pauseOf(err error, now time.Time) time.Duration {
	var primary *gh.RateLimitError
	var secondary *gh.AbuseRateLimitError
	switch {
	case errors.As(err, &primary):
		return min(max(primary.Rate.Reset.Sub(now), time.Minute), maxPause)
	case errors.As(err, &secondary):
		if secondary.RetryAfter != nil {
			return min(max(*secondary.RetryAfter, time.Minute), maxPause)
		}
		return time.Minute
	}
	return 0
}

// repository takes the new statuses of a repository's deployments, the oldest
// deployment first.
func (p *Poller) repository(ctx context.Context, name string) error {
	all, err := p.deployments(ctx, name)
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(all) {
		if p.ended[d.id] == d.changed && d.changed != "" {
			continue
		}
		if err := p.statuses(ctx, name, d); err != nil {
			return err
		}
	}
	return nil
}

// deployment is one as GitHub's API has it.
type deployment struct {
	id      int64
	changed string // updated_at
	raw     json.RawMessage
}

func (p *Poller) deployments(ctx context.Context, name string) ([]deployment, error) {
	oldest := p.o.Now().Add(-p.o.Within - waits)
	var out []deployment
	for page := 1; page != 0 && page <= maxPages; {
		raw, next, err := p.get(ctx, fmt.Sprintf("repos/%s/deployments?per_page=%d&page=%d", name, perPage, page))
		if err != nil {
			return nil, fmt.Errorf("list its deployments: %w", err)
		}
		for _, item := range raw {
			var known struct {
				ID      int64     `json:"id"`
				Created time.Time `json:"created_at"`
				Updated string    `json:"updated_at"`
			}
			if err := json.Unmarshal(item, &known); err != nil {
				return nil, fmt.Errorf("read a deployment: %w", err)
			}
			if known.Created.Before(oldest) { // the newest come first
				return out, nil
			}
			out = append(out, deployment{id: known.ID, changed: known.Updated, raw: item})
		}
		page = next
	}
	return out, nil
}

// final are the states after which a deployment says nothing new but that
// another has taken its place.
var final = []string{"success", "failure", "error", "inactive"}

// statuses takes what a deployment has told, in order.
func (p *Poller) statuses(ctx context.Context, name string, d deployment) error {
	var all []json.RawMessage
	for page := 1; page != 0 && page <= maxPages; {
		raw, next, err := p.get(ctx, fmt.Sprintf("repos/%s/deployments/%d/statuses?per_page=%d&page=%d", name, d.id, perPage, page))
		if err != nil {
			return fmt.Errorf("list the statuses of deployment %d: %w", d.id, err)
		}
		all = append(all, raw...)
		page = next
	}
	for _, raw := range slices.Backward(all) { // the newest come first
		var known struct {
			ID      int64     `json:"id"`
			State   string    `json:"state"`
			Created time.Time `json:"created_at"`
		}
		if err := json.Unmarshal(raw, &known); err != nil {
			return fmt.Errorf("read a status of deployment %d: %w", d.id, err)
		}
		if err := p.take(ctx, name, d, raw, known.ID, known.Created); err != nil {
			return err
		}
		if slices.Contains(final, known.State) {
			p.ended[d.id] = d.changed
		}
	}
	return nil
}

// take takes a status in that is new and recent, as the event that GitHub would
// have sent.
func (p *Poller) take(ctx context.Context, name string, d deployment, status json.RawMessage, id int64, created time.Time) error {
	now := p.o.Now()
	if _, done := p.taken[id]; done || now.Sub(created) > p.o.Within {
		return nil
	}
	owner, short, _ := strings.Cut(name, "/")
	body, err := json.Marshal(map[string]any{
		"action": "created", "deployment_status": status, "deployment": d.raw,
		"repository": map[string]any{"full_name": name, "name": short, "owner": map[string]string{"login": owner}},
	})
	if err != nil {
		return fmt.Errorf("write the event of status %d: %w", id, err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set(gh.EventTypeHeader, "deployment_status")
	err = p.o.Take(ctx, h, body)
	if verifier.KindOf(err) == verifier.Unavailable || ctx.Err() != nil {
		return fmt.Errorf("take status %d of deployment %d: %w", id, d.id, errors.Join(err, ctx.Err()))
	}
	if err != nil { // the same again would be refused again
		p.o.Log.Warn("a deployment that GitHub was asked for can't be taken", "source", p.o.Source, "repository", name, "deployment", d.id, "status", id, "err", err)
	}
	p.taken[id] = now
	return nil
}

// get returns the items of one page, and the number of the next, 0 for none, as
// the answer's Link has it.
func (p *Poller) get(ctx context.Context, path string) ([]json.RawMessage, int, error) {
	req, err := p.client.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, 0, err
	}
	var items []json.RawMessage
	resp, err := p.client.Do(ctx, req, &items)
	if err != nil {
		return nil, 0, err
	}
	return items, resp.NextPage, nil
}
