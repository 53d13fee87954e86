package vendortest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func freshdeskAuth(d *Desk, r *http.Request) bool {
	key, x, _ := r.BasicAuth()
	return key == d.key && x == "X"
}

// freshdesk is Freshdesk's list of tickets. Without updated_since it is that of
// the last 30 days.
func freshdesk(d *Desk, r *http.Request, _ []byte) (int, any) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != "/api/v2/tickets" {
		return wrong(http.StatusNotFound, "")
	}
	per, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || per < 1 || per > 100 {
		return http.StatusBadRequest, object{"description": "Validation failed", "errors": []any{object{"field": "per_page", "code": "invalid_value"}}}
	}
	page, err := strconv.Atoi(q.Get("page"))
	if err != nil || page < 1 || page > 300 {
		return http.StatusBadRequest, object{"description": "Validation failed", "errors": []any{object{"field": "page", "code": "invalid_value"}}}
	}
	since := time.Now().Add(-30 * 24 * time.Hour)
	if text := q.Get("updated_since"); text != "" {
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return wrong(http.StatusBadRequest, "updated_since")
		}
	}
	if q.Get("order_by") != "created_at" || q.Get("order_type") != "desc" {
		return wrong(http.StatusBadRequest, "order")
	}
	var found []Ticket
	for _, t := range newestFirst(d.between(time.Time{}, time.Now(), "")) {
		if !t.updated().Before(since) {
			found = append(found, t)
		}
	}
	out := []any{}
	for _, t := range cut(found, (page-1)*per, per) {
		out = append(out, object{"id": t.ID, "created_at": t.At.UTC().Format("2006-01-02T15:04:05Z"), "updated_at": t.updated().UTC().Format("2006-01-02T15:04:05Z"),
			"requester_id": t.Reporter, "type": "Problem", "tags": t.Tags, "spam": false})
	}
	return http.StatusOK, out
}

// serviceNow is ServiceNow's Aggregate and Table API. Parts of a query that it
// doesn't understand are ignored.
func serviceNow(d *Desk, r *http.Request, _ []byte) (int, any) {
	q := r.URL.Query()
	if r.Method != http.MethodGet {
		return wrong(http.StatusMethodNotAllowed, "")
	}
	var from, to time.Time
	tag, order := "", ""
	for _, part := range strings.Split(q.Get("sysparm_query"), "^") {
		const form = "2006-01-02 15:04:05" // UTC, whatever the user's zone
		switch {
		case strings.HasPrefix(part, "sys_created_on>="):
			from, _ = time.Parse(form, part[len("sys_created_on>="):])
		case strings.HasPrefix(part, "sys_created_on<"):
			to, _ = time.Parse(form, part[len("sys_created_on<"):])
		case strings.HasPrefix(part, "cmdb_ci.name="):
			tag = part[len("cmdb_ci.name="):]
		case strings.HasPrefix(part, "ORDERBY"):
			order = part
		}
	}
	if to.IsZero() {
		to = time.Now()
	}
	found := d.between(from, to, tag)
	switch {
	case r.URL.Path == "/api/now/stats/incident" && q.Get("sysparm_count") == "true":
		return http.StatusOK, object{"result": object{"stats": object{"count": strconv.Itoa(len(found))}}}
	case r.URL.Path == "/api/now/table/incident" && q.Get("sysparm_limit") == "1" && order != "":
		if order == "ORDERBYDESCsys_created_on" {
			found = newestFirst(found)
		}
		rows := []any{}
		for _, t := range cut(found, 0, 1) {
			rows = append(rows, object{"sys_created_on": t.At.UTC().Format("2006-01-02 15:04:05")})
		}
		return http.StatusOK, object{"result": rows}
	}
	return wrong(http.StatusNotFound, "Requested URI does not represent any resource")
}

// intercom is Intercom's search of conversations.
func intercom(d *Desk, r *http.Request, body []byte) (int, any) {
	if r.Method != http.MethodPost || r.URL.Path != "/conversations/search" {
		return wrong(http.StatusNotFound, "not_found")
	}
	var in struct {
		Query struct {
			Operator string
			Value    []struct {
				Field, Operator string
				Value           any
			}
		}
		Pagination struct {
			PerPage int `json:"per_page"`
		}
		Sort struct{ Field, Order string }
	}
	if json.Unmarshal(body, &in) != nil || in.Query.Operator != "AND" || in.Pagination.PerPage < 1 || in.Pagination.PerPage > 150 || r.Header.Get("Intercom-Version") == "" {
		return http.StatusBadRequest, object{"type": "error.list", "errors": []any{object{"code": "parameter_invalid"}}}
	}
	from, to, tag := time.Time{}, time.Now(), ""
	for _, c := range in.Query.Value {
		seconds, number := c.Value.(float64)
		switch {
		case c.Field == "created_at" && !number:
			return http.StatusBadRequest, object{"type": "error.list", "errors": []any{object{"code": "invalid_value"}}}
		case c.Field == "created_at" && c.Operator == ">":
			from = time.Unix(int64(seconds)+1, 0)
		case c.Field == "created_at" && c.Operator == "<":
			to = time.Unix(int64(seconds), 0)
		case (c.Field == "tag_ids" || c.Field == "custom_attributes.service") && c.Operator == "=":
			tag, _ = c.Value.(string)
		default:
			return http.StatusBadRequest, object{"type": "error.list", "errors": []any{object{"code": "invalid_field"}}}
		}
	}
	found := d.between(from, to, tag)
	if in.Sort.Order == "descending" {
		found = newestFirst(found)
	}
	list := []any{}
	for _, t := range cut(found, 0, in.Pagination.PerPage) {
		list = append(list, object{"type": "conversation", "id": strconv.Itoa(t.ID), "created_at": t.At.Unix(), "state": "open"})
	}
	return http.StatusOK, object{"type": "conversation.list", "total_count": len(found), "conversations": list, "pages": object{"type": "pages", "page": 1}}
}

var githubRange = regexp.MustCompile(`^created:([^.]+)\.\.([^.]+)$`)

// github is GitHub's search of issues. Both ends of a range belong to it.
func github(d *Desk, r *http.Request, _ []byte) (int, any) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != "/search/issues" {
		return http.StatusNotFound, object{"message": "Not Found"}
	}
	if r.Header.Get("Accept") != "application/vnd.github+json" || r.Header.Get("User-Agent") == "" {
		return http.StatusForbidden, object{"message": "Request forbidden by administrative rules."}
	}
	invalid := func(what string) (int, any) {
		return http.StatusUnprocessableEntity, object{"message": "Validation Failed", "errors": []any{object{"message": what, "field": "q"}}}
	}
	if len(q.Get("q")) > 256 {
		return invalid("The search is longer than 256 characters.")
	}
	var from, to time.Time
	label, repository, issues := "", false, false
	for _, word := range strings.Fields(q.Get("q")) {
		bounds := githubRange.FindStringSubmatch(word)
		switch {
		case word == "is:issue":
			issues = true
		case word == "repo:acme/shop":
			repository = true
		case strings.HasPrefix(word, "label:"):
			label = strings.Trim(word[len("label:"):], `"`)
		case bounds != nil:
			var errFrom, errTo error
			from, errFrom = time.Parse(time.RFC3339, bounds[1])
			to, errTo = time.Parse(time.RFC3339, bounds[2])
			if errFrom != nil || errTo != nil {
				return invalid("not a valid date")
			}
		default:
			return invalid(word)
		}
	}
	if !repository || !issues || from.IsZero() {
		return invalid("The listed users and repositories cannot be searched")
	}
	found := d.between(from, to.Add(time.Second), label)
	if q.Get("order") == "desc" {
		found = newestFirst(found)
	}
	items := []any{}
	for _, t := range cut(found, 0, 1) {
		items = append(items, object{"number": t.ID, "created_at": t.At.UTC().Format("2006-01-02T15:04:05Z"), "user": object{"login": "dana"}})
	}
	return http.StatusOK, object{"total_count": len(found), "incomplete_results": false, "items": items}
}

func githubIncomplete(payload any) any {
	out := plain(payload).(object)
	out["incomplete_results"], out["total_count"] = true, 1
	return out
}

func pagerDutyAuth(d *Desk, r *http.Request) bool {
	return r.Header.Get("Authorization") == "Token token="+d.key
}

// pagerDuty is PagerDuty's list of incidents.
func pagerDuty(d *Desk, r *http.Request, _ []byte) (int, any) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != "/incidents" {
		return http.StatusNotFound, object{"error": object{"message": "Not Found", "code": 2100}}
	}
	if r.Header.Get("Accept") != "application/vnd.pagerduty+json;version=2" {
		return http.StatusNotAcceptable, object{"error": object{"message": "Not Acceptable"}}
	}
	limit, err1 := strconv.Atoi(q.Get("limit"))
	offset, err2 := strconv.Atoi(q.Get("offset"))
	from, err3 := time.Parse(time.RFC3339, q.Get("since"))
	to, err4 := time.Parse(time.RFC3339, q.Get("until"))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || limit < 1 || limit > 100 || offset+limit > 10_000 || to.Sub(from) > 180*24*time.Hour {
		return http.StatusBadRequest, object{"error": object{"message": "Invalid Input Provided", "code": 2001}}
	}
	tag := ""
	if ids := q["service_ids[]"]; len(ids) == 1 {
		tag = ids[0]
	}
	zone, err := time.LoadLocation(q.Get("time_zone"))
	if err != nil {
		return http.StatusBadRequest, object{"error": object{"message": "Invalid time zone"}}
	}
	if q.Get("time_zone") == "" {
		zone = d.zone
	}
	found := d.between(from, to, tag)
	if !slices.Contains([]string{"created_at:asc", ""}, q.Get("sort_by")) {
		found = newestFirst(found)
	}
	page := cut(found, offset, d.perPage(limit))
	list := []any{}
	for _, t := range page {
		list = append(list, object{"id": "Q" + strconv.Itoa(t.ID), "type": "incident", "created_at": t.At.In(zone).Format(time.RFC3339), "service": object{"id": tag, "summary": strings.Join(t.Tags, ",")}})
	}
	return http.StatusOK, object{"incidents": list, "limit": limit, "offset": offset, "total": nil, "more": offset+len(page) < len(found) || d.fault == Circle}
}
