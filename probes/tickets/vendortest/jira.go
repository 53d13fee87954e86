package vendortest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func jiraAuth(d *Desk, r *http.Request) bool { return basicAuth("bot@acme.example")(d, r) }

type jiraBody struct {
	JQL        string    `json:"jql"`
	MaxResults *int      `json:"maxResults"`
	Fields     *[]string `json:"fields"`
}

// jiraCloud is Jira Cloud's count and search, REST version 3.
func jiraCloud(d *Desk, r *http.Request, body []byte) (int, any) {
	if r.Method != http.MethodPost {
		return wrong(http.StatusMethodNotAllowed, "Method Not Allowed")
	}
	in, found, problem := d.jira(body)
	switch {
	case problem != "":
		return http.StatusBadRequest, object{"errorMessages": []string{problem}, "errors": object{}}
	case r.URL.Path == "/rest/api/3/search/approximate-count" && in.MaxResults == nil && in.Fields == nil:
		return http.StatusOK, object{"count": len(found)}
	case r.URL.Path == "/rest/api/3/search/jql" && in.MaxResults != nil && *in.MaxResults > 0:
		return http.StatusOK, object{"isLast": true, "issues": d.issues(cut(found, 0, *in.MaxResults))}
	}
	return http.StatusNotFound, object{"errorMessages": []string{"no such resource"}}
}

// jiraDataCenter is Jira Data Center's search, REST version 2.
func jiraDataCenter(d *Desk, r *http.Request, body []byte) (int, any) {
	if r.Method != http.MethodPost || r.URL.Path != "/rest/api/2/search" {
		return http.StatusNotFound, object{"errorMessages": []string{"no such resource"}}
	}
	in, found, problem := d.jira(body)
	if problem != "" || in.MaxResults == nil || *in.MaxResults > 1000 {
		return http.StatusBadRequest, object{"errorMessages": []string{problem}, "errors": object{}}
	}
	return http.StatusOK, object{"startAt": 0, "maxResults": *in.MaxResults, "total": len(found), "issues": d.issues(cut(found, 0, *in.MaxResults))}
}

var (
	jqlOrder = regexp.MustCompile(`^(.*?)(?: ORDER BY created (ASC|DESC))?$`)
	jqlTerm  = regexp.MustCompile(`^(project|labels|created) *(=|>=|<) *("[^"]*"|[^ "]+)$`)
)

// jira reads JQL: terms joined by AND. Dates that are text are minutes in the
// account's time zone, numbers are milliseconds.
func (d *Desk) jira(body []byte) (in jiraBody, found []Ticket, problem string) {
	if err := json.Unmarshal(body, &in); err != nil {
		return in, nil, "the request body is no JSON"
	}
	m := jqlOrder.FindStringSubmatch(in.JQL)
	var from, to time.Time
	label, project := "", false
	for _, term := range strings.Split(strings.NewReplacer("(", "", ")", "").Replace(m[1]), " AND ") {
		parts := jqlTerm.FindStringSubmatch(term)
		if parts == nil {
			return in, nil, "Error in the JQL Query: " + term
		}
		value := strings.Trim(parts[3], `"`)
		switch parts[1] + parts[2] {
		case "project=":
			project = value == "SUP"
		case "labels=":
			label = value
		case "created>=":
			from = d.jiraTime(value)
		case "created<":
			to = d.jiraTime(value)
		}
	}
	if !project || from.IsZero() || to.IsZero() {
		return in, nil, "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
	}
	found = d.between(from, to, label)
	if m[2] == "DESC" {
		found = newestFirst(found)
	}
	return in, found, ""
}

func (d *Desk) jiraTime(value string) time.Time {
	if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.UnixMilli(ms)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", value, d.zone)
	if err != nil {
		return time.Time{}
	}
	return at
}

func (d *Desk) issues(list []Ticket) []any {
	out := []any{}
	for _, t := range list {
		id := strconv.Itoa(t.ID)
		out = append(out, object{"id": id, "key": "SUP-" + id, "fields": object{"created": t.At.In(d.zone).Format("2006-01-02T15:04:05.000-0700")}})
	}
	return out
}
