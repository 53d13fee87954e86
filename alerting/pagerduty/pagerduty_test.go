package pagerduty

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

const key = "R0123456789abcdef0123456789abcde"

// account answers as the Events API does, and keeps its alerts.
type account struct {
	t      *testing.T
	paths  []string
	bodies [][]byte
	alerts map[string]string // what was done last, by dedup_key
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	require.NoError(a.t, err)
	a.paths, a.bodies = append(a.paths, r.URL.Path), append(a.bodies, body)
	refuse := func(what string) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"status":"invalid event","message":"Event object is invalid","errors":[%q]}`, what)
	}
	var e alertEvent
	if err := json.Unmarshal(body, &e); err != nil || r.Method != http.MethodPost {
		refuse("not JSON, or not posted")
		return
	}
	change := r.URL.Path == "/v2/change/enqueue"
	switch {
	case r.URL.Path != "/v2/enqueue" && !change:
		http.NotFound(w, r)
	case len(e.RoutingKey) != 32:
		refuse("Length of 'routing_key' is incorrect (should be 32 characters)")
	case len(body) > 512<<10:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case (change || e.Action == trigger) && (e.Payload == nil || e.Payload.Summary == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024 || e.Payload.Source == ""):
		refuse("'payload' is missing or wrong")
	case !change && e.Action == trigger && !strings.Contains(" critical error warning info ", " "+e.Payload.Severity+" "):
		refuse("'severity' is wrong")
	case !change && e.Action != trigger && e.Action != acknowledge && e.Action != resolve:
		refuse("'event_action' is missing or wrong")
	case !change && (e.DedupKey == "" || utf8.RuneCountInString(e.DedupKey) > 255):
		refuse("'dedup_key' is wrong")
	default:
		if !change {
			a.alerts[e.DedupKey] = e.Action
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprintf(w, `{"status":"success","message":"Event processed","dedup_key":%q}`, e.DedupKey)
	}
}

func open(t *testing.T) (*Receiver, *account) {
	t.Helper()
	a := &account{t: t, alerts: map[string]string{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	r, err := New("oncall", Options{RoutingKey: key, API: server.URL})
	require.NoError(t, err)
	return r, a
}

func TestGolden(t *testing.T) {
	r, a := open(t)
	for _, s := range receivertest.Samples() {
		t.Run(s.Name, func(t *testing.T) {
			require.NoError(t, r.Send(t.Context(), s.Delivery).Err)
			receivertest.Golden(t, s.Name, a.bodies[len(a.bodies)-1], *update)
		})
	}
}

// TestPagesOnlyWhoIsNeeded: what each message does to the alert.
func TestPagesOnlyWhoIsNeeded(t *testing.T) {
	for name, want := range map[string]string{
		"withheld": trigger, "unconfirmed": trigger, "failed": trigger, "inconclusive": trigger,
		"accepted": acknowledge, "confirmed": resolve, "fenced": resolve, "overruled": resolve, "keep": resolve,
		"deploy": "", "revert": "", "shadow": "", "cleared": "", "superseded": "",
	} {
		t.Run(name, func(t *testing.T) {
			r, a := open(t)
			require.NoError(t, r.Send(t.Context(), receivertest.Sampled(name)).Err)
			require.Equal(t, want, a.alerts["postflight/checkout/production"])
			require.Equal(t, map[bool]string{true: "/v2/change/enqueue", false: "/v2/enqueue"}[want == ""], a.paths[0])
		})
	}
}

// TestOneAlertForAService: it is triggered, acknowledged and resolved.
func TestOneAlertForAService(t *testing.T) {
	r, a := open(t)
	for _, name := range []string{"deploy", "withheld", "accepted", "unconfirmed", "confirmed"} {
		require.NoError(t, r.Send(t.Context(), receivertest.Sampled(name)).Err)
	}
	require.Equal(t, map[string]string{"postflight/checkout/production": resolve}, a.alerts)
}

func TestKeysOfLongNamesDiffer(t *testing.T) {
	long := strings.Repeat("ü", 300)
	one, other := dedupKey(verifier.Deployment{Service: long, Environment: "a"}), dedupKey(verifier.Deployment{Service: long, Environment: "b"})
	require.NotEqual(t, one, other)
	require.LessOrEqual(t, utf8.RuneCountInString(one), 255)
	require.Equal(t, one, dedupKey(verifier.Deployment{Service: long, Environment: "a", Version: "2"}))
}

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			r, err := New("oncall", Options{RoutingKey: key, API: address, Transport: transport, Timeout: 20 * time.Second})
			require.NoError(t, err)
			return r
		},
		Delivery: receivertest.Sampled("withheld"), Secrets: []string{key},
	})
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{{}, {RoutingKey: key, API: "events.pagerduty.com"}} {
		_, err := New("oncall", o)
		require.Equal(t, verifier.Invalid, verifier.KindOf(err))
		require.NotContains(t, err.Error(), key)
	}
}

// TestAChangeSaysNothingAboutTheAlert, and so overtakes none.
func TestAChangeSaysNothingAboutTheAlert(t *testing.T) {
	r, err := New("oncall", Options{RoutingKey: key})
	require.NoError(t, err)
	for want, e := range map[bool]verifier.Event{
		false: {Type: verifier.EventOpened},
		true:  {Type: verifier.EventActionChanged, Data: verifier.Verification{Action: verifier.Action{State: verifier.ActionConfirmed}}},
	} {
		body, err := json.Marshal(e)
		require.NoError(t, err)
		require.Equal(t, want, r.ShowsState(verifier.Delivery{Body: body}))
	}
	require.False(t, r.ShowsState(verifier.Delivery{Body: []byte("no JSON")}))
}
