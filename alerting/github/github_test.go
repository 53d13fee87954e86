package github

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/samples"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "ghp_a-token-of-github" // #nosec G101 -- a fake's

func TestConformance(t *testing.T) {
	for writes, sample := range map[string]string{CommitStatus: "reverted", DeploymentStatus: "kept"} {
		t.Run(writes, func(t *testing.T) {
			receivertest.Run(t, receivertest.Subject{
				Delivery: samples.Of(sample, nil).Delivery(), Secrets: []string{token, "passw0rd"},
				Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
					r, err := New("ci", Settings{URL: strings.Replace(address, "http://", "http://proxy-user:passw0rd@", 1), Token: token, Writes: writes}, transport)
					require.NoError(t, err)
					return r
				},
			})
		})
	}
}

// fake is GitHub's API, as its documentation of "Create a commit status" and
// "Create a deployment status" (version 2022-11-28) has it.
type fake struct {
	t        *testing.T
	requests []*http.Request
	bodies   [][]byte
}

var (
	statusPath     = regexp.MustCompile(`^/api/v3/repos/acme/checkout/statuses/([0-9a-f]{40})$`)
	deploymentPath = regexp.MustCompile(`^/api/v3/repos/acme/checkout/deployments/(\d+)/statuses$`)
)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	f.requests, f.bodies = append(f.requests, r), append(f.bodies, body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	say := func(status int, message string) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"message":%q,"documentation_url":"https://docs.github.com/rest","status":"%d"}`, message, status)
	}
	var fields map[string]any
	commit, deployment := statusPath.FindStringSubmatch(r.URL.Path), deploymentPath.FindStringSubmatch(r.URL.Path)
	switch {
	case r.UserAgent() == "":
		say(403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
	case r.Header.Get("Authorization") != "Bearer "+token:
		say(401, "Bad credentials")
	case r.Header.Get("X-GitHub-Api-Version") != "2022-11-28":
		say(400, "unsupported API version")
	case r.Method == http.MethodGet && r.URL.Path == "/api/v3/rate_limit":
		_, _ = io.WriteString(w, `{"resources":{},"rate":{"limit":5000,"remaining":4999}}`)
	case r.Method == http.MethodGet && r.URL.Path == "/api/v3/repos/acme/checkout":
		_, _ = io.WriteString(w, `{"id":1,"full_name":"acme/checkout","private":true}`)
	case r.Method != http.MethodPost || commit == nil && deployment == nil:
		say(404, "Not Found")
	case json.Unmarshal(body, &fields) != nil:
		say(400, "Problems parsing JSON")
	case deployment != nil:
		f.create(fields, say, []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"})
	case commit[1] != samples.Commit:
		say(422, "No commit found for SHA: "+commit[1])
	default:
		f.create(fields, say, []string{"error", "failure", "pending", "success"})
	}
}

func (f *fake) create(fields map[string]any, say func(int, string), states []string) {
	state, _ := fields["state"].(string)
	description, _ := fields["description"].(string)
	switch {
	case !slices.Contains(states, state):
		say(422, "Validation Failed: state is not included in the list")
	case utf8.RuneCountInString(description) > 140:
		say(422, "Validation Failed: description is too long (maximum is 140 characters)")
	default:
		say(201, "created")
	}
}

func (f *fake) receiver(s Settings) *Receiver {
	server := httptest.NewServer(f)
	f.t.Cleanup(server.Close)
	s.URL = server.URL + "/api/v3"
	if s.Token == "" {
		s.Token = token
	}
	r, err := New("ci", s, nil)
	require.NoError(f.t, err)
	return r
}

func TestCommitStatusOfEachMessage(t *testing.T) {
	for _, s := range samples.All() {
		t.Run(s.Name, func(t *testing.T) {
			f := &fake{t: t}
			got := f.receiver(Settings{}).Send(t.Context(), s.Delivery())
			require.NoError(t, got.Err)
			require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: 201}, got)
			samples.Golden(t, "commit-"+s.Name, token, f.requests[0], f.bodies[0])
		})
	}
}

// TestDeploymentStatuses: a deployment is told of once it is known what becomes
// of it, and is a failure no sooner than the version before it runs again.
func TestDeploymentStatuses(t *testing.T) {
	told := map[string]bool{"kept": true, "rolled-back": true}
	for _, s := range samples.All() {
		t.Run(s.Name, func(t *testing.T) {
			f := &fake{t: t}
			got := f.receiver(Settings{Writes: DeploymentStatus}).Send(t.Context(), s.Delivery())
			require.NoError(t, got.Err)
			require.Equal(t, alerting.Delivered, got.Outcome)
			if !told[s.Name] {
				require.Empty(t, f.requests)
				return
			}
			samples.Golden(t, "deployment-"+s.Name, token, f.requests[0], f.bodies[0])
			require.Contains(t, string(f.bodies[0]), `"auto_inactive":false`)
			require.NotContains(t, string(f.bodies[0]), `"environment":`)
		})
	}
}

func TestDescriptionsFit(t *testing.T) {
	for _, writes := range []string{CommitStatus, DeploymentStatus} {
		f := &fake{t: t}
		long := samples.Of("kept", func(v *verifier.Verification) { v.Verdict.Summary = strings.Repeat("ä\n\x00", 200) })
		require.NoError(t, f.receiver(Settings{Writes: writes}).Send(t.Context(), long.Delivery()).Err)
		var sent struct{ Description string }
		require.NoError(t, json.Unmarshal(f.bodies[0], &sent))
		require.Equal(t, 140, utf8.RuneCountInString(sent.Description))
		require.True(t, strings.HasSuffix(sent.Description, "…"))
	}
}

func TestServicesOfOneCommitHaveStatusesOfTheirOwn(t *testing.T) {
	f := &fake{t: t}
	s := samples.Of("kept", func(v *verifier.Verification) { v.Deployment.Service = "cart" })
	require.NoError(t, f.receiver(Settings{}).Send(t.Context(), s.Delivery()).Err)
	require.Contains(t, string(f.bodies[0]), `"context":"postflight/production/cart"`)
}

func TestTemplatesNameWhatTheSourceDidNotTell(t *testing.T) {
	f := &fake{t: t}
	s := samples.Of("kept", func(v *verifier.Verification) {
		v.Deployment.Service, v.Deployment.Version = "checkout", "1.42.0"
		v.Deployment.Labels = map[string]string{"git": samples.Commit}
	})
	r := f.receiver(Settings{
		Repository: template.Must(template.New("").Parse("acme/{{ .Deployment.Service }}")),
		Commit:     template.Must(template.New("").Parse("{{ .Deployment.Labels.git }}")),
		Context:    template.Must(template.New("").Parse("verdict {{ .Deployment.Environment }}")),
	})
	require.NoError(t, r.Send(t.Context(), s.Delivery()).Err)
	require.Contains(t, string(f.bodies[0]), `"context":"verdict production"`)
}

// The label of whoever may announce a deploy gives nobody else's commit a green
// check.
func TestOnlyGitHubNamesTheRepository(t *testing.T) {
	for _, writes := range []string{CommitStatus, DeploymentStatus} {
		f := &fake{t: t}
		s := samples.Of("kept", func(v *verifier.Verification) { v.Deployment.Source = "pipeline" })
		got := f.receiver(Settings{Writes: writes, Trusts: func(source string) bool { return source == "github" }}).Send(t.Context(), s.Delivery())
		require.Equal(t, alerting.Skipped, got.Outcome)
		require.ErrorContains(t, got.Err, `was announced by "pipeline", which is no source of format github`)
		require.Empty(t, f.requests)
	}
	f := &fake{t: t}
	s := samples.Of("kept", func(v *verifier.Verification) { v.Deployment.Source = "pipeline" })
	named := template.Must(template.New("").Parse("acme/checkout"))
	require.NoError(t, f.receiver(Settings{Repository: named, Trusts: func(string) bool { return false }}).Send(t.Context(), s.Delivery()).Err)
}

func TestWhatIsNotKnownIsNotSent(t *testing.T) {
	for name, c := range map[string]struct {
		writes  string
		change  func(*verifier.Deployment)
		outcome alerting.Outcome
		want    string
	}{
		"no repository": {CommitStatus, func(d *verifier.Deployment) { delete(d.Labels, "repository") }, alerting.Skipped, `no repository: the source of acme/checkout has to tell it as label "repository", as OWNER/NAME, or the receiver name it`},
		"a path":        {CommitStatus, func(d *verifier.Deployment) { d.Labels["repository"] = "../orgs" }, alerting.Rejected, `github "ci": the repository of acme/checkout must be OWNER/NAME (got "../orgs")`},
		"too deep":      {CommitStatus, func(d *verifier.Deployment) { d.Labels["repository"] = "acme/checkout/hooks" }, alerting.Rejected, `must be OWNER/NAME (got "acme/checkout/hooks")`},
		"no commit":     {CommitStatus, func(d *verifier.Deployment) { delete(d.Labels, "commit"); d.Version = "v7" }, alerting.Skipped, `no commit: the source of acme/checkout v7 has to tell the whole hash`},
		"short commit":  {CommitStatus, func(d *verifier.Deployment) { d.Labels["commit"] = "a10867b" }, alerting.Rejected, `must be a whole hash (got "a10867b")`},
		"no deployment": {DeploymentStatus, func(d *verifier.Deployment) { delete(d.Labels, "deployment") }, alerting.Skipped, `no deployment: the source of acme/checkout`},
		"no number":     {DeploymentStatus, func(d *verifier.Deployment) { d.Labels["deployment"] = "-7" }, alerting.Rejected, `must be a number (got "-7")`},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{t: t}
			s := samples.Of("kept", func(v *verifier.Verification) { c.change(&v.Deployment) })
			r := f.receiver(Settings{Writes: c.writes})
			got := r.Send(t.Context(), s.Delivery())
			require.Equal(t, c.outcome, got.Outcome)
			require.ErrorContains(t, got.Err, c.want)
			require.Equal(t, c.outcome == alerting.Skipped, r.Skips(s.Delivery()) != "", "what is wrong is no reason to skip it")
			require.Empty(t, f.requests)
		})
	}
}

func TestWrongTokenIsTold(t *testing.T) {
	got := (&fake{t: t}).receiver(Settings{Token: "expired-token"}).Send(t.Context(), samples.Of("kept", nil).Delivery())
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.ErrorContains(t, got.Err, `github "ci" answered 401 Unauthorized: "{\"message\":\"Bad credentials\"`)
}

// TestRateLimits: GitHub limits with 403 as well, and says in three ways for
// how long (docs.github.com, "Rate limits for the REST API").
func TestRateLimits(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		header   map[string]string
		body     string
		outcome  alerting.Outcome
		from, to time.Duration
	}{
		"primary": {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(10*time.Minute).Unix(), 10)},
			`{"message":"API rate limit exceeded for user ID 1."}`, alerting.Retry, 9 * time.Minute, 10 * time.Minute},
		"primary by 429": {429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(10*time.Minute).Unix(), 10)},
			`{}`, alerting.Retry, 9 * time.Minute, 10 * time.Minute},
		"secondary":               {403, map[string]string{"Retry-After": "90"}, `{"message":"You have exceeded a secondary rate limit."}`, alerting.Retry, 90 * time.Second, 90 * time.Second},
		"secondary without times": {403, map[string]string{"X-RateLimit-Remaining": "4999"}, `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`, alerting.Retry, time.Minute, time.Minute},
		"a reset in the past":     {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, `{}`, alerting.Retry, time.Second, time.Second},
		"a reset in a century":    {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}, `{}`, alerting.Retry, 24 * time.Hour, 24 * time.Hour},
		"forbidden":               {403, map[string]string{"X-RateLimit-Remaining": "4999"}, `{"message":"Resource not accessible by personal access token"}`, alerting.Rejected, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			r, err := New("ci", Settings{URL: server.URL, Token: token}, nil)
			require.NoError(t, err)
			got := r.Send(t.Context(), samples.Of("kept", nil).Delivery())
			require.Equal(t, c.outcome, got.Outcome)
			require.GreaterOrEqual(t, got.RetryAfter, c.from)
			require.LessOrEqual(t, got.RetryAfter, c.to)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := New("ci", Settings{URL: "ftp://u:passw0rd@host/"}, nil)
	require.EqualError(t, err, `github "ci": url must be an absolute http or https URL`)
	require.Equal(t, verifier.Invalid, verifier.KindOf(err))
}

func TestABodyThatIsNoMessageIsRefused(t *testing.T) {
	got := (&fake{t: t}).receiver(Settings{}).Send(t.Context(), verifier.Delivery{ID: "dl_1", Body: []byte("{")})
	require.Equal(t, alerting.Rejected, got.Outcome)
	require.ErrorContains(t, got.Err, "dl_1")
}

// TestWhichMessagesChangeAStatus: only those overtake another.
func TestWhichMessagesChangeAStatus(t *testing.T) {
	opened := verifier.Delivery{Body: []byte(`{"type":"verification.opened"}`)}
	confirmed := verifier.Delivery{Body: []byte(`{"type":"action.changed","data":{"state":"decided","effective":"revert","action":{"state":"confirmed"}}}`)}
	require.True(t, (&Receiver{}).ShowsState(opened))
	deployment := &Receiver{s: Settings{Writes: DeploymentStatus}}
	require.False(t, deployment.ShowsState(opened))
	require.True(t, deployment.ShowsState(confirmed))
	require.False(t, deployment.ShowsState(verifier.Delivery{Body: []byte("no JSON")}))
}
