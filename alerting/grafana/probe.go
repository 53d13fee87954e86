package grafana

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/postflight/postflight/alerting"
)

// Probe asks for the organization that the token belongs to. One that may write
// annotations and nothing else is answered 403, and is as good.
func (r *Receiver) Probe(ctx context.Context) (string, error) {
	result, answer := r.call.Do(ctx, http.MethodGet, strings.TrimSuffix(r.address, "/api/annotations")+"/api/org", r.header(), nil)
	const unknown = "; whether it may write annotations, only one would tell"
	switch {
	case result.Status == http.StatusForbidden:
		return "the token is known" + unknown, nil
	case result.Outcome != alerting.Delivered:
		return "", result.Err
	}
	var org struct{ Name string }
	if err := json.Unmarshal(answer.Body, &org); err != nil {
		return "", fmt.Errorf("grafana answered no JSON to /api/org: is the address that of Grafana, with its path?")
	}
	return "the token is of the organization " + r.call.Excerpt(org.Name) + unknown, nil
}
