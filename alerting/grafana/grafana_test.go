package grafana

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/samples"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "glsa_a-token-of-grafana" // #nosec G101 -- a fake's

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Delivery: samples.Of("reverted", nil).Delivery(), Secrets: []string{token, "passw0rd"},
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			r, err := New("graphs", Settings{URL: strings.Replace(address, "http://", "http://proxy-user:passw0rd@", 1), Token: token}, transport)
			require.NoError(t, err)
			return r
		},
	})
}

// fake is Grafana's annotations API (grafana.com/docs, "Create Annotation").
type fake struct {
	t        *testing.T
	requests []*http.Request
	bodies   [][]byte
	narrow   bool // the token may write annotations and nothing else
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	f.requests, f.bodies = append(f.requests, r), append(f.bodies, body)
	say := func(status int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"message":%q,"id":%d}`, message, len(f.requests))
	}
	var a annotation
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		say(401, "Invalid API key")
	case r.Method == http.MethodGet && r.URL.Path == "/grafana/api/org" && f.narrow:
		say(403, "You'll need additional permissions to perform this action. Permissions needed: orgs:read")
	case r.Method == http.MethodGet && r.URL.Path == "/grafana/api/org":
		_, _ = io.WriteString(w, `{"id":1,"name":"Acme"}`)
	case r.Method == http.MethodPatch && r.URL.Path == "/grafana/api/annotations/1":
		say(200, "Annotation patched")
	case r.Method == http.MethodPatch:
		say(404, "Could not find annotation to update")
	case r.Method != http.MethodPost || r.URL.Path != "/grafana/api/annotations":
		say(404, "Not found")
	case r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &a) != nil:
		say(400, "bad request data")
	case a.Text == "":
		say(400, "Failed to save annotation")
	case a.TimeEnd != 0 && a.TimeEnd < a.Time:
		say(400, "Failed to save annotation: timeEnd must be after time")
	default:
		say(200, "Annotation added")
	}
}

func newFake(t *testing.T, s Settings) (*fake, *Receiver) {
	f := &fake{t: t}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/grafana"
	if s.Token == "" {
		s.Token = token
	}
	r, err := New("graphs", s, nil)
	require.NoError(t, err)
	return f, r
}

func TestAnnotationOfEachMessage(t *testing.T) {
	for _, s := range samples.All() {
		t.Run(s.Name, func(t *testing.T) {
			f, r := newFake(t, Settings{})
			got := r.Send(t.Context(), s.Delivery())
			require.NoError(t, got.Err)
			require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: 200, Reference: "1"}, got)
			samples.Golden(t, s.Name, token, f.requests[0], f.bodies[0])
		})
	}
}

// TestAVerificationHasOneAnnotation: what comes later changes the first one.
func TestAVerificationHasOneAnnotation(t *testing.T) {
	f, r := newFake(t, Settings{Dashboard: "cIBgcSjkk"})
	later := samples.Of("rolled-back", nil).Delivery()
	later.Earlier = r.Send(t.Context(), samples.Of("opened", nil).Delivery()).Reference
	got := r.Send(t.Context(), later)
	require.NoError(t, got.Err)
	require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: 200, Reference: "1"}, got)
	samples.Golden(t, "change", token, f.requests[1], f.bodies[1])

	later.Earlier = "99" // which somebody has deleted
	got = r.Send(t.Context(), later)
	require.NoError(t, got.Err)
	require.Equal(t, "4", got.Reference)
	require.Equal(t, http.MethodPost, f.requests[3].Method)
}

func TestOneDashboardAlone(t *testing.T) {
	f, r := newFake(t, Settings{Dashboard: "cIBgcSjkk"})
	require.NoError(t, r.Send(t.Context(), samples.Of("kept", nil).Delivery()).Err)
	require.Contains(t, string(f.bodies[0]), `"dashboardUID":"cIBgcSjkk"`)
}

// TestHostileNamesStayText: Grafana shows the text of an annotation as HTML.
func TestHostileNamesStayText(t *testing.T) {
	f, r := newFake(t, Settings{})
	s := samples.Of("kept", func(v *verifier.Verification) {
		v.Deployment.Version, v.Verdict.Summary = `<img src=x onerror=alert(1)>`, strings.Repeat(`"><script>`, 200)
		v.Deployment.Service, v.URL = strings.Repeat("s", 300), `https://postflight.example/"onmouseover="x`
	})
	require.NoError(t, r.Send(t.Context(), s.Delivery()).Err)
	var a annotation
	require.NoError(t, json.Unmarshal(f.bodies[0], &a))
	require.NotContains(t, a.Text, "<img")
	require.NotContains(t, a.Text, "<script")
	require.NotContains(t, a.Text, `"onmouseover`)
	for _, tag := range a.Tags {
		require.LessOrEqual(t, utf8.RuneCountInString(tag), 100)
	}
}

func TestADeployWithoutAStartIsAMoment(t *testing.T) {
	f, r := newFake(t, Settings{})
	s := samples.Of("opened", func(v *verifier.Verification) { v.Deployment.StartedAt = v.Deployment.FinishedAt })
	require.NoError(t, r.Send(t.Context(), s.Delivery()).Err)
	require.NotContains(t, string(f.bodies[0]), "timeEnd")
}

func TestWrongTokenIsTold(t *testing.T) {
	_, r := newFake(t, Settings{Token: "expired-token"})
	got := r.Send(t.Context(), samples.Of("kept", nil).Delivery())
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.ErrorContains(t, got.Err, `grafana "graphs" answered 401 Unauthorized: "{\"message\":\"Invalid API key\"`)
}

func TestNewRefuses(t *testing.T) {
	_, err := New("graphs", Settings{URL: ""}, nil)
	require.EqualError(t, err, `grafana "graphs": url must be an absolute http or https URL`)
}
