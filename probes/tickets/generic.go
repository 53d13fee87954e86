package tickets

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/postflight/postflight/probes/internal/outbound"
	"github.com/postflight/postflight/probes/internal/render"
)

// jsonSystem reads any address that answers with JSON: a number, or tickets.
func jsonSystem(f Feed) (system, error) {
	header := credentials(f, asBearer)
	ask := func(q question) (call, error) {
		address, err := render.URL(f.URL, q)
		if err != nil {
			return call{}, fmt.Errorf("url: %w", err)
		}
		return call{address: address, header: header}, nil
	}
	if f.Tickets == "" {
		number, err := path("count", f.Count)
		if err == nil && number == nil {
			err = fmt.Errorf("count or tickets is required: where in the answer the number is, such as $.count, or the list")
		}
		return system{count: ask, number: func(document any) (float64, error) { return numberAt(document, number) }}, err
	}
	l, err := listingOf(f, "", "", "", "")
	if err != nil {
		return system{}, err
	}
	next, err := path("next", f.Next)
	if err != nil {
		return system{}, err
	}
	return system{
		list: func(q question, cursor string) (call, error) {
			c, err := ask(q)
			if err != nil || cursor == "" {
				return c, err
			}
			return c.follow(cursor)
		},
		page: func(document any, _ question, _ string) (page, error) {
			tickets, err := l.read(document)
			p := page{tickets: tickets}
			if err != nil || next == nil {
				return p, err
			}
			p.next, err = linkIn(next.Select(document))
			return p, err
		},
	}, nil
}

// follow returns the request of a next page, whose address the answer named:
// the credentials go to no other host.
func (c call) follow(link string) (call, error) {
	u, err := c.address.URL.Parse(link)
	if err != nil {
		return c, fmt.Errorf("next: the address of the next page can't be read")
	}
	if u.Scheme != c.address.URL.Scheme || !outbound.SameHost(u, c.address.URL) {
		return c, fmt.Errorf("next: the next page is on another host (%s), where the credentials don't go", outbound.Clean(u.Host))
	}
	c.address.URL = u
	return c, nil
}

// linkIn reads the address of the next page: nothing, null and "" are the end.
func linkIn(found []any) (string, error) {
	if len(found) == 0 || found[0] == nil {
		return "", nil
	}
	switch link := found[0].(type) {
	case string:
		return link, nil
	case bool:
		if !link {
			return "", nil
		}
	case json.Number:
	}
	return "", fmt.Errorf("next selects a %s where the address of the next page was asked for", shape(found[0]))
}

// csvSystem reads any address that answers with a table of tickets.
func csvSystem(f Feed) (system, error) {
	if f.CreatedAt == "" {
		return system{}, fmt.Errorf("created_at is required: the name of the column with the time of a ticket")
	}
	column := func(name string) string {
		if name == "" {
			return ""
		}
		return "$['" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name) + "']"
	}
	columns := []string{f.CreatedAt, f.ID, f.Reporter, f.Service}
	f.Tickets, f.CreatedAt, f.ID, f.Reporter, f.Service = "$", column(f.CreatedAt), column(f.ID), column(f.Reporter), column(f.Service)
	l, err := listingOf(f, "", "", "", "")
	if err != nil {
		return system{}, err
	}
	header := credentials(f, asBearer)
	header["Accept"] = "text/csv"
	return system{
		list: func(q question, _ string) (call, error) {
			address, err := render.URL(f.URL, q)
			if err != nil {
				return call{}, fmt.Errorf("url: %w", err)
			}
			return call{address: address, header: header}, nil
		},
		page: func(document any, _ question, _ string) (page, error) {
			tickets, err := l.read(document)
			return page{tickets: tickets}, err
		},
		decode: func(body []byte) (any, error) { return readCSV(body, columns...) },
	}, nil
}

// querySystem leaves the asking to Feed.Query.
func querySystem(f Feed) (system, error) {
	if f.Query == nil {
		return system{}, fmt.Errorf("a feed of kind prometheus needs a query")
	}
	return system{}, nil
}

// pushSystem asks nobody: tickets come by themselves.
func pushSystem(Feed) (system, error) { return system{}, nil }
