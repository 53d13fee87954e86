package github

import (
	"context"
	"net/http"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/standing"
)

// Probe asks for the repository, where the receiver names one for all deploys,
// and else for the token's rate limit, which every token may ask for.
func (r *Receiver) Probe(ctx context.Context) (string, error) {
	path, said := "/rate_limit", "the token is good; whether it may write statuses, only one would tell"
	if repository, ok := standing.Literal(r.s.Repository); ok {
		path, said = "/repos/"+repository, "the token reads "+repository+"; whether it may write statuses, only one would tell"
	}
	result, _ := r.call.Do(ctx, http.MethodGet, r.base+path, r.header(), nil)
	if result.Outcome != alerting.Delivered {
		return "", result.Err
	}
	return said, nil
}
