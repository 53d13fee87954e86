package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postflight/postflight/alerting"
)

// Probe asks Slack whose token it is, and what that may do; a webhook can't be
// asked.
func (r *Receiver) Probe(ctx context.Context) (string, error) {
	if !r.Edits() {
		return "", errors.New("a webhook of Slack can't be asked")
	}
	result, answer := r.call.Post(ctx, r.o.API+"/auth.test", map[string]string{
		"Authorization": "Bearer " + r.o.Token, "Content-Type": "application/json; charset=utf-8",
	}, []byte("{}"))
	if result.Outcome != alerting.Delivered {
		return "", result.Err
	}
	var said struct {
		OK                bool
		Error, Team, User string
	}
	if err := json.Unmarshal(answer.Body, &said); err != nil {
		return "", fmt.Errorf("slack %q answered no JSON: is that Slack's API?", r.name)
	}
	if !said.OK {
		return "", fmt.Errorf("slack %q answered %s to auth.test%s", r.name, r.call.Excerpt(said.Error), remedies[said.Error])
	}
	if scopes := answer.Header.Get("X-Oauth-Scopes"); scopes != "" && !slices.Contains(strings.Split(strings.ReplaceAll(scopes, " ", ""), ","), "chat:write") {
		return "", fmt.Errorf("slack %q: the token lacks the scope chat:write: it has %s", r.name, r.call.Excerpt(scopes))
	}
	return fmt.Sprintf("the token is of %s in %s; whether the bot is in the channel, only a message would tell", r.call.Excerpt(said.User), r.call.Excerpt(said.Team)), nil
}
