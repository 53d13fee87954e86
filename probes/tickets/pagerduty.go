package tickets

import (
	"fmt"
	"net/url"
	"strconv"
)

const (
	pagerDutyPage = 100    // incidents
	pagerDutyMost = 10_000 // offset and limit together
)

// pagerDutySystem lists incidents, oldest first.
func pagerDutySystem(f Feed) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	l, err := listingOf(f, "$.incidents", "$.created_at", "$.id", "")
	if err != nil {
		return system{}, err
	}
	header, filter := credentials(f, func(key string) string { return "Token token=" + key }), filterOf(f)
	header["Accept"] = "application/vnd.pagerduty+json;version=2"
	return system{
		list: func(q question, cursor string) (call, error) {
			words, err := filter(q.Target)
			if err != nil {
				return call{}, err
			}
			query, err := url.ParseQuery(words)
			if err != nil {
				return call{}, fmt.Errorf("filter must be parameters of PagerDuty's list, such as service_ids[]=PABC123: %w", err)
			}
			for name, value := range map[string]string{
				"since": instant(q.From), "until": instant(q.To), "time_zone": "UTC", "sort_by": "created_at:asc",
				"limit": strconv.Itoa(pagerDutyPage), "offset": "0",
			} {
				query.Set(name, value)
			}
			query.Del("date_range")
			if cursor != "" {
				query.Set("offset", cursor)
			}
			return call{address: b.at("/incidents", query), header: header}, nil
		},
		page: func(document any, _ question, cursor string) (page, error) {
			more, err := flagAt(document, must("$.more"))
			if err != nil {
				return page{}, err
			}
			tickets, err := l.read(document)
			if err != nil || !more {
				return page{tickets: tickets}, err
			}
			offset := 0
			if cursor != "" {
				if offset, err = strconv.Atoi(cursor); err != nil {
					return page{}, err
				}
			}
			if offset += len(tickets); offset+pagerDutyPage > pagerDutyMost || len(tickets) == 0 {
				return page{}, incomplete("PagerDuty lists no more than %d incidents at once", pagerDutyMost)
			}
			return page{tickets: tickets, next: strconv.Itoa(offset)}, nil
		},
	}, nil
}
