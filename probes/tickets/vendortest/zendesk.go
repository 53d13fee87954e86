package vendortest

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// zendeskAuth takes an API token: EMAIL/token as the name.
func zendeskAuth(d *Desk, r *http.Request) bool {
	return basicAuth("bot@acme.example/token")(d, r) || bearerAuth(d, r)
}

// zendesk is Zendesk's search.
func zendesk(d *Desk, r *http.Request, _ []byte) (int, any) {
	q := r.URL.Query()
	found, problem := d.zendeskQuery(q.Get("query"), true)
	switch {
	case r.Method != http.MethodGet:
		return wrong(http.StatusMethodNotAllowed, "MethodNotAllowed")
	case problem != "":
		return wrong(http.StatusUnprocessableEntity, problem)
	case r.URL.Path == "/api/v2/search/count.json":
		return http.StatusOK, object{"count": len(found)}
	case r.URL.Path != "/api/v2/search.json":
		return wrong(http.StatusNotFound, "InvalidEndpoint")
	}
	per, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || per < 1 || per > 100 {
		return wrong(http.StatusBadRequest, "per_page")
	}
	if q.Get("sort_by") == "created_at" && q.Get("sort_order") == "desc" {
		found = newestFirst(found)
	}
	return http.StatusOK, object{"results": zendeskTickets(cut(found, 0, per)), "count": len(found), "next_page": nil, "previous_page": nil, "facets": nil}
}

// zendeskQuery reads a search: words that it doesn't know are text to be found.
func (d *Desk) zendeskQuery(query string, typed bool) ([]Ticket, string) {
	var from, to time.Time
	tag, hasType := "", false
	for _, word := range strings.Fields(query) {
		var err error
		switch {
		case word == "type:ticket":
			hasType = true
		case strings.HasPrefix(word, "created>="):
			from, err = time.Parse(time.RFC3339, word[len("created>="):])
		case strings.HasPrefix(word, "created<"):
			to, err = time.Parse(time.RFC3339, word[len("created<"):])
		case strings.HasPrefix(word, "tags:"):
			tag = word[len("tags:"):]
		default:
			return nil, ""
		}
		if err != nil {
			return nil, "Invalid search: Invalid date"
		}
	}
	if hasType != typed {
		return nil, "Invalid type"
	}
	return d.between(from, to, tag), ""
}

// zendeskExport is the incremental export, cursor based, and the export of
// search results.
func zendeskExport(d *Desk, r *http.Request, _ []byte) (int, any) {
	q := r.URL.Query()
	switch {
	case r.Method != http.MethodGet:
		return wrong(http.StatusMethodNotAllowed, "MethodNotAllowed")
	case r.URL.Path == "/api/v2/search/export.json":
		return d.searchExport(r)
	case r.URL.Path != "/api/v2/incremental/tickets/cursor.json":
		return wrong(http.StatusNotFound, "InvalidEndpoint")
	}
	var start int64
	offset := 0
	if cursor := q.Get("cursor"); cursor != "" {
		text, err := base64.StdEncoding.DecodeString(cursor)
		begin, skip, ok := strings.Cut(string(text), "||")
		if err != nil || !ok {
			return wrong(http.StatusBadRequest, "InvalidCursor")
		}
		start, _ = strconv.ParseInt(begin, 10, 64) // we wrote it
		offset, _ = strconv.Atoi(skip)
	} else {
		var err error
		if start, err = strconv.ParseInt(q.Get("start_time"), 10, 64); err != nil {
			return wrong(http.StatusBadRequest, "InvalidStartTime")
		}
		if time.Since(time.Unix(start, 0)) < time.Minute {
			return wrong(http.StatusBadRequest, "Too recent start_time. Use a start_time older than 60 seconds")
		}
	}
	per := 1000
	if text := q.Get("per_page"); text != "" {
		var err error
		if per, err = strconv.Atoi(text); err != nil || per < 1 || per > 1000 {
			return wrong(http.StatusBadRequest, "InvalidPerPage")
		}
	}
	return http.StatusOK, d.changes(start, offset, per)
}

// changes is a page of everything that changed since start, but for the last
// minute.
func (d *Desk) changes(start int64, offset, per int) any {
	var changed []Ticket
	for _, t := range d.tickets {
		if t.updated().Unix() >= start && time.Since(t.updated()) >= time.Minute {
			changed = append(changed, t)
		}
	}
	slices.SortStableFunc(changed, func(a, b Ticket) int { return cmp.Or(a.updated().Compare(b.updated()), cmp.Compare(a.ID, b.ID)) })
	page := cut(changed, offset, d.perPage(per))
	next := offset + len(page)
	if d.fault == Circle {
		next = offset
	}
	cursor := base64.StdEncoding.EncodeToString([]byte(strconv.FormatInt(start, 10) + "||" + strconv.Itoa(next)))
	return object{"tickets": zendeskTickets(page), "after_cursor": cursor, "before_cursor": nil, "before_url": nil,
		"after_url": d.URL + "/api/v2/incremental/tickets/cursor.json?cursor=" + cursor, "end_of_stream": next >= len(changed) && d.fault != Circle}
}

func (d *Desk) searchExport(r *http.Request) (int, any) {
	q := r.URL.Query()
	size, err := strconv.Atoi(q.Get("page[size]"))
	if q.Get("filter[type]") != "ticket" || err != nil || size < 1 || size > 1000 {
		return wrong(http.StatusBadRequest, "filter[type] and page[size]")
	}
	found, problem := d.zendeskQuery(q.Get("query"), false)
	if problem != "" {
		return wrong(http.StatusUnprocessableEntity, problem)
	}
	offset := 0
	if after := q.Get("page[after]"); after != "" {
		if offset, err = strconv.Atoi(strings.TrimPrefix(after, "after-")); err != nil {
			return wrong(http.StatusBadRequest, "InvalidCursor")
		}
	}
	page := cut(found, offset, d.perPage(size))
	next := offset + len(page)
	return http.StatusOK, object{"results": zendeskTickets(page), "links": object{"prev": nil, "next": nil}, "facets": nil,
		"meta": object{"has_more": next < len(found), "after_cursor": "after-" + strconv.Itoa(next), "before_cursor": nil}}
}

func zendeskTickets(list []Ticket) []any {
	out := []any{}
	for _, t := range list {
		status := "open"
		if t.Deleted {
			status = "deleted"
		}
		out = append(out, object{"id": t.ID, "created_at": t.At.UTC().Format("2006-01-02T15:04:05Z"), "updated_at": t.updated().UTC().Format("2006-01-02T15:04:05Z"),
			"requester_id": t.Reporter, "tags": t.Tags, "status": status, "subject": "It is broken", "result_type": "ticket"})
	}
	return out
}
