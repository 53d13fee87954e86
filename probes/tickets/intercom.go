package tickets

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// intercomSystem counts conversations by Intercom's search. Times are seconds
// since 1970, and the bounds are exclusive.
func intercomSystem(f Feed) (system, error) {
	b, err := baseOf(f)
	if err != nil {
		return system{}, err
	}
	filter := filterOf(f)
	header := credentials(f, asBearer)
	header["Intercom-Version"] = "2.11"
	search := func(q question, order string) (call, error) {
		words, err := filter(q.Target)
		if err != nil {
			return call{}, err
		}
		conditions, err := intercomConditions(words)
		if err != nil {
			return call{}, err
		}
		conditions = append([]intercomCondition{{"created_at", ">", q.From.Unix() - 1}, {"created_at", "<", q.To.Unix()}}, conditions...)
		body := map[string]any{
			"query":      map[string]any{"operator": "AND", "value": conditions},
			"pagination": map[string]any{"per_page": 1},
		}
		if order != "" {
			body["sort"] = map[string]any{"field": "created_at", "order": order}
		}
		text, err := plainJSON(body)
		return call{method: http.MethodPost, address: b.at("/conversations/search", nil), header: header, body: text}, err
	}
	return system{
		count:  func(q question) (call, error) { return search(q, "") },
		number: func(document any) (float64, error) { return numberAt(document, must("$.total_count")) },
		edge: func(q question, last bool) (call, error) {
			if last {
				return search(q, "descending")
			}
			return search(q, "ascending")
		},
		edgeAt: firstOf(listing{tickets: must("$.conversations"), createdAt: must("$.created_at"), zone: f.Location}),
	}, nil
}

type intercomCondition struct {
	Field    string `json:"field"`
	Operator string `json:"operator"`
	Value    any    `json:"value"`
}

var intercomOperators = []string{"=", "!=", "IN", "NIN", "<", ">", "~", "!~", "^", "$"}

// intercomConditions reads a filter such as
// tag_ids = "12" AND state = open: FIELD OPERATOR VALUE, joined by AND.
func intercomConditions(filter string) ([]intercomCondition, error) {
	if strings.TrimSpace(filter) == "" {
		return nil, nil
	}
	var out []intercomCondition
	for _, part := range strings.Split(filter, " AND ") {
		words := strings.SplitN(strings.TrimSpace(part), " ", 3)
		if len(words) != 3 || !slices.Contains(intercomOperators, words[1]) {
			return nil, fmt.Errorf("filter: %q must be FIELD OPERATOR VALUE, such as tag_ids = \"12\", with an operator of %s", part, strings.Join(intercomOperators, " "))
		}
		out = append(out, intercomCondition{words[0], words[1], intercomValue(strings.TrimSpace(words[2]))})
	}
	return out, nil
}

func intercomValue(text string) any {
	if quoted := strings.Trim(text, `"`); len(quoted) == len(text)-2 {
		return quoted
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	if yes, err := strconv.ParseBool(text); err == nil {
		return yes
	}
	return text
}
