package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/verifier"
)

// Options say where and how messages are posted: by Webhook, or with Token to
// Channel by API.
type Options struct {
	Webhook string // a secret
	Token   string // a secret
	Channel string
	API     string // https://slack.com/api when empty
	Words   alerting.Words
	// Transport carries the calls and decides which addresses may be reached;
	// nil is http.DefaultTransport.
	Transport http.RoundTripper
	Timeout   time.Duration // of one attempt
}

// Receiver posts to one channel.
type Receiver struct {
	o    Options
	name string
	call *call.Caller
}

var (
	_ alerting.Editor   = (*Receiver)(nil)
	_ alerting.Digester = (*Receiver)(nil)
	_ alerting.Prober   = (*Receiver)(nil)
)

// New makes the receiver of that name. Errors are of kind Invalid and hold no
// secret.
func New(name string, o Options) (*Receiver, error) {
	who := fmt.Sprintf("slack %q", name)
	hidden := []string{o.Token}
	switch {
	case (o.Webhook == "") == (o.Token == ""):
		return nil, verifier.Errorf(verifier.Invalid, "%s: takes either a webhook or a token", who)
	case o.Webhook != "":
		u, err := url.Parse(o.Webhook)
		if err != nil || u.Host == "" {
			return nil, verifier.Errorf(verifier.Invalid, "%s: the webhook must be an absolute address", who)
		}
		hidden = call.OfURL(u)
	default:
		if o.API == "" {
			o.API = "https://slack.com/api"
		}
		u, err := call.Base(who, o.API)
		if err != nil {
			return nil, err
		}
		o.API = u.String()
	}
	c := call.New(who, o.Transport, hidden...)
	if o.Timeout > 0 {
		c.WithTimeout(o.Timeout)
	}
	return &Receiver{o: o, name: name, call: c}, nil
}

// Edits reports whether there is a token: a webhook can only post.
func (r *Receiver) Edits() bool { return r.o.Token != "" }

// Send posts what happened, or changes the message about the verification
// where there is one.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	story := r.o.Words.Tell(e)
	m := render(story)
	channel, ts, found := r.earlier(d.Earlier)
	if !r.Edits() || !found {
		return r.post(ctx, m)
	}
	changed := m
	changed.Channel, changed.TS = channel, ts
	result, code := r.api(ctx, "chat.update", changed)
	switch {
	case slices.Contains(gone, code):
		return r.post(ctx, m)
	case result.Outcome == alerting.Delivered && wakes(e):
		return r.broadcast(ctx, result, channel, ts, story)
	}
	return result
}

// earlier reads what a message was called: the channel's id and its ts, and the
// channel as it was configured, which earlier versions did not store. One in
// another channel than is configured now is left alone.
func (r *Receiver) earlier(reference string) (channel, ts string, found bool) {
	parts := strings.Split(reference, "/")
	switch {
	case len(parts) < 2,
		len(parts) > 2 && parts[2] != r.o.Channel,
		len(parts) == 2 && channelID.MatchString(r.o.Channel) && parts[0] != r.o.Channel:
		return "", "", false
	}
	return parts[0], parts[1], true
}

// channelID is the form of a channel's id; a channel can be configured by its
// name as well.
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{8,}$`)

// wakes reports whether somebody should look up: an edit makes no sound, and
// may be far up in the channel.
func wakes(e verifier.Event) bool {
	inconclusive := e.Type == verifier.EventDecided && e.Data.Verdict != nil && e.Data.Verdict.Decision == verifier.Inconclusive
	return e.Urgent || inconclusive
}

// broadcast says in the message's thread, and by that in the channel, what it
// was changed to. Where it can't be replied to the whole is posted anew.
func (r *Receiver) broadcast(ctx context.Context, changed alerting.Result, channel, ts string, s alerting.Story) alerting.Result {
	m := reply(s)
	m.Channel, m.ThreadTS, m.ReplyBroadcast = channel, ts, true
	result, code := r.api(ctx, "chat.postMessage", m)
	if slices.Contains(unanswerable, code) {
		return r.post(ctx, render(s))
	}
	if result.Outcome == alerting.Delivered {
		result.Reference = changed.Reference // what is edited later on is still the message
	}
	return result
}

// SendDigest posts one message about several.
func (r *Receiver) SendDigest(ctx context.Context, d []verifier.Delivery) alerting.Result {
	result := r.post(ctx, digest(r.o.Words.Digest(d)))
	result.Reference = "" // it is about many: nothing later changes it
	return result
}

func (r *Receiver) post(ctx context.Context, m message) alerting.Result {
	if r.Edits() {
		m.Channel = r.o.Channel
		result, _ := r.api(ctx, "chat.postMessage", m)
		return result
	}
	body, err := json.Marshal(m)
	if err != nil {
		return r.call.Refuse("write message: %w", err)
	}
	result, _ := r.call.Post(ctx, r.o.Webhook, nil, body)
	return result
}

// gone are the errors of chat.update after which the message is posted anew:
// somebody deleted it, or it can't be changed any more.
var gone = []string{"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"}

// unanswerable are the errors of a reply after which the message is posted anew.
var unanswerable = []string{"message_not_found", "thread_not_found", "cannot_reply_to_message", "restricted_action_thread_locked", "restricted_action_non_threadable_channel"}

// passing are the errors after which the same may go through later.
var passing = []string{"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}

// api calls a method of Slack's, which answers 200 with what went wrong; code is
// that error.
func (r *Receiver) api(ctx context.Context, method string, m message) (result alerting.Result, code string) {
	body, err := json.Marshal(m)
	if err != nil {
		return r.call.Refuse("write message: %w", err), ""
	}
	now := time.Now()
	result, answer := r.call.Post(ctx, r.o.API+"/"+method, map[string]string{
		"Authorization": "Bearer " + r.o.Token, "Content-Type": "application/json; charset=utf-8",
	}, body)
	if result.Outcome != alerting.Delivered {
		return result, ""
	}
	var said struct {
		OK      bool   `json:"ok"`
		Error   string `json:"error"`
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	}
	if err := json.Unmarshal(answer.Body, &said); err != nil {
		result.Outcome, result.Err = alerting.Retry, errors.New("slack "+fmt.Sprintf("%q", r.name)+" answered no JSON: is that Slack's API?")
		return result, ""
	}
	if said.OK {
		if said.Channel != "" && said.TS != "" {
			result.Reference = said.Channel + "/" + said.TS + "/" + r.o.Channel
		}
		return result, ""
	}
	result.Outcome = alerting.Rejected
	if slices.Contains(passing, said.Error) {
		result.Outcome, result.RetryAfter = alerting.Retry, call.RetryAfter(answer.Header.Get("Retry-After"), now)
	}
	result.Err = fmt.Errorf("slack %q answered %s to %s%s", r.name, r.call.Excerpt(said.Error), method, remedies[said.Error])
	return result, said.Error
}

// remedies are what to do about the errors that are an operator's to mend.
var remedies = map[string]string{
	"not_in_channel":    ": invite the bot to the channel",
	"channel_not_found": ": give the channel's id, and invite the bot where it is private",
	"invalid_auth":      ": the token is not valid",
	"token_revoked":     ": the token was revoked",
	"account_inactive":  ": the token's app was removed",
	"missing_scope":     ": the token needs the scope chat:write",
	"is_archived":       ": the channel is archived",
}
