package tickets

import (
	"net/url"
	"strconv"
	"strings"
)

// zendeskSystem counts by Zendesk's search, whose index is a few minutes late.
// Unlike search.json, which returns 1,000 tickets at most, the count is whole.
func zendeskSystem(f Feed) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	header, filter := credentials(f, asBearer), filterOf(f)
	search := func(q question) (string, error) {
		words, err := filter(q.Target)
		return strings.TrimSpace("type:ticket created>=" + instant(q.From) + " created<" + instant(q.To) + " " + words), err
	}
	return system{
		count: func(q question) (call, error) {
			query, err := search(q)
			return call{address: b.at("/api/v2/search/count.json", url.Values{"query": {query}}), header: header}, err
		},
		number: func(document any) (float64, error) {
			if n, err := numberAt(document, must("$.count.value")); err == nil {
				return n, nil
			}
			return numberAt(document, must("$.count"))
		},
		edge: func(q question, last bool) (call, error) {
			query, err := search(q)
			order := "asc"
			if last {
				order = "desc"
			}
			return call{header: header, address: b.at("/api/v2/search.json", url.Values{
				"query": {query}, "sort_by": {"created_at"}, "sort_order": {order}, "per_page": {"1"}})}, err
		},
		edgeAt: firstOf(listing{tickets: must("$.results"), createdAt: must("$.created_at"), zone: f.Location}),
	}, nil
}

// zendeskIncrementalSystem lists by Zendesk's incremental export: everything
// that changed since a time, new or not, up to a minute ago. What is long over
// is listed by the search export, which ends where it is told to.
func zendeskIncrementalSystem(f Feed) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	l, err := listingOf(f, "$.tickets", "$.created_at", "$.id", "$.requester_id")
	if err != nil {
		return system{}, err
	}
	exported := l
	exported.tickets = must("$.results")
	header := credentials(f, asBearer)
	return system{
		list: func(q question, cursor string) (call, error) {
			// A thousand tickets, the default, may be more than is read at once.
			query := url.Values{"per_page": {"200"}}
			if cursor == "" {
				query.Set("start_time", strconv.FormatInt(q.From.Unix(), 10))
			} else {
				query.Set("cursor", cursor)
			}
			return call{address: b.at("/api/v2/incremental/tickets/cursor.json", query), header: header}, nil
		},
		page: func(document any, _ question, _ string) (page, error) {
			end, err := flagAt(document, must("$.end_of_stream"))
			if err != nil {
				return page{}, err
			}
			p := page{}
			if !end {
				if p.next = textAt(document, must("$.after_cursor")); p.next == "" {
					return page{}, incomplete("the export says that there is more and not where")
				}
			}
			p.tickets, err = l.read(withoutDeleted(document))
			return p, err
		},
		past: func(q question, cursor string) (call, error) {
			query := url.Values{"query": {"created>=" + instant(q.From) + " created<" + instant(q.To)}, "filter[type]": {"ticket"}, "page[size]": {"100"}}
			if cursor != "" {
				query.Set("page[after]", cursor)
			}
			return call{address: b.at("/api/v2/search/export.json", query), header: header}, nil
		},
		pastPage: func(document any, _ question, _ string) (page, error) {
			more, err := flagAt(document, must("$.meta.has_more"))
			if err != nil {
				return page{}, err
			}
			p := page{}
			if more {
				if p.next = textAt(document, must("$.meta.after_cursor")); p.next == "" {
					return page{}, incomplete("the export says that there is more and not where")
				}
			}
			p.tickets, err = exported.read(document)
			return p, err
		},
	}, nil
}

// withoutDeleted drops tickets that were deleted since, as the search does.
func withoutDeleted(document any) any {
	object, ok := document.(map[string]any)
	if !ok {
		return document
	}
	list, ok := object["tickets"].([]any)
	if !ok {
		return document
	}
	kept := make([]any, 0, len(list))
	for _, item := range list {
		if t, ok := item.(map[string]any); ok && t["status"] == "deleted" {
			continue
		}
		kept = append(kept, item)
	}
	return map[string]any{"tickets": kept}
}
