package slack

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token   = "xoxb-123456789012-secretsecret"
	webhook = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
)

// workspace answers as Slack does, to what it checks: method, path, token,
// content type, and the limits of blocks.
type workspace struct {
	t     *testing.T
	bodys [][]byte
	paths []string
	ts    int
	// messages are those that can be changed, by channel and ts.
	messages map[string]string
	replies  []string          // shown in the channel as well
	fail     map[string]string // the error of a method
	retry    string            // Retry-After with it
	scopes   string            // of the token
}

func (w *workspace) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	require.NoError(w.t, err)
	w.bodys, w.paths = append(w.bodys, body), append(w.paths, r.URL.Path)
	if r.Method != http.MethodPost {
		http.Error(out, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == webhook {
		if problem := blocksOf(body); problem != "" {
			http.Error(out, "invalid_blocks", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(out, "ok")
		return
	}
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	answer := func(code string) {
		out.Header().Set("Retry-After", w.retry)
		_, _ = fmt.Fprintf(out, `{"ok":false,"error":%q}`, code)
	}
	var m message
	switch {
	case method != "chat.postMessage" && method != "chat.update" && method != "auth.test":
		answer("unknown_method")
	case r.Header.Get("Authorization") != "Bearer "+token:
		answer("invalid_auth")
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		answer("invalid_form_data")
	case method == "auth.test" && w.fail[method] != "":
		answer(w.fail[method])
	case method == "auth.test":
		out.Header().Set("X-OAuth-Scopes", w.scopes)
		_, _ = io.WriteString(out, `{"ok":true,"url":"https://acme.slack.com/","team":"Acme","user":"postflight","team_id":"T1","user_id":"U1","bot_id":"B1"}`)
	case json.Unmarshal(body, &m) != nil:
		answer("invalid_json")
	case blocksOf(body) != "":
		answer("invalid_blocks")
	case w.fail[method] != "":
		answer(w.fail[method])
	case method == "chat.update" && w.messages[m.Channel+"/"+m.TS] == "":
		answer("message_not_found")
	case m.ReplyBroadcast && m.ThreadTS == "" || m.ThreadTS != "" && method != "chat.postMessage":
		answer("invalid_arguments")
	case m.ThreadTS != "" && w.fail["reply"] != "":
		answer(w.fail["reply"])
	case m.ThreadTS != "" && w.messages[m.Channel+"/"+m.ThreadTS] == "":
		answer("thread_not_found")
	case method == "chat.postMessage" && m.Channel != "C0123456789":
		answer("channel_not_found")
	default:
		if method == "chat.postMessage" {
			w.ts++
			m.TS = fmt.Sprintf("1700000000.%06d", w.ts)
		}
		if m.ReplyBroadcast {
			w.replies = append(w.replies, m.ThreadTS+" "+m.Text)
		} else {
			w.messages[m.Channel+"/"+m.TS] = m.Text
		}
		_, _ = fmt.Fprintf(out, `{"ok":true,"channel":%q,"ts":%q}`, m.Channel, m.TS)
	}
}

// blocksOf says what Slack would refuse about a message's blocks; "" nothing.
func blocksOf(body []byte) string {
	var m struct {
		Text   string
		Blocks []struct {
			Type     string
			Text     *text
			Fields   []text
			Elements []struct {
				Type, URL string
				Text      json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return err.Error()
	}
	long := func(s string, most int) bool { return utf8.RuneCountInString(s) > most || s == "" }
	if m.Text == "" || len(m.Blocks) == 0 || len(m.Blocks) > 50 {
		return "text or blocks"
	}
	for _, b := range m.Blocks {
		switch b.Type {
		case "header":
			if b.Text == nil || b.Text.Type != "plain_text" || long(b.Text.Text, 150) {
				return "header"
			}
		case "section":
			if b.Text == nil && len(b.Fields) == 0 || b.Text != nil && long(b.Text.Text, 3000) || len(b.Fields) > 10 {
				return "section"
			}
			for _, f := range b.Fields {
				if f.Type != "mrkdwn" || long(f.Text, 2000) {
					return "field"
				}
			}
		case "context", "actions":
			if len(b.Elements) == 0 || len(b.Elements) > 25 || b.Type == "context" && len(b.Elements) > 10 {
				return b.Type
			}
			for _, e := range b.Elements {
				if e.Type == "button" {
					var label text
					if json.Unmarshal(e.Text, &label) != nil || long(label.Text, 75) || long(e.URL, 3000) {
						return "button"
					}
				}
			}
		default:
			return "block of type " + b.Type
		}
	}
	return ""
}

func open(t *testing.T, o Options) (*Receiver, *workspace) {
	t.Helper()
	w := &workspace{t: t, messages: map[string]string{}, fail: map[string]string{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	if o.Token == "" {
		o.Webhook = server.URL + webhook
	}
	o.API = server.URL + "/api"
	r, err := New("oncall", o)
	require.NoError(t, err)
	return r, w
}

func withToken(t *testing.T) (*Receiver, *workspace) {
	t.Helper()
	return open(t, Options{Token: token, Channel: "C0123456789"})
}

func TestGolden(t *testing.T) {
	words, err := alerting.NewWords("", "", "https://incidents.example/new?service={{ .Deployment.Service | urlquery }}")
	require.NoError(t, err)
	r, w := open(t, Options{Words: words})
	for _, s := range receivertest.Samples() {
		t.Run(s.Name, func(t *testing.T) {
			got := r.Send(t.Context(), s.Delivery)
			require.NoError(t, got.Err)
			body := w.bodys[len(w.bodys)-1]
			receivertest.Golden(t, s.Name, body, *update)
			for _, never := range []string{"<!", "<@", "@here", "@channel", "@everyone", "javascript:", "<http://evil"} {
				require.NotContains(t, strings.ReplaceAll(string(body), `\u003c`, "<"), never)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	r, w := open(t, Options{})
	var all []verifier.Delivery
	for range 4 {
		for _, s := range receivertest.Samples() {
			all = append(all, s.Delivery)
		}
	}
	got := r.SendDigest(t.Context(), all[:15])
	require.NoError(t, got.Err)
	receivertest.Golden(t, "digest", w.bodys[0], *update)
	got = r.SendDigest(t.Context(), all)
	require.NoError(t, got.Err, "within the limits")
	require.Contains(t, string(w.bodys[1]), "and 20 more on the board")
	require.Len(t, w.bodys, 2)
}

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			r, err := New("oncall", Options{Webhook: address + webhook, Transport: transport})
			require.NoError(t, err)
			return r
		},
		Delivery: receivertest.Sampled("revert"), Secrets: []string{webhook, "XXXXXXXXXXXXXXXXXXXXXXXX"},
	})
}

func TestConformanceWithAToken(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			r, err := New("oncall", Options{Token: token, Channel: "C0123456789", API: address, Transport: transport})
			require.NoError(t, err)
			return r
		},
		Delivery: receivertest.Sampled("revert"), Secrets: []string{token}, Answer: `{"ok":true,"channel":"C0123456789","ts":"1.2"}`,
	})
}

// TestOneMessageIsEdited, also after a restart, for what it is called is stored.
func TestOneMessageIsEdited(t *testing.T) {
	r, w := withToken(t)
	first := r.Send(t.Context(), receivertest.Sampled("revert"))
	require.NoError(t, first.Err)
	require.Equal(t, "C0123456789/1700000000.000001/C0123456789", first.Reference)
	next := receivertest.Sampled("confirmed")
	next.Earlier = first.Reference
	second := r.Send(t.Context(), next)
	require.NoError(t, second.Err)
	require.Equal(t, first.Reference, second.Reference)
	require.Equal(t, []string{"/api/chat.postMessage", "/api/chat.update"}, w.paths)
	require.Len(t, w.messages, 1)
	require.Contains(t, w.messages["C0123456789/1700000000.000001"], "ROLLED BACK")
	receivertest.Golden(t, "update", w.bodys[1], *update)

	delete(w.messages, "C0123456789/1700000000.000001") // somebody deletes it
	third := r.Send(t.Context(), next)
	require.NoError(t, third.Err)
	require.Equal(t, "C0123456789/1700000000.000002/C0123456789", third.Reference, "it is posted anew")
	digest := r.SendDigest(t.Context(), []verifier.Delivery{next})
	require.NoError(t, digest.Err)
	require.Empty(t, digest.Reference, "nothing edits a digest")
}

// TestAnEditThatMattersIsHeard: an edit notifies nobody, so what needs people is
// said in the channel as well; a rollback that goes well is not.
func TestAnEditThatMattersIsHeard(t *testing.T) {
	for name, heard := range map[string]bool{
		"cleared": false, "keep": false, "accepted": false, "confirmed": false, "superseded": false,
		"inconclusive": true, "revert": true, "withheld": true, "unconfirmed": true, "failed": true, "hostile": true,
	} {
		t.Run(name, func(t *testing.T) {
			r, w := withToken(t)
			first := r.Send(t.Context(), receivertest.Sampled("deploy"))
			require.NoError(t, first.Err)
			next := receivertest.Sampled(name)
			next.Earlier = first.Reference
			got := r.Send(t.Context(), next)
			require.NoError(t, got.Err)
			require.Equal(t, first.Reference, got.Reference, "the message is edited later on, not the reply")
			require.Len(t, w.messages, 1)
			if !heard {
				require.Empty(t, w.replies)
				return
			}
			require.Len(t, w.replies, 1)
			require.Equal(t, "1700000000.000001 "+w.messages["C0123456789/1700000000.000001"], w.replies[0])
			if name == "revert" {
				receivertest.Golden(t, "reply", w.bodys[2], *update)
			}
		})
	}
}

// TestAReplyThatFails is tried again with the edit, or gives way to a post.
func TestAReplyThatFails(t *testing.T) {
	r, w := withToken(t)
	first := r.Send(t.Context(), receivertest.Sampled("deploy"))
	next := receivertest.Sampled("revert")
	next.Earlier = first.Reference
	w.fail["reply"], w.retry = "ratelimited", "30"
	got := r.Send(t.Context(), next)
	require.Equal(t, alerting.Retry, got.Outcome)
	require.Equal(t, 30*time.Second, got.RetryAfter)
	w.fail["reply"] = "restricted_action_thread_locked"
	got = r.Send(t.Context(), next)
	require.NoError(t, got.Err)
	require.NotEqual(t, first.Reference, got.Reference)
	require.Len(t, w.messages, 2)
}

// TestAnotherChannel: what was posted to the channel before is left as it is.
func TestAnotherChannel(t *testing.T) {
	r, w := withToken(t)
	next := receivertest.Sampled("confirmed")
	w.messages["C0000000001/1699999999.000001"] = "WATCHING"
	next.Earlier = "C0000000001/1699999999.000001/C0000000001"
	got := r.Send(t.Context(), next)
	require.NoError(t, got.Err)
	require.Equal(t, "C0123456789/1700000000.000001/C0123456789", got.Reference)
	require.Equal(t, "WATCHING", w.messages["C0000000001/1699999999.000001"])

	// References of versions before this one tell the channel's id alone.
	next.Earlier = "C0000000001/1699999999.000001"
	require.NoError(t, r.Send(t.Context(), next).Err)
	require.Equal(t, "WATCHING", w.messages["C0000000001/1699999999.000001"])
	r, w = open(t, Options{Token: token, Channel: "deploys"})
	w.messages["C0000000001/1699999999.000001"] = "WATCHING"
	require.NoError(t, r.Send(t.Context(), next).Err)
	require.Contains(t, w.messages["C0000000001/1699999999.000001"], "ROLLED BACK")
}

func TestProbe(t *testing.T) {
	r, w := withToken(t)
	for scopes, want := range map[string]string{"": "", "chat:write,users:read": "", "chat:write.public, users:read": "lacks the scope chat:write"} {
		w.scopes = scopes
		said, err := r.Probe(t.Context())
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "the token is of postflight in Acme; whether the bot is in the channel, only a message would tell", said)
	}
	require.Empty(t, w.messages)
	w.fail["auth.test"] = "account_inactive"
	_, err := r.Probe(t.Context())
	require.ErrorContains(t, err, "the token's app was removed")
	r, _ = open(t, Options{Token: "xoxb-another-token", Channel: "C0123456789"})
	_, err = r.Probe(t.Context())
	require.ErrorContains(t, err, "the token is not valid")
	require.NotContains(t, err.Error(), "xoxb-another-token")
	r, _ = open(t, Options{})
	_, err = r.Probe(t.Context())
	require.Error(t, err)
}

func TestErrorsAreClassified(t *testing.T) {
	for code, c := range map[string]struct {
		outcome alerting.Outcome
		says    string
	}{
		"ratelimited":       {alerting.Retry, "ratelimited"},
		"internal_error":    {alerting.Retry, "internal_error"},
		"invalid_auth":      {alerting.Rejected, "the token is not valid"},
		"channel_not_found": {alerting.Rejected, "give the channel's id"},
		"not_in_channel":    {alerting.Rejected, "invite the bot"},
		"no_text":           {alerting.Rejected, "no_text"},
	} {
		t.Run(code, func(t *testing.T) {
			r, w := withToken(t)
			w.fail["chat.postMessage"], w.retry = code, "30"
			got := r.Send(t.Context(), receivertest.Sampled("revert"))
			require.Equal(t, c.outcome, got.Outcome)
			require.ErrorContains(t, got.Err, c.says)
			require.NotContains(t, got.Err.Error(), token)
			if c.outcome == alerting.Retry {
				require.Equal(t, 30*time.Second, got.RetryAfter)
			}
			require.Len(t, w.paths, 1)
		})
	}
}

func TestTheTokenIsChecked(t *testing.T) {
	r, _ := open(t, Options{Token: "xoxb-another-token", Channel: "C0123456789"})
	got := r.Send(t.Context(), receivertest.Sampled("revert"))
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.ErrorContains(t, got.Err, "invalid_auth")
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{{}, {Webhook: "https://x/y", Token: token}, {Webhook: "://"}, {Token: token, API: "ftp://x"}} {
		_, err := New("oncall", o)
		require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		require.NotContains(t, err.Error(), token)
	}
	_, err := url.Parse(webhook)
	require.NoError(t, err)
}

func TestEscapedFits(t *testing.T) {
	for _, most := range []int{1, 2, 5, 75, 150, 3000} {
		for _, words := range []string{"", "a", strings.Repeat("&", 5000), strings.Repeat("ü<", 3000), "@here" + strings.Repeat(">", 200)} {
			got := escaped(words, most)
			require.LessOrEqual(t, utf8.RuneCountInString(got), max(most, 5))
			require.False(t, strings.HasSuffix(strings.TrimSuffix(got, "…"), "&amp"), got)
		}
	}
}
