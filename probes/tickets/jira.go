package tickets

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/theory/jsonpath"
)

// jiraSystem counts in Jira Cloud. Times are milliseconds since 1970: written
// out they would be minutes in the time zone of the account that asks.
func jiraSystem(f Feed) (system, error) {
	return jira(f, "/rest/api/3/search/approximate-count", "/rest/api/3/search/jql", must("$.count"),
		func(jql string) any {
			return struct {
				JQL string `json:"jql"`
			}{jql}
		})
}

// jiraDataCenterSystem counts in Jira Data Center and Server.
func jiraDataCenterSystem(f Feed) (system, error) {
	return jira(f, "/rest/api/2/search", "/rest/api/2/search", must("$.total"),
		func(jql string) any { return jiraSearch{jql, 0, []string{"created"}} })
}

type jiraSearch struct {
	JQL        string   `json:"jql"`
	MaxResults int      `json:"maxResults"`
	Fields     []string `json:"fields"`
}

func jira(f Feed, countPath, searchPath string, number *jsonpath.Path, counting func(jql string) any) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	if strings.TrimSpace(f.Filter) == "" {
		return system{}, fmt.Errorf("filter is required: Jira counts within a project, such as project = SUP")
	}
	header, filter := credentials(f, asBearer), filterOf(f)
	post := func(q question, path, order string, body func(jql string) any) (call, error) {
		words, err := filter(q.Target)
		if err != nil {
			return call{}, err
		}
		jql := fmt.Sprintf("(%s) AND created >= %d AND created < %d%s", words, q.From.UnixMilli(), q.To.UnixMilli(), order)
		text, err := plainJSON(body(jql))
		return call{method: http.MethodPost, address: b.at(path, nil), header: header, body: text}, err
	}
	return system{
		count:  func(q question) (call, error) { return post(q, countPath, "", counting) },
		number: func(document any) (float64, error) { return numberAt(document, number) },
		edge: func(q question, last bool) (call, error) {
			order := " ORDER BY created ASC"
			if last {
				order = " ORDER BY created DESC"
			}
			return post(q, searchPath, order, func(jql string) any { return jiraSearch{jql, 1, []string{"created"}} })
		},
		edgeAt: firstOf(listing{tickets: must("$.issues"), createdAt: must("$.fields.created"), zone: f.Location}),
	}, nil
}

// plainJSON writes JSON that keeps < and > readable.
func plainJSON(v any) (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return strings.TrimSpace(out.String()), err
}
