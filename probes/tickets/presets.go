package tickets

import (
	"time"
)

// presets are the ticket systems that postflight knows. Rates stay well below
// what their documentation allows an account.
var presets = map[string]kind{
	"zendesk": {
		title: "Zendesk, search", build: zendeskSystem, counts: true, perMinute: 60, lag: 5 * time.Minute,
		asks: "`GET /api/v2/search/count.json`", auth: "`basic_auth`: `EMAIL/token` and an API token; or an OAuth token", filter: "Zendesk search: `tags:{{ .Service }}`",
	},
	"zendesk_incremental": {
		title: "Zendesk, incremental export", build: zendeskIncrementalSystem, perMinute: 8, lag: 2 * time.Minute,
		asks: "`GET /api/v2/incremental/tickets/cursor.json`, history `GET /api/v2/search/export.json`", auth: "as above, of an admin",
	},
	"jira": {
		title: "Jira Cloud, Jira Service Management", build: jiraSystem, counts: true, perMinute: 60, lag: 2 * time.Minute,
		asks: "`POST /rest/api/3/search/approximate-count`", auth: "`basic_auth`: email and API token", filter: "JQL, required: `project = SUP AND labels = \"{{ .Service }}\"`",
	},
	"jira_data_center": {
		title: "Jira Data Center", build: jiraDataCenterSystem, counts: true, perMinute: 60, lag: time.Minute,
		asks: "`POST /rest/api/2/search` with `maxResults: 0`", auth: "a personal access token as `bearer_token_file`", filter: "JQL, required",
	},
	"freshdesk": {
		title: "Freshdesk", build: freshdeskSystem, perMinute: 20, lag: time.Minute,
		asks: "`GET /api/v2/tickets`", auth: "the API key as `bearer_token_file`",
	},
	"servicenow": {
		title: "ServiceNow", build: serviceNowSystem, counts: true, perMinute: 60, lag: time.Minute,
		asks: "`GET /api/now/stats/incident`", auth: "`basic_auth`, or an OAuth token", filter: "an encoded query: `cmdb_ci.name={{ .Service }}`",
	},
	"intercom": {
		title: "Intercom", build: intercomSystem, counts: true, perMinute: 60, lag: 2 * time.Minute,
		asks: "`POST /conversations/search`", auth: "the access token as `bearer_token_file`", filter: "`FIELD OPERATOR VALUE`, joined by `AND`",
	},
	"github_issues": {
		title: "GitHub Issues", build: githubSystem, counts: true, perMinute: 20, lag: 2 * time.Minute,
		asks: "`GET /search/issues`", auth: "a token as `bearer_token_file`", filter: "GitHub search, required: `repo:acme/shop label:{{ .Service }}`",
	},
	"pagerduty": {
		title: "PagerDuty incidents", build: pagerDutySystem, perMinute: 60, lag: time.Minute,
		asks: "`GET /incidents`", auth: "the API key as `bearer_token_file`", filter: "parameters: `service_ids[]=PABC123`",
	},
}

// firstOf reads when the first ticket of a document was created, zero where
// there is none.
func firstOf(l listing) func(document any) (time.Time, error) {
	return func(document any) (time.Time, error) {
		found, err := l.read(document)
		if err != nil || len(found) == 0 {
			return time.Time{}, err
		}
		return found[0].at, nil
	}
}
