package gitlab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"text/template"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/samples"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "glpat-a-token-of-gitlab" // #nosec G101 -- a fake's

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Delivery: samples.Of("reverted", nil).Delivery(), Secrets: []string{token, "passw0rd"},
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			r, err := New("ci", Settings{URL: strings.Replace(address, "http://", "http://proxy-user:passw0rd@", 1), Token: token}, transport)
			require.NoError(t, err)
			return r
		},
	})
}

// fake is GitLab's API of commit statuses (docs.gitlab.com, "Set commit
// pipeline status"): a name has one running status at a time, and whatever
// comes after its end is a new one.
type fake struct {
	t        *testing.T
	running  map[string]bool
	scopes   string // of the token
	requests []*http.Request
	bodies   [][]byte
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	f.requests, f.bodies = append(f.requests, r), append(f.bodies, body)
	w.Header().Set("Content-Type", "application/json")
	say := func(status int, format string, args ...any) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, format, args...)
	}
	var s status
	switch {
	case r.Header.Get("Private-Token") != token:
		say(401, `{"message":"401 Unauthorized"}`)
	case r.Method == http.MethodGet && r.RequestURI == "/gitlab/api/v4/personal_access_tokens/self":
		say(200, `{"id":4,"name":"postflight","revoked":false,"scopes":[%s],"active":true}`, f.scopes)
	case r.Method == http.MethodGet && r.RequestURI == "/gitlab/api/v4/projects/acme%2Fcheckout":
		say(200, `{"id":3,"path_with_namespace":"acme/checkout"}`)
	case r.Method != http.MethodPost || !strings.HasPrefix(r.RequestURI, "/gitlab/api/v4/projects/acme%2Fcheckout/statuses/"):
		say(404, `{"message":"404 Project Not Found"}`)
	case !strings.HasSuffix(r.RequestURI, "/"+samples.Commit):
		say(404, `{"message":"404 Commit Not Found"}`)
	case json.Unmarshal(body, &s) != nil:
		say(400, `{"error":"invalid body"}`)
	case !slices.Contains([]string{"pending", "running", "success", "failed", "canceled", "skipped"}, s.State):
		say(400, `{"error":"state does not have a valid value"}`)
	case utf8.RuneCountInString(s.Name) > 255 || utf8.RuneCountInString(s.Description) > 255:
		say(400, `{"message":{"description":["is too long (maximum is 255 characters)"]}}`)
	case s.State == "running" && f.running[s.Name]:
		say(400, `{"message":"Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")"}`)
	default:
		f.running[s.Name] = s.State == "running"
		say(201, `{"id":93,"status":%q}`, s.State)
	}
}

func newFake(t *testing.T, s Settings) (*fake, *Receiver) {
	f := &fake{t: t, running: map[string]bool{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/gitlab/"
	if s.Token == "" {
		s.Token = token
	}
	r, err := New("ci", s, nil)
	require.NoError(t, err)
	return f, r
}

func TestStatusOfEachMessage(t *testing.T) {
	for _, s := range samples.All() {
		t.Run(s.Name, func(t *testing.T) {
			f, r := newFake(t, Settings{})
			got := r.Send(t.Context(), s.Delivery())
			require.NoError(t, got.Err)
			require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: 201}, got)
			samples.Golden(t, s.Name, token, f.requests[0], f.bodies[0])
		})
	}
}

// TestRunningAgainIsDelivered: what GitLab refuses because it is so already
// was told, by an attempt whose answer was lost or when the deploy was seen.
func TestRunningAgainIsDelivered(t *testing.T) {
	f, r := newFake(t, Settings{})
	for _, name := range []string{"opened", "opened", "cleared"} {
		got := r.Send(t.Context(), samples.Of(name, nil).Delivery())
		require.NoError(t, got.Err)
		require.Equal(t, alerting.Delivered, got.Outcome)
	}
	require.Equal(t, alerting.Delivered, r.Send(t.Context(), samples.Of("kept", nil).Delivery()).Outcome)
	require.Len(t, f.requests, 4)
}

func TestOtherRefusalsStayRefusals(t *testing.T) {
	_, r := newFake(t, Settings{Token: "expired-token"})
	got := r.Send(t.Context(), samples.Of("kept", nil).Delivery())
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.ErrorContains(t, got.Err, `gitlab "ci" answered 401 Unauthorized`)

	_, r = newFake(t, Settings{Commit: template.Must(template.New("").Parse(strings.Repeat("0", 40)))})
	got = r.Send(t.Context(), samples.Of("kept", nil).Delivery())
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.ErrorContains(t, got.Err, "404 Commit Not Found")
}

func TestTextsFit(t *testing.T) {
	f, r := newFake(t, Settings{})
	long := samples.Of("kept", func(v *verifier.Verification) {
		v.Verdict.Summary, v.Deployment.Environment = strings.Repeat("ä ", 400), strings.Repeat("e", 400)
	})
	require.NoError(t, r.Send(t.Context(), long.Delivery()).Err)
	require.Len(t, f.bodies, 1)
}

func TestTemplatesNameWhatTheSourceDidNotTell(t *testing.T) {
	f, r := newFake(t, Settings{
		Project:    template.Must(template.New("").Parse("acme/{{ .Deployment.Service }}")),
		Commit:     template.Must(template.New("").Parse("{{ .Deployment.Labels.git }}")),
		StatusName: template.Must(template.New("").Parse("verdict {{ .Deployment.Environment }}")),
	})
	s := samples.Of("kept", func(v *verifier.Verification) {
		v.Deployment.Service, v.Deployment.Version = "checkout", "1.42.0"
		v.Deployment.Labels = map[string]string{"git": samples.Commit}
	})
	require.NoError(t, r.Send(t.Context(), s.Delivery()).Err)
	require.Contains(t, string(f.bodies[0]), `"name":"verdict production"`)
	require.NotContains(t, string(f.bodies[0]), `"ref"`)
}

// The label of whoever may announce a deploy gives nobody else's commit a green
// status.
func TestOnlyGitLabNamesTheProject(t *testing.T) {
	s := samples.Of("kept", func(v *verifier.Verification) { v.Deployment.Source = "pipeline" })
	f, r := newFake(t, Settings{Trusts: func(source string) bool { return source == "gitlab" }})
	got := r.Send(t.Context(), s.Delivery())
	require.Equal(t, alerting.Skipped, got.Outcome)
	require.ErrorContains(t, got.Err, `was announced by "pipeline", which is no source of format gitlab`)
	require.Empty(t, f.requests)
	f, r = newFake(t, Settings{Project: template.Must(template.New("").Parse("acme/checkout")), Trusts: func(string) bool { return false }})
	require.NoError(t, r.Send(t.Context(), s.Delivery()).Err)
	require.Len(t, f.requests, 1)
}

func TestWhatIsNotKnownIsNotSent(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*verifier.Deployment)
		outcome alerting.Outcome
		want    string
	}{
		"no project":   {func(d *verifier.Deployment) { delete(d.Labels, "project") }, alerting.Skipped, `no project: the source of acme/checkout has to tell it`},
		"no commit":    {func(d *verifier.Deployment) { delete(d.Labels, "commit"); d.Version = "v7" }, alerting.Skipped, `no commit: the source of acme/checkout v7 has to tell the whole hash`},
		"a short hash": {func(d *verifier.Deployment) { d.Labels["commit"] = "a10867b" }, alerting.Rejected, `must be a whole hash (got "a10867b"): its source tells it as label "commit"`},
	} {
		t.Run(name, func(t *testing.T) {
			f, r := newFake(t, Settings{})
			s := samples.Of("kept", func(v *verifier.Verification) { c.change(&v.Deployment) })
			got := r.Send(t.Context(), s.Delivery())
			require.Equal(t, c.outcome, got.Outcome)
			require.ErrorContains(t, got.Err, c.want)
			require.Equal(t, c.outcome == alerting.Skipped, r.Skips(s.Delivery()) != "", "what is wrong is no reason to skip it")
			require.Empty(t, f.requests)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := New("ci", Settings{URL: "gitlab.example"}, nil)
	require.EqualError(t, err, `gitlab "ci": url must be an absolute http or https URL`)
}
