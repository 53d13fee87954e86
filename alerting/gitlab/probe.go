package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/standing"
)

// Probe asks for the project, where the receiver names one for all deploys, and
// else for the token itself, whose scopes have to hold api.
func (r *Receiver) Probe(ctx context.Context) (string, error) {
	header := map[string]string{"Private-Token": r.s.Token}
	if project, ok := standing.Literal(r.s.Project); ok {
		result, _ := r.call.Do(ctx, http.MethodGet, r.base+"/projects/"+url.PathEscape(project), header, nil)
		if result.Outcome != alerting.Delivered {
			return "", result.Err
		}
		return "the token reads " + project + "; whether it may write statuses, only one would tell", nil
	}
	result, answer := r.call.Do(ctx, http.MethodGet, r.base+"/personal_access_tokens/self", header, nil)
	if result.Outcome != alerting.Delivered {
		return "", result.Err
	}
	var token struct{ Scopes []string }
	if err := json.Unmarshal(answer.Body, &token); err != nil {
		return "", fmt.Errorf("%s answered no JSON: is that GitLab's API?", r.who)
	}
	if !slices.Contains(token.Scopes, "api") {
		return "", fmt.Errorf("%s: the token lacks the scope api: it has %s", r.who, r.call.Excerpt(strings.Join(token.Scopes, ", ")))
	}
	return "the token is good and has the scope api; whether it reaches a project, only a status would tell", nil
}
