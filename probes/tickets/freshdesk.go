package tickets

import (
	"encoding/base64"
	"net/url"
	"strconv"
)

// Freshdesk's limits of a list.
const (
	freshdeskPage  = 100 // tickets
	freshdeskPages = 300
)

// freshdeskSystem lists from the newest ticket back: Freshdesk's search knows
// days only, and tells 300 tickets at most.
func freshdeskSystem(f Feed) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	l, err := listingOf(f, "$", "$.created_at", "$.id", "$.requester_id")
	if err != nil {
		return system{}, err
	}
	header := credentials(f, func(key string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":X"))
	})
	return system{
		newestFirst: true,
		list: func(q question, cursor string) (call, error) {
			if cursor == "" {
				cursor = "1"
			}
			return call{header: header, address: b.at("/api/v2/tickets", url.Values{
				"updated_since": {instant(q.From)}, "order_by": {"created_at"}, "order_type": {"desc"},
				"per_page": {strconv.Itoa(freshdeskPage)}, "page": {cursor}})}, nil
		},
		page: func(document any, q question, cursor string) (page, error) {
			tickets, err := l.read(document)
			if err != nil {
				return page{}, err
			}
			n := 1
			if cursor != "" {
				if n, err = strconv.Atoi(cursor); err != nil {
					return page{}, err
				}
			}
			p := page{tickets: tickets}
			switch {
			case len(tickets) < freshdeskPage || tickets[len(tickets)-1].at.Before(q.From):
			case n >= freshdeskPages:
				return page{}, incomplete("Freshdesk lists no more than %d pages: ask for a shorter history", freshdeskPages)
			default:
				p.next = strconv.Itoa(n + 1)
			}
			return p, nil
		},
	}, nil
}
