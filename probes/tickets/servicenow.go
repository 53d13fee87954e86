package tickets

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// serviceNowSystem counts by ServiceNow's Aggregate API. Times written as text
// are UTC there, whatever the user's time zone.
func serviceNowSystem(f Feed) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	table := "incident"
	if own := strings.Trim(b.url.Path, "/"); own != "" {
		if strings.Contains(own, "/") {
			return system{}, fmt.Errorf("the path of url names a table, such as /sn_customerservice_case: got %q", b.url.Path)
		}
		table = own
		root := *b.url
		root.Path = ""
		b = base{&root}
	}
	if strings.Contains(f.Filter, "^NQ") || strings.Contains(f.Filter, "javascript:") {
		return system{}, fmt.Errorf("filter must not hold ^NQ or javascript: the times would no longer hold for all of it")
	}
	header, filter := credentials(f, asBearer), filterOf(f)
	query := func(q question) (string, error) {
		const form = "2006-01-02 15:04:05"
		words, err := filter(q.Target)
		text := "sys_created_on>=" + q.From.UTC().Format(form) + "^sys_created_on<" + q.To.UTC().Format(form)
		if words != "" {
			text = words + "^" + text
		}
		return text, err
	}
	return system{
		count: func(q question) (call, error) {
			text, err := query(q)
			return call{header: header, address: b.at("/api/now/stats/"+table, url.Values{"sysparm_count": {"true"}, "sysparm_query": {text}})}, err
		},
		number: func(document any) (float64, error) { return numberAt(document, must("$.result.stats.count")) },
		edge: func(q question, last bool) (call, error) {
			text, err := query(q)
			order := "^ORDERBYsys_created_on"
			if last {
				order = "^ORDERBYDESCsys_created_on"
			}
			return call{header: header, address: b.at("/api/now/table/"+table, url.Values{
				"sysparm_query": {text + order}, "sysparm_limit": {"1"}, "sysparm_fields": {"sys_created_on"}})}, err
		},
		edgeAt: firstOf(listing{tickets: must("$.result"), createdAt: must("$.sys_created_on"), zone: time.UTC}),
	}, nil
}
