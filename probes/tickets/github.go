package tickets

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// githubQuery is how long GitHub lets a query be, in characters.
const githubQuery = 256

// githubSystem counts issues by GitHub's search. An answer that says of itself
// that it is incomplete counts for nothing.
func githubSystem(f Feed) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	if !strings.Contains(f.Filter, "repo:") && !strings.Contains(f.Filter, "org:") && !strings.Contains(f.Filter, "user:") {
		return system{}, fmt.Errorf("filter is required and must name where to look, such as repo:acme/shop: GitHub would count the issues of the whole world")
	}
	filter := filterOf(f)
	header := credentials(f, asBearer)
	header["Accept"], header["X-GitHub-Api-Version"] = "application/vnd.github+json", "2022-11-28"
	search := func(q question, order string) (call, error) {
		words, err := filter(q.Target)
		if err != nil {
			return call{}, err
		}
		// Both ends of a range belong to it.
		text := strings.TrimSpace(words) + " is:issue created:" + instant(q.From) + ".." + instant(q.To.Add(-time.Second))
		if n := len([]rune(text)); n > githubQuery {
			return call{}, fmt.Errorf("filter: GitHub takes queries of %d characters, with the times this has %d", githubQuery, n)
		}
		query := url.Values{"q": {text}, "per_page": {"1"}}
		if order != "" {
			query.Set("sort", "created")
			query.Set("order", order)
		}
		return call{address: b.at("/search/issues", query), header: header}, nil
	}
	return system{
		count: func(q question) (call, error) { return search(q, "") },
		number: func(document any) (float64, error) {
			cut, err := flagAt(document, must("$.incomplete_results"))
			switch {
			case err != nil:
				return 0, err
			case cut:
				return 0, incomplete("GitHub says that its results are incomplete")
			}
			return numberAt(document, must("$.total_count"))
		},
		edge: func(q question, last bool) (call, error) {
			if last {
				return search(q, "desc")
			}
			return search(q, "asc")
		},
		edgeAt:  firstOf(listing{tickets: must("$.items"), createdAt: must("$.created_at"), zone: f.Location}),
		refused: githubLimit,
	}, nil
}

// githubLimit finds GitHub's rate limits, which it answers with 403 as well as
// with 429: Retry-After, or nothing left until a reset.
func githubLimit(status int, h http.Header, now time.Time) time.Duration {
	if status != http.StatusForbidden && status != http.StatusTooManyRequests {
		return 0
	}
	if wait := retryAfter(h.Get("Retry-After"), now); wait > 0 {
		return wait
	}
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || h.Get("X-RateLimit-Remaining") != "0" {
		return 0
	}
	return min(max(time.Unix(reset, 0).Sub(now), time.Second), maxPause)
}
