package shoutrrr

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/samples"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

// update is the flag of samples: to write the golden files anew.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

// TestMain is also the process that sends: the test's own program, asked by its
// arguments.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "send") {
		if err := Serve(os.Stdin, os.Stdout, transport(os.Args[1])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

var errDenied = errors.New("egress is refused")

// transport dials as the daemon's would: "send-denied" nowhere, and
// "send-redirected" all that is asked for to where its name says, so that
// services with a host of their own reach a fake.
func transport(mode string) http.RoundTripper {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if mode == "send-denied" || strings.HasPrefix(address, "169.254.") {
			return errDenied
		}
		return nil
	}}
	next := &http.Transport{DialContext: dialer.DialContext}
	_, fake, redirected := strings.Cut(mode, "=")
	if !redirected {
		return next
	}
	return plain{next, fake}
}

// plain sends every request to a fake on loopback.
type plain struct {
	next http.RoundTripper
	fake string
}

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Meant-For", r.URL.Host)
	r.URL.Scheme, r.URL.Host = "http", p.fake
	return p.next.RoundTrip(r)
}

func process(t *testing.T, mode string) []string {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	return []string{program, mode}
}

const topic = "s3cret-topic-of-ours"

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Delivery: samples.Of("reverted", nil).Delivery(), Secrets: []string{topic, "passw0rd", "hook-user"},
		Open: func(t *testing.T, address string, _ http.RoundTripper) alerting.Receiver {
			r, err := New("phone", strings.Replace(address, "http://", "ntfy://hook-user:passw0rd@", 1)+"/"+topic+"?scheme=http", alerting.Words{}, process(t, "send"))
			require.NoError(t, err)
			return r
		},
	})
}

// fake takes what a service sends.
type fake struct {
	address string
	calls   atomic.Int32
	last    *http.Request
	body    string
}

// told is the last message of ntfy.
func (f *fake) told() string { return "Title: " + f.last.Header.Get("Title") + "\n\n" + f.body + "\n" }

func newFake(t *testing.T, answer http.HandlerFunc) *fake {
	f := &fake{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		f.last, f.body = r, string(body)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	f.address = strings.TrimPrefix(server.URL, "http://")
	return f
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// addresses are a service URL for each service, with what it calls.
var addresses = map[string]struct{ url, host, answer string }{
	"bark":       {"bark://d3vicekey@bark.example", "bark.example", `{"code":200,"message":"success"}`},
	"discord":    {"discord://t0kenofdiscord@123456789012345678", "discord.com", ""},
	"googlechat": {"googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=bar0key&token=baz0token", "chat.googleapis.com", "{}"},
	"gotify":     {"gotify://gotify.example/AzyoeNS.D4iJLVa", "gotify.example", `{"id":1}`},
	"ifttt":      {"ifttt://k3yofifttt/?events=deploy&value1=1", "maker.ifttt.com", "ok"},
	"join":       {"join://:apik3y@join/?devices=dev1ce", "joinjoaomgcd.appspot.com", "{}"},
	"lark":       {"lark://open.larksuite.com/t0ken-of-lark?secret=", "open.larksuite.com", `{"code":0,"msg":"success"}`},
	"matrix":     {"matrix://:t0kenofmatrix@matrix.example/?rooms=!room:matrix.example", "matrix.example", `{"event_id":"$1","room_id":"!room:matrix.example","joined_rooms":["!room:matrix.example"]}`},
	"mattermost": {"mattermost://mattermost.example/t0kenofmattermost", "mattermost.example", "ok"},
	"notifiarr":  {"notifiarr://apik3yofours?channel=123456789", "notifiarr.com", `{"result":"success"}`},
	"ntfy":       {"ntfy://ntfy.example/" + topic, "ntfy.example", `{"id":"1"}`},
	"opsgenie":   {"opsgenie://api.opsgenie.com/d0f9ca4a-0c1a-4b9f-9d2c-000000000000", "api.opsgenie.com", `{"result":"ok"}`},
	"pushbullet": {"pushbullet://o.abcdefghijklmnopqrstuvwxyz012345/device", "api.pushbullet.com", `{"active":true,"type":"note","body":"B","title":"T"}`},
	"pushover":   {"pushover://shoutrrr:t0kenofpushover@us3rkey/", "api.pushover.net", `{"status":1}`},
	"rocketchat": {"rocketchat://rocket.example/t0kenA/t0kenB", "rocket.example", `{"success":true}`},
	"signal":     {"signal://signal.example:8080/+1234567890/+1987654321", "signal.example:8080", `{"timestamp":1}`},
	"telegram":   {"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@deploys", "api.telegram.org", `{"ok":true,"result":{"message_id":1}}`},
	"wecom":      {"wecom://693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa", "qyapi.weixin.qq.com", `{"errcode":0,"errmsg":"ok"}`},
	"zulip":      {"zulip://bot%40zulip.example:b0tkey@zulip.example?stream=deploys&topic=x", "zulip.example", `{"result":"success"}`},
}

// TestEachServiceGoesThroughOurTransport is what keeps the egress rule: each
// service that Check lets through calls over the transport of the process, and
// the message arrives.
func TestEachServiceGoesThroughOurTransport(t *testing.T) {
	for _, service := range Services {
		c, ok := addresses[service]
		if service == "hangouts" { // googlechat under its old name
			c, ok = addresses["googlechat"], true
			c.url = strings.Replace(c.url, "googlechat", "hangouts", 1)
		}
		require.True(t, ok, "no address for %s", service)
		t.Run(service, func(t *testing.T) {
			var f *fake
			f = newFake(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch service {
				case "discord":
					w.WriteHeader(http.StatusNoContent)
				case "pushbullet": // it tells what it made of the message
					_, _ = io.WriteString(w, strings.Replace(f.body, "{", `{"active":true,`, 1))
					return
				}
				_, _ = io.WriteString(w, c.answer)
			})
			r, err := New("tail", c.url, alerting.Words{}, process(t, "send="+f.address))
			require.NoError(t, err)
			got := r.Send(t.Context(), samples.Of("reverted", nil).Delivery())
			require.NoError(t, got.Err)
			require.Equal(t, alerting.Delivered, got.Outcome)
			require.Equal(t, c.host, strings.TrimSuffix(f.last.Header.Get("X-Meant-For"), ":443"))

			denied, err := New("tail", c.url, alerting.Words{}, process(t, "send-denied"))
			require.NoError(t, err)
			seen := f.calls.Load()
			got = denied.Send(t.Context(), samples.Of("reverted", nil).Delivery())
			require.Equal(t, alerting.Retry, got.Outcome)
			require.Equal(t, seen, f.calls.Load())
		})
	}
}

func TestMessageIsTheStory(t *testing.T) {
	f := newFake(t, answers(200, `{"id":"1"}`))
	r, err := New("phone", "ntfy://"+f.address+"/deploys?scheme=http", alerting.Words{}, process(t, "send"))
	require.NoError(t, err)
	s := samples.Of("reverted", nil)
	require.NoError(t, r.Send(t.Context(), s.Delivery()).Err)
	story := alerting.Tell(s.Event)
	require.Contains(t, f.last.Header.Get("Title"), "acme/checkout")
	require.Contains(t, f.body, story.Why)
	require.Contains(t, f.body, s.Event.Data.URL)

	words, err := alerting.NewWords("{{ .Deployment.Service }} again", "only this", "")
	require.NoError(t, err)
	own, err := New("phone", "ntfy://"+f.address+"/deploys?scheme=http", words, process(t, "send"))
	require.NoError(t, err)
	require.NoError(t, own.Send(t.Context(), s.Delivery()).Err)
	require.Contains(t, f.body, "only this")
	require.NotContains(t, f.body, story.Why)
}

// TestNobodyIsCalled by who names a version or a person.
func TestNobodyIsCalled(t *testing.T) {
	f := newFake(t, answers(200, "ok"))
	r, err := New("chat", addresses["mattermost"].url, alerting.Words{}, process(t, "send="+f.address))
	require.NoError(t, err)
	s := samples.Of("reverted", nil)
	s.Event.Data.Deployment.Version = "1.0 @Everyone @all <!channel> [click](http://evil.example)"
	s.Event.Data.Deployment.Actor = "@channel @**all** <@&42>"
	s.Event.Data.Deployment.URL = "https://ci.example/@all/(1)"
	require.NoError(t, r.Send(t.Context(), s.Delivery()).Err)
	var sent struct{ Text string }
	require.NoError(t, json.Unmarshal([]byte(f.body), &sent))
	for _, never := range []string{"@e", "@E", "@a", "@c", "@*", "@&", "<!", "<@", "]("} {
		require.NotContains(t, sent.Text, never)
	}
	require.Contains(t, sent.Text, "@\u200bchannel @\u200b**all**")
	require.Contains(t, sent.Text, "https://ci.example/%40all/%281%29")
	require.Contains(t, sent.Text, s.Event.Data.URL)
}

func TestLinkLocalAddressesAreNotReached(t *testing.T) {
	r, err := New("phone", "ntfy://169.254.169.254/latest?scheme=http", alerting.Words{}, process(t, "send"))
	require.NoError(t, err)
	got := r.Send(t.Context(), samples.Of("reverted", nil).Delivery())
	require.Equal(t, alerting.Retry, got.Outcome)
	require.ErrorContains(t, got.Err, "egress is refused")
}

// TestOneAttemptAtATime: discord would try five times by itself.
func TestOneAttemptAtATime(t *testing.T) {
	for _, status := range []int{429, 500} {
		f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(status)
		})
		r, err := New("tail", addresses["discord"].url, alerting.Words{}, process(t, "send="+f.address))
		require.NoError(t, err)
		got := r.Send(t.Context(), samples.Of("reverted", nil).Delivery())
		require.Equal(t, alerting.Retry, got.Outcome)
		require.Equal(t, 2*time.Minute, got.RetryAfter)
		require.Equal(t, int32(1), f.calls.Load())
	}
}

func TestWhatAServiceRefusesInItsOwnWordsIsNotRepeated(t *testing.T) {
	f := newFake(t, answers(200, `{"code":400,"message":"device not found: d3vicekey"}`))
	r, err := New("tail", addresses["bark"].url, alerting.Words{}, process(t, "send="+f.address))
	require.NoError(t, err)
	got := r.Send(t.Context(), samples.Of("reverted", nil).Delivery())
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.NotContains(t, got.Err.Error(), "d3vicekey")
}

func TestErrorsTellNoSecret(t *testing.T) {
	secrets := []string{"t0ken", "k3y", "apik3y", "b0tkey", "D4iJLVa", "baz0token", "AAHdqTcv", "us3rkey", "d3vicekey", topic, "0ec2sifa5aaa", "d0f9ca4a"}
	for service, c := range addresses {
		t.Run(service, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				_, _ = fmt.Fprintf(w, "no %s for %s", r.RequestURI, c.url)
			})
			for _, mode := range []string{"send=" + f.address, "send-denied", "send=127.0.0.1:1"} {
				r, err := New("tail", c.url, alerting.Words{}, process(t, mode))
				require.NoError(t, err)
				got := r.Send(t.Context(), samples.Of("reverted", nil).Delivery())
				require.Error(t, got.Err)
				for _, secret := range secrets {
					require.NotContains(t, got.Err.Error(), secret)
				}
			}
		})
	}
}

func TestAProcessThatFailsIsTriedAgain(t *testing.T) {
	for name, command := range map[string][]string{
		"none":       {"/nonexistent/postflight"},
		"no outcome": {"/bin/sh", "-c", "cat >/dev/null"},
		"exit 1":     {"/bin/sh", "-c", "cat >/dev/null; exit 1"},
		"hangs":      {"/bin/sh", "-c", "exec sleep 60"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New("tail", addresses["ntfy"].url, alerting.Words{}, command)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			got := r.Send(ctx, samples.Of("reverted", nil).Delivery())
			require.Equal(t, alerting.Retry, got.Outcome)
			require.Error(t, got.Err)
		})
	}
}

func TestTheProcessGetsNoEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "s3cret")
	out := t.TempDir() + "/environment"
	r, err := New("tail", addresses["ntfy"].url, alerting.Words{}, []string{"/bin/sh", "-c", "cat >/dev/null; env > " + out})
	require.NoError(t, err)
	r.Send(t.Context(), samples.Of("reverted", nil).Delivery())
	environment, err := os.ReadFile(out)
	require.NoError(t, err)
	require.NotContains(t, string(environment), "SECRET_OF_THE_DAEMON")
}

// TestShoutrrrAddressInDocs: shoutrrr makes a service of each address that
// docs/integrations/receivers.md shows.
func TestShoutrrrAddressInDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/integrations/receivers.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(page), "```text\n")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "```")
	places := strings.NewReplacer("telegram://TOKEN", "telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "WEBHOOK_ID", "145988746", "HOST", "chat.example", "TOKEN", "AbCdEfGhIjKlMnO")
	for address := range strings.Lines(shown) {
		_, err := locate(places.Replace(strings.TrimSpace(address)), http.DefaultTransport)
		require.NoError(t, err, address)
	}
}

func TestCheck(t *testing.T) {
	for address, want := range map[string]string{
		"ntfy://ntfy.sh/topic":           "",
		"slack://token@channel":          `service "slack" is not reached this way: use a receiver of kind slack`,
		"smtp://u:passw0rd@mail/?to=a@b": `service "smtp" is not reached this way: use a receiver of kind email`,
		"logger://":                      `service "logger" is not reached this way: it reaches nobody`,
		"generic+https://u:passw0rd@x":   "is of no service that is reached",
		"https://u:passw0rd@x":           "is of no service that is reached",
		"passw0rd":                       "must be a service URL of shoutrrr",
		"ntfy://ntfy.sh/a b":             `must be one whole URL of service "ntfy"`,
	} {
		err := Check(address)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "passw0rd")
		require.NotContains(t, err.Error(), "hangouts", "googlechat is its name now")
		_, err = New("tail", address, alerting.Words{}, nil)
		require.Equal(t, verifier.Invalid, verifier.KindOf(err))
	}
}

// TestDigest: many deliveries are one message that every service has room for.
func TestDigest(t *testing.T) {
	f := newFake(t, answers(http.StatusOK, `{"id":"1"}`))
	r, err := New("phone", "ntfy://"+f.address+"/"+topic+"?scheme=http", alerting.Words{}, process(t, "send"))
	require.NoError(t, err)
	var all []verifier.Delivery
	for range 3 {
		for _, s := range receivertest.Samples() {
			all = append(all, s.Delivery)
		}
	}
	got := r.SendDigest(t.Context(), all)
	require.NoError(t, got.Err)
	require.Equal(t, int32(1), f.calls.Load())
	require.Empty(t, got.Reference)
	for _, said := range []string{"✖ REVERT checkout 1.42.0 in production", "more on the board", "https://postflight.example/"} {
		require.Contains(t, f.body, said)
	}
	require.LessOrEqual(t, len([]rune(f.body)), maxDigest)
	for _, never := range []string{"@here", "@everyone", "](http"} {
		require.NotContains(t, f.body, never)
	}
	receivertest.GoldenText(t, "digest.txt", f.told(), update())
	got = r.Send(t.Context(), receivertest.Sampled("revert"))
	require.NoError(t, got.Err)
	receivertest.GoldenText(t, "revert.txt", f.told(), update())
	few := r.words.Digest(all[:2])
	require.NotContains(t, list(few, 2), "more on the board")
}
